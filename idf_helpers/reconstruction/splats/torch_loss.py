"""The loss of `kernels.loss` in torch, for training on a GPU; its gradient comes from autograd.

`over` is `data.training_views.composite` on tensors; it is part of what a CUDA graph records.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from ...kernels.ssim import C1, C2, WINDOW, gaussian_window


def photometric_loss(render: torch.Tensor, target: torch.Tensor, lambda_dssim: float = 0.2
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (1 - λ)·L1 + λ·(1 - SSIM) with its graph, and the mean squared error without, of
    (3, H, W) pictures in [0, 1]; both scalars on their device. SSIM as in `kernels.loss`."""
    x, y = render, target
    c1, c2 = float(C1), float(C2)
    stacked = torch.cat([x, y, x * x, y * y, x * y])[None]
    rows, columns = _filters(x.dtype, x.device)
    half = WINDOW // 2  # zero padding. Depthwise in float32 is torch's own kernel, without TF32
    blurred = F.conv2d(F.conv2d(stacked, rows, padding=(half, 0), groups=15), columns,
                       padding=(0, half), groups=15)[0]
    m, n, xx, yy, xy = blurred.split(3)
    # SSIM = (2mn + C1)(2 cov + C2) / ((m² + n² + C1)(var x + var y + C2))
    ssim = ((2 * m * n + c1) * (2 * (xy - m * n) + c2)
            / ((m * m + n * n + c1) * (xx - m * m + yy - n * n + c2)))
    loss = (1 - lambda_dssim) * (x - y).abs().mean() + lambda_dssim * (1 - ssim.mean())
    return loss, (x.detach() - y).square().mean()


@functools.cache
def _filters(dtype, device) -> tuple[torch.Tensor, torch.Tensor]:
    """SSIM's window along rows and columns, for 15 channels each by itself."""
    window = torch.as_tensor(gaussian_window(), dtype=dtype, device=device)
    return (window.reshape(1, 1, -1, 1).repeat(15, 1, 1, 1),
            window.reshape(1, 1, 1, -1).repeat(15, 1, 1, 1))


def over(pixels: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """Return (3, H, W) in [0, 1] of a stored picture, uint8 (3, H, W), or (4, H, W) with its colors
    multiplied by its alpha, over background (3,)."""
    values = pixels.float() / 255
    if len(values) == 3:
        return values
    return values[:3] + (1 - values[3]) * background[:, None, None]


class PictureLoss:
    """`photometric_loss` against stored pictures: (render (3, H, W), pixels, background) -> loss,
    mean squared error; see `over`.

    On CUDA this is some eighty kernels of microseconds each, which take longer to start than to
    run. For the shapes of pixels given, GRAPHS at most, they are recorded once as a CUDA graph and
    started together. A loss is then overwritten by the next one.
    """

    GRAPHS = 4  # each holds some twenty pictures' worth of memory

    def __init__(self, lambda_dssim: float, device: torch.device,
                 shapes: Iterable[tuple[int, ...]] = ()):
        self.lambda_dssim = lambda_dssim
        self._recorded: dict[tuple[int, ...], Callable] = {}
        if device.type == "cuda":
            for shape in sorted(set(map(tuple, shapes)))[:self.GRAPHS]:
                self._recorded[shape] = self._record(shape, device)

    def __call__(self, render, pixels, background) -> tuple[torch.Tensor, torch.Tensor]:
        loss, mse = self._recorded.get(tuple(pixels.shape), self._plain)(render, pixels, background)
        return loss, mse.detach()  # the graph's outputs all carry a gradient

    def _plain(self, render, pixels, background):
        return photometric_loss(render, over(pixels, background), self.lambda_dssim)

    def _record(self, shape, device) -> Callable:
        example = (torch.rand(3, *shape[1:], device=device).requires_grad_(),
                   torch.zeros(shape, dtype=torch.uint8, device=device),
                   torch.zeros(3, device=device))
        return torch.cuda.make_graphed_callables(self._plain, example)
