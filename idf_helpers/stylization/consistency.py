"""Short- and long-range consistency of restyled views, as papers on restyled scenes report it.

One view is carried over to another, and both are compared where both see the surface: RMSE of the
colors in [0, 1], and LPIPS, each as a mean over pairs of near and of far views (StyleRF, Liu et al.
2023, github.com/Kunhao-Liu/StyleRF/issues/8; StyleGaussian, Liu et al. 2024). Theirs is carried by
RAFT's optical flow between the *restyled* pictures and softmax splatting
(github.com/Kunhao-Liu/StyleGaussian/issues/5), so strokes that slide over the surface are followed.
Here the scene's depth carries, with a test for what is hidden, as StylizedNeRF does it
(github.com/IGLICT/StylizedNeRF/issues/3): a stroke has to stay where it is on the surface. LPIPS is
AlexNet's, as in the survey of Chen et al. 2025 (github.com/chenyingshu/
advances_3d_neural_stylization, evaluation_codes/temporal_consistency); others take VGG's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data.cameras import Camera, scene_frame
from ..perceptual import LEAST, Lpips
from .measures import SAMPLES, Pictures, seen_by_both
from .reproject import TOLERANCE, Key
from .stylist import View, as_float

FAR = 7  # times the angle to the nearest view, as frames (t, t - 7): Stylos, scripts/python_files
WIDEST = 60.0  # degrees; farther apart two views of a head have little in common
LEAST_SEEN = 0.02  # share of the picture that both must see
RANGES = ("short", "long")


def near_and_far(cameras: Sequence[Camera], count: int = 2 * SAMPLES
                 ) -> dict[str, list[tuple[int, int]]]:
    """Return pairs (i, j) of views: `short`, i and the nearest to it; `long`, i and the one whose
    direction is nearest to seven times that angle, at most 60 degrees.

    count: views i, spread over all. In a turn these are (t, t + 1) and (t, t + 7). `long` is empty
    where it would be the same pairs.
    """
    if len(cameras) < 2:
        return dict.fromkeys(RANGES, [])
    angles = _apart(cameras)
    n = len(angles)
    around = (np.arange(n)[None] - np.arange(n)[:, None]) % n / (1e3 * n)  # of equals the next one
    np.fill_diagonal(angles, np.inf)
    near = np.argmin(angles + around, 1)
    wanted = min(WIDEST, FAR * float(np.median(angles[np.arange(n), near])))
    far = np.argmin(np.abs(angles - wanted) + around, 1)
    chosen = np.unique(np.linspace(0, n, min(count, n), endpoint=False).astype(int))
    short = [(int(i), int(near[i])) for i in chosen]
    long = [(int(i), int(far[i])) for i in chosen if far[i] != near[i]]
    return {"short": short, "long": long}


def _apart(cameras: Sequence[Camera]) -> np.ndarray:
    """Return (n, n) degrees between the directions from the scene's center, to 0.01."""
    d = np.array([c.position for c in cameras]) - scene_frame(cameras).center
    d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-12)
    return np.degrees(np.arccos(np.clip(d @ d.T, -1, 1))).round(2)


def consistency(views: Sequence[View], pictures: Pictures, lpips: Lpips | str,
                pairs: Mapping[str, Sequence[tuple[int, int]]] | None = None) -> dict:
    """Return short_rmse, short_lpips, long_rmse, long_lpips, means over pairs, 0 = consistent; a
    sentence in place of what cannot be measured.

    views: with depth and camera. pictures: (H, W, 3) by index, restyled. lpips: the network, or
    why there is none. pairs: by the name of a range; None = `near_and_far` of these views.

    Also, of each range, `_degrees` between the views, `_seen`, the share of the picture that is
    compared, and `_rmse_frame`, `_lpips_frame`: the same means over whole pictures that are black
    where nothing is compared, as StyleGaussian's program takes them. They are lower the smaller
    the head is in the picture.
    """
    cameras = [v.camera for v in views]
    pairs = near_and_far(cameras) if pairs is None else pairs
    if any(views[i].depth is None for i, _ in pairs["short"][:1]):
        return dict.fromkeys((f"{r}_{m}" for r in pairs for m in ("lpips", "rmse")),
                             "not measured: no depth")
    tolerance = TOLERANCE * scene_frame(cameras).radius
    angles, out = _apart(cameras), {}
    for name in pairs:
        rows = [_compared(views, pictures, i, j, tolerance, lpips) | {"degrees": angles[i, j]}
                for i, j in pairs[name]]
        rows = [r for r in rows if r["seen"] >= LEAST_SEEN]
        if not rows:
            why = "no two views see the same surface" if pairs[name] else "too few views"
            out |= {f"{name}_lpips": f"not measured: {why}", f"{name}_rmse": f"not measured: {why}"}
        elif isinstance(lpips, str):
            out[f"{name}_lpips"] = lpips
        for key in dict.fromkeys(k for r in rows for k in r):
            mean = float(np.mean([r[key] for r in rows]))
            out[f"{name}_{key}"] = round(mean, 5) if np.isfinite(mean) else \
                f"not measured: LPIPS needs {LEAST} pixels a side"
    return out


def _compared(views: Sequence[View], pictures: Pictures, i: int, j: int, tolerance: float,
              lpips: Lpips | str) -> dict:
    """Return the measures of picture i and picture j carried over to it."""
    own = as_float(pictures[i])
    warped, both = seen_by_both(views[i], Key.of(views[j], pictures[j], tolerance), tolerance)
    found = {"seen": float(both.mean()), "rmse": float("nan"), "rmse_frame": float("nan")}
    if not both.any():
        return found
    squared = float(((warped - own)[both].astype(np.float64) ** 2).mean())
    found |= {"rmse": squared**0.5, "rmse_frame": (squared * found["seen"])**0.5}
    if isinstance(lpips, str):
        return found
    if min(own.shape[:2]) < LEAST:
        return found | {"lpips": float("nan")}
    inside = both[..., None]
    # what is not compared is equal in both: the own picture has no edge there that hides others
    return found | {"lpips": lpips(np.where(inside, warped, own), own, both),
                    "lpips_frame": lpips(np.where(inside, warped, 0), np.where(inside, own, 0))}
