"""diff_gaussian_rasterization, the CUDA rasterizer of 3DGS, behind our interface.

Written against graphdeco-inria/diff-gaussian-rasterization at 59f5f77 (main) and 9c5c202 (the one
that gaussian-splatting pins: a thirteenth setting `antialiasing`, inverse depth as third output).
It draws nothing nearer than 0.2 world units.
"""

from __future__ import annotations

import numpy as np
import torch

from ...data.cameras import Camera
from ...errors import IdfError
from .reference import PIXEL
from .torch_rasterizer import Drawn, TorchRasterizer, gradient

NEAR, FAR = 0.2, 100.0  # the kernel culls at 0.2 whatever the matrix; FAR only scales its z


class GraphdecoRasterizer(TorchRasterizer):
    """`rasterizer.Rasterizer` on `diff_gaussian_rasterization`. antialiased: where it knows that
    setting; IdfError is not raised otherwise, it has no effect."""

    name = "graphdeco"

    def __init__(self, antialiased: bool = False, device: str | None = None):
        super().__init__(device, NEAR)
        self.antialiased = antialiased

    def draw(self, tensors, camera, background, degree, dilation) -> Drawn:
        import diff_gaussian_rasterization as dgr

        if dilation != PIXEL:
            raise IdfError("diff-gaussian-rasterization has one width of pixels",
                           f"dilation={dilation:g}", f"draw with {PIXEL}")
        means, sh = tensors["means"], tensors["sh"]
        view, projection = matrices(camera, means.device)
        extra = {"antialiasing": self.antialiased} \
            if "antialiasing" in dgr.GaussianRasterizationSettings._fields else {}

        def rasterize(bg, **colors):
            settings = dgr.GaussianRasterizationSettings(
                image_height=camera.height, image_width=camera.width,
                tanfovx=0.5 * camera.width / camera.fx, tanfovy=0.5 * camera.height / camera.fy,
                bg=bg, scale_modifier=1.0, viewmatrix=view, projmatrix=projection,
                sh_degree=degree, prefiltered=False, debug=False, **extra,
                campos=torch.as_tensor(camera.position.astype(np.float32), device=means.device))
            return dgr.GaussianRasterizer(settings)(
                means3D=means, means2D=screen, scales=tensors["log_scales"].exp(),
                opacities=tensors["opacity_logits"].sigmoid()[:, None],
                # it expects unit quaternions
                rotations=torch.nn.functional.normalize(tensors["quats"], dim=-1), **colors)

        screen = torch.zeros_like(means, requires_grad=means.requires_grad)  # takes its gradient
        rgb, radii, *_ = rasterize(background, shs=sh)
        # It gives no alpha: a second picture with 1 and the depth as colors over black
        z = means @ view[:3, 2] + view[3, 2]
        colors = torch.stack([torch.ones_like(z), z, torch.zeros_like(z)], 1)
        alpha, weighted, _ = rasterize(torch.zeros_like(background), colors_precomp=colors)[0]
        # its gradient is by x and y in [-1, 1]
        pixels = 2 / torch.tensor([camera.width, camera.height], device=means.device)
        return Drawn(rgb, alpha, weighted / alpha.clamp_min(1e-6),
                     lambda: (gradient(screen)[:, :2] * pixels).abs().sum(1), lambda: radii > 0)


def matrices(camera: Camera, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (4, 4) view and full projection, both transposed as the kernel reads them, float32.

    With x, y, z in OpenCV's camera axes, x_ndc = 2u/W - 1 = (2 fx/W) x/z + 2 cx/W - 1, y alike,
    z_ndc in [0, 1].
    """
    p = np.zeros((4, 4))
    p[0, 0], p[0, 2] = 2 * camera.fx / camera.width, 2 * camera.cx / camera.width - 1
    p[1, 1], p[1, 2] = 2 * camera.fy / camera.height, 2 * camera.cy / camera.height - 1
    near = 0.01
    p[2, 2], p[2, 3], p[3, 2] = FAR / (FAR - near), -FAR * near / (FAR - near), 1
    view = camera.w2c_cv
    return tuple(torch.as_tensor(m.T.astype(np.float32).copy(), device=device)
                 for m in (view, p @ view))
