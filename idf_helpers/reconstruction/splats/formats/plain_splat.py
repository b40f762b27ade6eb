"""Splats as `.splat` of any tool: broken records are left out, which `splat_file` refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..gaussians import SH_C0
from ..splat_file import read_records, write_splat
from .splat_model import SplatModel, logits, usable

__all__ = ["read_plain_splat", "write_splat"]


def read_plain_splat(path: Path) -> SplatModel:
    """Return Gaussians of degree 0. IdfError: empty, or no multiple of 32 bytes."""
    data = read_records(path)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(data["scale"])
    rgba = data["rgba"].astype(np.float32) / 255
    color = (rgba[:, :3] - np.float32(0.5)) / np.float32(SH_C0)
    return usable(path, data["mean"], log_scales, (data["quat"].astype(np.float32) - 128) / 128,
                  logits(rgba[:, 3]), color[:, None])
