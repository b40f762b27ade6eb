"""What a browser needs to move an avatar's face by itself: sliders, weights, a recorded track."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from ..errors import IdfError
from ..reconstruction.avatar.basis import BlendAvatar, ExpressionBasis
from ..reconstruction.splats.gaussians import Gaussians
from .slider_plan import GAZE, MOVES, arkit_name, full_names, slider_plan

MAX_TRACK = 900  # frames of a track that are sent; a longer one is cut


@dataclass(frozen=True, eq=False)
class Track:
    """Expressions to play: values (F, E), fps frames a second (> 0)."""

    values: np.ndarray
    fps: float = 25.0


@dataclass(frozen=True, eq=False)
class Rig:
    """What moves N Gaussians: deltas as `pack.pack` takes them, (K, N, …); track: for Animate;
    presets: titles and (E,) values of the avatar's own expressions."""

    basis: ExpressionBasis
    deltas: dict[str, np.ndarray]
    track: Track | None = None
    presets: dict[str, Sequence[float]] = field(default_factory=dict)


def rig_of(avatar: BlendAvatar, track: Track | None = None) -> tuple[Gaussians, Rig]:
    """Return head and torso as one set of N Gaussians, and what moves them; the deltas are zero
    for those that stand still. track: None = the stretch of the training in which it talks, where
    the avatar holds one."""
    g, still = avatar.gaussians, avatar.still
    if track is None and "talk" in avatar.extra:
        track = Track(avatar.extra["talk"], avatar.meta.get("fps") or 25.0)
    presets = avatar.meta.get("presets", {})
    if still is None or not len(still):
        return g, Rig(avatar.basis, avatar.deltas, track, presets)
    k = max(g.sh.shape[1], still.sh.shape[1])

    def padded(x: Gaussians) -> dict[str, np.ndarray]:
        sh = np.zeros((len(x), k, 3), np.float32)
        sh[:, :x.sh.shape[1]] = x.sh
        return x.arrays() | {"sh": sh}

    ours, theirs = padded(g), padded(still)
    merged = Gaussians(**{n: np.concatenate([ours[n], theirs[n]]) for n in ours})
    deltas = {n: np.concatenate([d, np.zeros((len(d), len(still), *d.shape[2:]), np.float32)], 1)
              for n, d in avatar.deltas.items()}
    return merged, Rig(avatar.basis, deltas, track, presets)


def largest_weights(basis: ExpressionBasis) -> np.ndarray:
    """Return (K,) the largest |weight| within the trained range."""
    off = np.maximum(np.abs(np.asarray(basis.high, np.float64) - basis.neutral),
                     np.abs(np.asarray(basis.neutral, np.float64) - basis.low))
    return off @ np.abs(np.asarray(basis.weights, np.float64))


def rig_json(basis: ExpressionBasis, track: Track | None = None,
             presets: dict[str, Sequence[float]] | None = None) -> dict:
    """Return the data for the page (static/face.js): {names (E), sliders, neutral (E), weights
    (E·K, row by row), bases: K, gaze: `gaze_ways`, presets: [[title, values (E)]], track: {fps,
    frames, low (E), high (E), codes} or None}; a track's codes are bytes, base64, value = low +
    code (high − low) / 255. IdfError for a track of another length."""
    e, k = np.shape(basis.weights)
    span = np.asarray(basis.high, np.float64) - np.asarray(basis.low, np.float64)
    influence = np.linalg.norm(np.asarray(basis.weights, np.float64), axis=1) * span
    names = full_names(tuple(basis.names), e)
    sliders = slider_plan(names, basis.low, basis.high, basis.neutral, influence)
    return {"names": list(names), "gaze": gaze_ways(names, basis.low, basis.high, basis.neutral),
            "sliders": [asdict(s) for s in sliders], "neutral": _plain(basis.neutral),
            "bases": int(k), "weights": _plain(basis.weights),
            "presets": [[title, _plain(values)] for title, values in (presets or {}).items()],
            "track": _track(track, e) if track else None}


def gaze_ways(names: Sequence[str], low, high, neutral) -> dict[str, list] | None:
    """Return which coefficients look to the head's left and right, up and down, and the farthest
    value that was seen of each: {"left": [[index, value], …], …}; None without eyes to move."""
    at = {n: i for i, n in enumerate(names)}
    ways = {"left": GAZE["Look left"], "right": GAZE["Look right"],
            **{way.lower(): (f"eyeLook{way}_L", f"eyeLook{way}_R") for way in ("Up", "Down")}}
    found = {way: [[i, round(float(high[i]), 5)] for n in pair
                   if (i := at.get(n, at.get(arkit_name(n)))) is not None
                   and high[i] - max(low[i], neutral[i]) > MOVES]
             for way, pair in ways.items()}
    return found if found["left"] and found["right"] else None


def _track(track: Track, e: int) -> dict:
    values = np.asarray(track.values, np.float64)
    if values.ndim != 2 or values.shape[1] != e or not len(values) or not track.fps > 0:
        raise IdfError("This expression track does not fit the avatar",
                       f"shape {values.shape}, {track.fps:g} frames a second",
                       f"give (frames, {e}) values and a rate above 0")
    if not np.isfinite(values).all():
        raise IdfError("This expression track holds NaN or infinity",
                       f"{int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} frames",
                       "leave those frames out")
    values = values[:MAX_TRACK]
    low, high = values.min(axis=0), values.max(axis=0)
    codes = np.rint((values - low) / np.maximum(high - low, 1e-12) * 255).astype(np.uint8)
    return {"fps": float(track.fps), "frames": len(values), "low": _plain(low),
            "high": _plain(high), "codes": base64.b64encode(codes.tobytes()).decode("ascii")}


def _plain(values) -> list[float]:
    """Six digits are more than 16 bits of a delta can tell apart."""
    return [float(f"{v:.6g}") for v in np.asarray(values, np.float64).ravel()]
