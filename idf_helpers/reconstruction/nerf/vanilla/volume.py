"""Volume rendering of rays (NeRF, sections 4 and 5), step for step as nerf-pytorch does it.

A ray is origin + z·direction, the direction not normalized: its part along the optical axis is 1,
so that z is the depth there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ....data.cameras import Camera
from .network import Field


class Rendered(NamedTuple):
    """rgb (R, 3), disparity (R,) = 1/depth, alpha (R,), depth (R,): mean z; coarse: rgb of the
    coarse network, None without a fine one."""

    rgb: torch.Tensor
    disparity: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
    coarse: torch.Tensor | None


def camera_rays(camera: Camera, offset: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return the origin (3,) and directions (H, W, 3) float32 with 1 along the optical axis.

    offset: where in a pixel its ray passes, 0.5 = the center; nerf-pytorch's pass at 0."""
    x = (np.arange(camera.width) + offset - camera.cx) / camera.fx
    y = (np.arange(camera.height) + offset - camera.cy) / camera.fy
    d = np.stack(np.broadcast_arrays(x[None, :], -y[:, None], -1.0), axis=-1)
    return (camera.position.astype(np.float32), (d @ camera.c2w[:3, :3].T).astype(np.float32))


def composite(raw: torch.Tensor, z: torch.Tensor, directions: torch.Tensor, white: bool,
              noise: torch.Tensor | float = 0.0):
    """Return Rendered without coarse, and weights (R, S), of raw (R, S, 4) at z (R, S), rising.

    alpha_i = 1 - exp(-relu(raw density)·δ_i), δ_i the distance to the next sample (10¹⁰ for the
    last); w_i = alpha_i·Π_{j<i}(1 - alpha_j); C = Σ w_i·sigmoid(raw color) (eq. 3).
    """
    distance = torch.cat([z[:, 1:] - z[:, :-1], torch.full_like(z[:, :1], 1e10)], dim=-1)
    distance = distance * directions[:, None, :].norm(dim=-1)
    alpha = 1 - torch.exp(-torch.relu(raw[..., 3] + noise) * distance)
    passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)
    weights = alpha * passed[:, :-1]
    rgb = (weights[..., None] * torch.sigmoid(raw[..., :3])).sum(-2)
    total, depth = weights.sum(-1), (weights * z).sum(-1)
    disparity = 1 / torch.clamp(depth / total, min=1e-10)  # NaN (empty ray) stays NaN, as there
    if white:
        rgb = rgb + (1 - total[:, None])
    return Rendered(rgb, disparity, total, depth / total.clamp(min=1e-6), None), weights


def sample_pdf(bins: torch.Tensor, weights: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return positions by inverse-transform sampling (section 5.2), (R, N) for u (R, N) in [0, 1]
    in the piecewise constant density that `weights` (R, S - 1) give to the intervals of bins
    (R, S)."""
    weights = weights + 1e-5
    cdf = torch.cumsum(weights / weights.sum(-1, keepdim=True), -1)
    cdf = torch.cat([torch.zeros_like(cdf[:, :1]), cdf], -1)
    above = torch.searchsorted(cdf.contiguous(), u.contiguous(), right=True)
    below = (above - 1).clamp(min=0)
    above = above.clamp(max=cdf.shape[-1] - 1)
    low, high = cdf.gather(-1, below), cdf.gather(-1, above)
    width = torch.where(high - low < 1e-5, torch.ones_like(low), high - low)
    left, right = bins.gather(-1, below), bins.gather(-1, above)
    return left + (u - low) / width * (right - left)


def render_rays(field: Field, origins: torch.Tensor, directions: torch.Tensor, near: float,
                far: float, *, white: bool, generator: torch.Generator | None = None) -> Rendered:
    """Render rays (R, 3), (R, 3) through coarse and fine network.

    white: what is behind; else black. generator: of the jitter and the noise while training; None
    renders without either.
    """
    o, rays = field.options, len(origins)
    jitter = o.perturb > 0 and generator is not None

    def random(shape, normal=False):
        draw = torch.randn if normal else torch.rand
        return draw(shape, generator=generator).to(origins.device)

    def noise(shape):
        return random(shape, True) * o.raw_noise_std if generator is not None \
            and o.raw_noise_std > 0 else 0.0

    t = torch.linspace(0, 1, o.N_samples, device=origins.device)
    z = near * (1 - t) + far * t if not o.lindisp else 1 / (1 / near * (1 - t) + 1 / far * t)
    z = z.expand(rays, o.N_samples)
    if jitter:  # one sample anywhere in each interval (eq. 2)
        middle = 0.5 * (z[:, 1:] + z[:, :-1])
        upper, lower = torch.cat([middle, z[:, -1:]], -1), torch.cat([z[:, :1], middle], -1)
        z = lower + (upper - lower) * random(z.shape)
    unit = directions / directions.norm(dim=-1, keepdim=True)

    def pass_through(z, fine):
        points = origins[:, None] + directions[:, None] * z[..., None]
        raw = field.query(points, unit, fine).float()
        return composite(raw, z, directions, white, noise(z.shape))

    out, weights = pass_through(z, False)
    if o.N_importance == 0:
        return out
    u = random((rays, o.N_importance)) if jitter else \
        torch.linspace(0, 1, o.N_importance, device=z.device).expand(rays, o.N_importance)
    found = sample_pdf(0.5 * (z[:, 1:] + z[:, :-1]), weights[:, 1:-1], u).detach()
    fine, _ = pass_through(torch.cat([z, found], -1).sort(-1).values, True)
    return fine._replace(coarse=out.rgb)
