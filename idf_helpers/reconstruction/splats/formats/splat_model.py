"""What a reader of a splat file hands back, and how broken Gaussians are left out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ....errors import IdfError
from ..gaussians import Gaussians
from .axes import Axes

OURS = "ImplicitDeepfake (idf_helpers)"  # the generator that files of this project name
DRAWN_BOLDER = ("it was trained with antialiasing, which is drawn without here: what is thin looks "
                "bolder from afar")
LOGIT_MAX = 15.0  # of an opacity that the file gives as exactly 1
FLAT = -20.0  # natural log of a scale that the file gives as exactly 0
LARGEST = np.float32(1e18)
MOST_BROKEN = 0.5  # a file with a larger part of broken Gaussians is damaged, not dirty


@dataclass(frozen=True)
class Orbit:
    """Where a viewer may go: elevation in radians above the horizon, least distance (world)."""

    low: float
    high: float
    nearest: float

    @classmethod
    def of(cls, value) -> Orbit | None:
        """Return the limits in a JSON object, or in a sequence of the three; None: no such."""
        try:
            a, b, c = (float(value[n]) for n in (
                ("low", "high", "nearest") if isinstance(value, dict) else range(3)))
        except (KeyError, IndexError, TypeError, ValueError):
            return None
        sane = np.isfinite((a, b, c)).all() and -1.6 < a <= b < 1.6 and c >= 0
        return cls(a, b, c) if sane else None


@dataclass
class SplatModel:
    """A splat file in memory.

    notes: what the user should know of it, one sentence each. axes: where the file or its format
    says so beyond doubt; else None. of_cameras: whether these are the axes of the cameras that it
    was trained with, as this project writes them. up: up alone, where only it is certain. orbit:
    limits for a viewer, where the file has them.
    """

    gaussians: Gaussians
    notes: list[str] = field(default_factory=list)
    axes: Axes | None = None
    of_cameras: bool = False
    up: tuple[float, float, float] | None = None
    orbit: Orbit | None = None


def usable(path: Path, means, log_scales, quats, opacity_logits, sh) -> SplatModel:
    """Return the Gaussians that can be drawn, and say how many were left out.

    Arrays as of `Gaussians`, of any float type, changed in place. An infinite opacity logit is an
    opacity of 0 or 1, a scale of minus infinity is a flat Gaussian: both are kept. NaN, any other
    infinity, numbers whose products overflow (beyond `LARGEST`) and rotations of length zero are
    left out. IdfError where that is more than half.
    """
    n = len(means)
    with np.errstate(over="ignore"):  # doubles beyond float32 become infinite
        arrays = [np.ascontiguousarray(a, np.float32)
                  for a in (means, log_scales, quats, opacity_logits, sh)]
    means, log_scales, quats, opacity_logits, sh = arrays
    if n == 0:
        raise IdfError(f"{path} holds no Gaussians", "an empty list", "export it from its source")
    np.clip(opacity_logits, -LOGIT_MAX, LOGIT_MAX, out=opacity_logits)  # NaN stays NaN
    np.copyto(log_scales, np.float32(FLAT), where=np.isneginf(log_scales))
    bad = np.abs(quats).max(axis=1) < 1e-12
    for array in arrays:
        rows = array.reshape(n, -1)  # NaN fails both comparisons
        bad |= ~((rows.max(axis=1) < LARGEST) & (rows.min(axis=1) > -LARGEST))
    g = Gaussians(means, log_scales, quats, opacity_logits, sh)
    count = int(bad.sum())
    if count > MOST_BROKEN * n:
        raise IdfError(f"{path} is damaged: most of it cannot be drawn",
                       f"{count} of {n} Gaussians: NaN, infinite or huge, or no rotation",
                       "export it again from its source")
    if not count:
        return SplatModel(g.checked())
    return SplatModel(g[~bad].checked(), [f"{count} of {n} Gaussians were left out: NaN, infinite "
                                          "or huge numbers, or a rotation of length zero"])


def logits(opacity: np.ndarray, floor: float = 0.5 / 255) -> np.ndarray:
    """Return the logits of opacities in [0, 1]; `floor` keeps 0 and 1 finite."""
    a = np.clip(np.asarray(opacity, np.float32), floor, 1 - floor)
    return np.log(a / (1 - a))


def too_short(path: Path, announced: str, there: int) -> IdfError:
    """Return the error of a file that ends before its header says."""
    return IdfError(f"{path} is shorter than its header says",
                    f"{announced} announced, {there} bytes there",
                    "the file is truncated or damaged: copy or export it again")


def damaged(path: Path, kind: str, found: str) -> IdfError:
    """Return the error of a file whose content makes no sense."""
    return IdfError(f"{path} is a damaged {kind} file", found, "copy or export it again")
