"""The CPU rasterizer as a differentiable torch function."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...data.cameras import Camera
from .gaussians import Gaussians
from .rasterizer import CpuRasterizer, Rasterizer

NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh")


class _Render(torch.autograd.Function):
    @staticmethod
    def forward(ctx, camera, background, sh_degree, rasterizer, *tensors):
        arrays = [t.detach().to("cpu", torch.float32).contiguous().numpy() for t in tensors]
        g = Gaussians(**dict(zip(NAMES, arrays, strict=True)))
        train = any(ctx.needs_input_grad)
        picture = rasterizer.forward(g, camera, background, sh_degree, train=train)
        ctx.rasterizer, ctx.picture = rasterizer, picture
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        # copies: backward needs the picture as it was, whatever is done to these in place
        return tuple(torch.from_numpy(image.copy())
                     for image in (picture.rgb, picture.alpha, picture.depth))

    @staticmethod
    def backward(ctx, d_rgb, d_alpha, d_depth):
        tensors = ctx.saved_tensors  # raises where a parameter was changed in place since
        if ctx.rasterizer.last is not ctx.picture:
            raise RuntimeError("The rasterizer has drawn another picture since this one; "
                               "give each render() whose gradient you want its own rasterizer")
        if d_rgb is None:
            d_rgb = torch.zeros(ctx.picture.rgb.shape)
        numpy = [None if d is None else d.numpy() for d in (d_rgb, d_alpha, d_depth)]
        gradients = ctx.rasterizer.backward(*numpy).arrays()
        # copies: the rasterizer keeps its buffers
        return (None, None, None, None,
                *(torch.from_numpy(gradients[name].copy()).to(t.device, t.dtype)
                  for name, t in zip(NAMES, tensors, strict=True)))


def render(params: Mapping[str, torch.Tensor], camera: Camera, background=(1, 1, 1), *,
           sh_degree: int | None = None, rasterizer: Rasterizer | None = None
           ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Differentiable rgb (3, H, W), alpha (H, W) and depth (H, W), float32 on the CPU.

    params: five tensors by the names and shapes of `Gaussians` (means, log_scales, quats,
    opacity_logits, sh). Depth is along the optical axis, NaN where alpha < 0.5, and passes no
    gradient there. rasterizer: one to reuse (it keeps buffers); it then remembers the last picture
    only. None makes one for this call, so that any number of pictures can be kept.
    """
    tensors = [params[name] for name in NAMES]
    return _Render.apply(camera, background, sh_degree, rasterizer or CpuRasterizer(), *tensors)
