"""The loss of `loss.py` in torch, for training on a GPU; its gradient comes from autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .ssim import C1, C2, WINDOW, gaussian_window


def photometric_loss(render: torch.Tensor, target: torch.Tensor, lambda_dssim: float = 0.2
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """render, target: (3, H, W) in [0, 1] on one device -> (1 - λ)·L1 + λ·(1 - SSIM) with its
    graph, and the mean squared error without; both scalars on that device. SSIM as in `loss.py`.
    """
    x, y = render, target
    c1, c2 = float(C1), float(C2)
    window = torch.as_tensor(gaussian_window(), dtype=x.dtype, device=x.device)
    stacked = torch.cat([x, y, x * x, y * y, x * y])[None]
    rows = window.reshape(1, 1, -1, 1).expand(15, 1, -1, 1)
    columns = window.reshape(1, 1, 1, -1).expand(15, 1, 1, -1)
    half = WINDOW // 2  # zero padding. Depthwise in float32 is torch's own kernel, without TF32
    blurred = F.conv2d(F.conv2d(stacked, rows, padding=(half, 0), groups=15), columns,
                       padding=(0, half), groups=15)[0]
    m, n, xx, yy, xy = blurred.split(3)
    # SSIM = (2mn + C1)(2 cov + C2) / ((m² + n² + C1)(var x + var y + C2))
    ssim = ((2 * m * n + c1) * (2 * (xy - m * n) + c2)
            / ((m * m + n * n + c1) * (xx - m * m + yy - n * n + c2)))
    loss = (1 - lambda_dssim) * (x - y).abs().mean() + lambda_dssim * (1 - ssim.mean())
    return loss, (x.detach() - y).square().mean()
