"""gsplat (nerfstudio-project/gsplat, Apache-2.0) as a rasterizer: its CUDA kernels, our interface.

Written against gsplat 1.5.3 (gsplat/rendering.py); the arguments used here are the same in 1.6.0.
It differs from the other rasterizers where alpha is largest: gsplat limits it to 0.999 instead of
0.99.
"""

from __future__ import annotations

import numpy as np
import torch

from ...data.cameras import Camera
from ...errors import IdfError
from .reference import PIXEL
from .torch_rasterizer import Drawn, TorchRasterizer, gradient


class GsplatRasterizer(TorchRasterizer):
    """`rasterizer.Rasterizer` on `gsplat.rasterization`.

    packed, antialiased: see `GsplatConfig`. Where memory runs out, packed mode is tried once.
    """

    name = "gsplat"

    def __init__(self, packed: bool = False, antialiased: bool = False, device: str | None = None,
                 near: float = 0.05):
        super().__init__(device, near)
        self.packed, self.antialiased = packed, antialiased
        if self.device.type == "cuda":
            compile_kernels()

    def halve(self) -> bool:
        changed, self.packed = not self.packed, True
        return changed

    def draw(self, tensors, camera, background, degree, dilation) -> Drawn:
        rendered, alphas, info = rasterize(
            tensors, *camera_tensors(camera, self.device), camera.width, camera.height, background,
            degree, self.near, self.packed, self.antialiased, depth=True, dilation=dilation)
        means2d, radii = info["means2d"], info["radii"]
        if means2d.requires_grad:
            means2d.retain_grad()
        n, packed = len(tensors["means"]), self.packed

        def per_gaussian(values: torch.Tensor) -> torch.Tensor:
            """(1, N) as it is, or (nnz,) of packed mode -> (N,)."""
            if not packed:
                return values.reshape(n)
            return values.new_zeros(n).index_add_(0, info["gaussian_ids"], values)

        return Drawn(rendered[0, ..., :3].permute(2, 0, 1), alphas[0, ..., 0], rendered[0, ..., 3],
                     lambda: per_gaussian(gradient(means2d).abs().sum(-1)),
                     lambda: per_gaussian((radii > 0).all(-1).float()) > 0)


def compile_kernels() -> None:
    """Compile gsplat's kernels, minutes at the first call on a machine, or load them. IdfError
    with the compiler's first error."""
    try:
        from gsplat.cuda._backend import _C  # compiles when it is imported
        problem = "" if _C is not None else "gsplat found no CUDA toolkit"
    except (ImportError, RuntimeError, OSError) as error:
        lines = [x.strip() for x in str(error).splitlines() if "rror:" in x]
        problem = (lines or [str(error).split("\n")[0]])[0][:300]
    if problem:
        raise IdfError("gsplat's CUDA kernels cannot be used here", problem,
                       "check that nvcc, C++ compiler and torch fit each other, or take a compiled "
                       "wheel from https://docs.gsplat.studio/whl")


def camera_tensors(camera: Camera, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (1, 4, 4) world-to-camera with OpenCV axes, and (1, 3, 3) intrinsics with pixel
    centers at +0.5, both as gsplat has them, float32."""
    return tuple(torch.as_tensor(np.asarray(m, np.float32), device=device)[None]
                 for m in (camera.w2c_cv, camera.K))


def rasterize(tensors, viewmats, Ks, width: int, height: int, background, degree: int,
              near: float = 0.05, packed: bool = False, antialiased: bool = False,
              depth: bool = False, absgrad: bool = False, dilation: float = PIXEL):
    """Call `gsplat.rasterization` for one view of tensors named as in `Gaussians`.

    viewmats, Ks: of `camera_tensors`. background (3,). depth: the expected depth as a fourth
    channel. dilation: pixels² added to the screen covariance.
    -> picture (1, H, W, 3 or 4), alpha (1, H, W, 1), gsplat's info.
    """
    from gsplat import rasterization

    picture, alpha, info = rasterization(
        means=tensors["means"], quats=tensors["quats"], scales=tensors["log_scales"].exp(),
        opacities=tensors["opacity_logits"].sigmoid(), colors=tensors["sh"], viewmats=viewmats,
        Ks=Ks, width=width, height=height, near_plane=near, sh_degree=degree, packed=packed,
        # packed, gsplat 1.5.3 refuses a background: it takes (nnz, 2) for a batch of pictures
        backgrounds=None if packed else background[None], absgrad=absgrad, eps2d=dilation,
        render_mode="RGB+ED" if depth else "RGB",
        rasterize_mode="antialiased" if antialiased else "classic")
    if packed:
        behind = (1 - alpha) * background
        picture = torch.cat([picture[..., :3] + behind, picture[..., 3:]], dim=-1)
    return picture, alpha, info
