"""The network and the encoding, name for name as in nerf-pytorch, so that its checkpoints fit.

Positions and directions are encoded as x, sin(2⁰x), cos(2⁰x), sin(2¹x), … (NeRF, eq. 4; without
its factor π, as in the authors' code). Eight layers with ReLU, the encoded position once more
after the fifth; density from there, color after one more layer that sees the direction.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .options import NerfOptions

SKIP = 4  # the layer after which the input is joined again


def encode(x: torch.Tensor, frequencies: int) -> torch.Tensor:
    """Return (..., 3 + 6·frequencies) of (..., 3): x, then sine and cosine of x·2^k, k rising."""
    scaled = x[..., None, :] * 2.0 ** torch.arange(frequencies, device=x.device,
                                                   dtype=x.dtype)[:, None]  # (..., F, 3)
    waves = torch.stack([scaled.sin(), scaled.cos()], dim=-2)  # (..., F, 2, 3)
    return torch.cat([x, waves.flatten(-3)], dim=-1)


class NeRF(nn.Module):
    """(N, input_ch + input_ch_views) encoded points -> (N, 4): raw color, raw density; without
    viewing directions (N, output_ch)."""

    def __init__(self, depth: int, width: int, input_ch: int, output_ch: int, input_ch_views: int,
                 use_viewdirs: bool):
        super().__init__()
        self.input_ch, self.input_ch_views = input_ch, input_ch_views
        self.use_viewdirs = use_viewdirs
        self.pts_linears = nn.ModuleList(
            [nn.Linear(input_ch, width)]
            + [nn.Linear(width + (input_ch if i == SKIP else 0), width) for i in range(depth - 1)])
        # made without directions too, as there: the keys of a checkpoint must fit
        self.views_linears = nn.ModuleList([nn.Linear(input_ch_views + width, width // 2)])
        if use_viewdirs:
            self.feature_linear = nn.Linear(width, width)
            self.alpha_linear = nn.Linear(width, 1)
            self.rgb_linear = nn.Linear(width // 2, 3)
        else:
            self.output_linear = nn.Linear(width, output_ch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        points, directions = x.split([self.input_ch, self.input_ch_views], dim=-1)
        h = points
        for i, layer in enumerate(self.pts_linears):
            h = F.relu(layer(h))
            if i == SKIP:
                h = torch.cat([points, h], dim=-1)
        if not self.use_viewdirs:
            return self.output_linear(h)
        density = self.alpha_linear(h)
        h = torch.cat([self.feature_linear(h), directions], dim=-1)
        for layer in self.views_linears:
            h = F.relu(layer(h))
        return torch.cat([self.rgb_linear(h), density], dim=-1)


class Field(nn.Module):
    """Coarse and fine network with their encodings. `fine` is None without N_importance."""

    def __init__(self, options: NerfOptions):
        super().__init__()
        self.options = o = options
        # i_embed -1: positions pass as they are
        self.frequencies = o.multires if o.i_embed == 0 else 0
        self.view_frequencies = o.multires_views if o.i_embed == 0 else 0
        points = 3 + 6 * self.frequencies
        views = 3 + 6 * self.view_frequencies if o.use_viewdirs else 0
        outputs = 5 if o.N_importance > 0 else 4
        self.coarse = NeRF(o.netdepth, o.netwidth, points, outputs, views, o.use_viewdirs)
        self.fine = NeRF(o.netdepth_fine, o.netwidth_fine, points, outputs, views,
                         o.use_viewdirs) if o.N_importance > 0 else None

    def query(self, points: torch.Tensor, directions: torch.Tensor, fine: bool) -> torch.Tensor:
        """Return raw (R, S, 4 or 5) of points (R, S, 3) seen along unit directions (R, 3)."""
        network = self.fine if fine and self.fine is not None else self.coarse
        flat = points.reshape(-1, 3)
        chunks = []
        for start in range(0, len(flat), self.options.netchunk):
            at = flat[start:start + self.options.netchunk]
            x = encode(at, self.frequencies)
            if self.options.use_viewdirs:
                ray = torch.arange(start, start + len(at), device=at.device) // points.shape[1]
                x = torch.cat([x, encode(directions, self.view_frequencies)[ray]], dim=-1)
            chunks.append(network(x))
        return torch.cat(chunks).reshape(*points.shape[:2], -1)
