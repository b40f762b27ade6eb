"""The test oracle: the same splatting in plain torch, double precision, with autograd.

O(N · pixels) memory and time: for hundreds of Gaussians and small pictures. Written from the
formulas of 3DGS (arXiv 2308.04079), not from the kernels: no tiles, no bounds, no early stop, exact
exponentials.
"""

from __future__ import annotations

import torch

from ...data.cameras import Camera

MIN_ALPHA, MAX_ALPHA, PIXEL = 1 / 255, 0.99, 0.3


def sh_basis(direction: torch.Tensor, degree: int) -> torch.Tensor:
    """Return (N, (degree + 1)²) real spherical harmonics of (N, 3) unit directions."""
    x, y, z = direction.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    pi = torch.pi
    Y = [torch.full_like(x, 0.5 * (1 / pi) ** 0.5)]
    if degree >= 1:
        c = (3 / (4 * pi)) ** 0.5
        Y += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = 0.5 * (15 / pi) ** 0.5
        Y += [c * x * y, -c * y * z, 0.25 * (5 / pi) ** 0.5 * (2 * zz - xx - yy), -c * x * z,
              0.5 * c * (xx - yy)]
    if degree >= 3:
        a, b = 0.25 * (35 / (2 * pi)) ** 0.5, 0.25 * (21 / (2 * pi)) ** 0.5
        c, d = 0.5 * (105 / pi) ** 0.5, 0.25 * (7 / pi) ** 0.5
        Y += [-a * y * (3 * xx - yy), c * x * y * z, -b * y * (4 * zz - xx - yy),
              d * z * (2 * zz - 3 * xx - 3 * yy), -b * x * (4 * zz - xx - yy),
              0.5 * c * z * (xx - yy), -a * x * (xx - 3 * yy)]
    return torch.stack(Y, -1)


def rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    """Return (N, 3, 3) of quaternions (N, 4), w, x, y, z of any length."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).reshape(-1, 3, 3)


def reached(u, v, cov, px, py, tile: int) -> torch.Tensor:
    """Return (N, H, W) bool: pixels in the tiles that touch the square of half side ceil(3 sigma)
    about a Gaussian, sigma its longer standard deviation: where diff-gaussian-rasterization draws
    it.

    It rounds in whole tiles, with the center half a pixel lower (cuda_rasterizer: getRect).
    """
    middle = 0.5 * (cov[:, 0, 0] + cov[:, 1, 1])
    longer = middle + (middle**2 - torch.linalg.det(cov)).clamp_min(0.1).sqrt()
    radius = torch.ceil(3 * longer.sqrt())

    def inside(center, pixels):
        first = torch.floor((center - 0.5 - radius) / tile)
        end = torch.floor((center - 0.5 + radius + tile - 1) / tile)
        at = torch.floor(pixels / tile)
        return (at >= first[:, None]) & (at < end[:, None])
    return inside(v, py)[:, :, None] & inside(u, px)[:, None, :]


def render_reference(params: dict[str, torch.Tensor], camera: Camera, background=(1, 1, 1),
                     sh_degree: int | None = None, near: float = 0.05,
                     shift: torch.Tensor | None = None, tile: int | None = None,
                     dilation: float = PIXEL):
    """Return rgb (3, H, W), alpha (H, W), depth (H, W; NaN where alpha < 0.5), double,
    differentiable.

    params: the five tensors by the names of `Gaussians`. shift: (N, 2) pixels added to the screen
    positions; zeros whose gradient is that of the screen positions. tile: None, or side in pixels
    of the tiles of a rasterizer that cuts Gaussians off, see `reached`. dilation: pixels² added to
    the screen covariance.
    """
    means, log_scales, quats, logits, sh = (params[k].double() for k in (
        "means", "log_scales", "quats", "opacity_logits", "sh"))
    degree = int(sh.shape[1] ** 0.5) - 1 if sh_degree is None else sh_degree
    w2c = torch.tensor(camera.w2c_cv, dtype=torch.float64)
    p = means @ w2c[:3, :3].T + w2c[:3, 3]
    order = torch.argsort(p[:, 2], stable=True)
    order = order[p[order, 2] >= near]
    p, means, log_scales, quats, logits, sh = (
        t[order] for t in (p, means, log_scales, quats, logits, sh))

    x, y, z = p.unbind(-1)
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    if shift is not None:
        u, v = u + shift[order, 0], v + shift[order, 1]
    margin_x, margin_y = 0.15 * camera.width / camera.fx, 0.15 * camera.height / camera.fy
    X = torch.clamp(x / z, -camera.cx / camera.fx - margin_x,
                    (camera.width - camera.cx) / camera.fx + margin_x)
    Y = torch.clamp(y / z, -camera.cy / camera.fy - margin_y,
                    (camera.height - camera.cy) / camera.fy + margin_y)
    zero = torch.zeros_like(z)
    J = torch.stack([torch.stack([camera.fx / z, zero, -camera.fx * X / z], -1),
                     torch.stack([zero, camera.fy / z, -camera.fy * Y / z], -1)], -2)
    M = rotation_matrices(quats) * log_scales.exp()[:, None, :]
    cov3d = M @ M.transpose(1, 2)
    W = w2c[:3, :3]
    cov = J @ W @ cov3d @ W.T @ J.transpose(1, 2) + dilation * torch.eye(2, dtype=torch.float64)
    conic = torch.linalg.inv(cov)

    direction = torch.nn.functional.normalize(means - torch.tensor(camera.position), dim=-1)
    basis = sh_basis(direction, degree)
    color = torch.clamp_min(0.5 + (basis[..., None] * sh[:, :basis.shape[1]]).sum(1), 0)

    px = torch.arange(camera.width, dtype=torch.float64) + 0.5
    py = torch.arange(camera.height, dtype=torch.float64) + 0.5
    dx, dy = u[:, None, None] - px, v[:, None, None] - py[:, None]  # (N, 1, W), (N, H, 1)
    a, b, c = (conic[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    s = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = torch.sigmoid(logits)[:, None, None] * torch.exp(-s)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha.clamp_max(MAX_ALPHA), 0.0)
    if tile is not None:
        alpha = alpha * reached(u.detach(), v.detach(), cov.detach(), px, py, tile)
    through = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(through[:1]), through[:-1]])
    w = alpha * before
    rest = through[-1] if len(order) else torch.ones(camera.height, camera.width).double()
    rgb = (torch.einsum("nhw,nc->chw", w, color)
           + rest * torch.as_tensor(background, dtype=torch.float64)[:, None, None])
    total = 1 - rest
    depth = torch.where(total >= 0.5, (w * z[:, None, None]).sum(0) / total.clamp_min(0.5),
                        torch.nan)
    return rgb, total, depth
