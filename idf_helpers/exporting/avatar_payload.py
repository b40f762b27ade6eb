"""What a browser needs to move an avatar's face by itself: sliders, weights, a recorded track."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import IdfError
from ..reconstruction.splats.gaussians import Gaussians
from .slider_plan import full_names, plan_json, slider_plan

MAX_TRACK = 900  # frames of a track that are sent; a longer one is cut


class Basis(Protocol):
    """From E expression values to K weights: w = (expression - neutral) @ weights.

    names: (E,). weights: (E, K). low, high, neutral: (E,).
    """

    names: tuple[str, ...]
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    neutral: np.ndarray


class Blend(Protocol):
    """`avatar.basis.BlendAvatar`, or anything with its parts: N neutral Gaussians, what each of K
    weights adds to them, and Gaussians that stand still."""

    basis: Basis
    gaussians: Gaussians
    deltas: dict[str, np.ndarray]
    still: Gaussians | None


@dataclass(frozen=True, eq=False)
class Track:
    """Expressions to play: values (F, E), fps frames a second (> 0)."""

    values: np.ndarray
    fps: float = 25.0


@dataclass(frozen=True, eq=False)
class Face:
    """What moves N Gaussians: deltas as `pack.pack` takes them, (K, N, …); track: for Animate."""

    basis: Basis
    deltas: dict[str, np.ndarray]
    track: Track | None = None


def whole(blend: Blend, track: Track | None = None) -> tuple[Gaussians, Face]:
    """Moving and still Gaussians as one model; its deltas are zero where it stands still."""
    g, still = blend.gaussians, blend.still
    if still is None or not len(still):
        return g, Face(blend.basis, blend.deltas, track)
    k = max(g.sh.shape[1], still.sh.shape[1])

    def padded(x: Gaussians) -> dict[str, np.ndarray]:
        sh = np.zeros((len(x), k, 3), np.float32)
        sh[:, :x.sh.shape[1]] = x.sh
        return x.arrays() | {"sh": sh}

    ours, theirs = padded(g), padded(still)
    joined = Gaussians(**{n: np.concatenate([ours[n], theirs[n]]) for n in ours})
    deltas = {n: np.concatenate([d, np.zeros((len(d), len(still), *d.shape[2:]), np.float32)], 1)
              for n, d in blend.deltas.items()}
    return joined, Face(blend.basis, deltas, track)


def influence(basis: Basis) -> np.ndarray:
    """(E,) how much each value can move the weights over its trained range."""
    span = np.asarray(basis.high, np.float64) - np.asarray(basis.low, np.float64)
    return np.linalg.norm(np.asarray(basis.weights, np.float64), axis=1) * span


def reach(basis: Basis) -> np.ndarray:
    """(K,) the largest |weight| within the trained range."""
    off = np.maximum(np.abs(np.asarray(basis.high, np.float64) - basis.neutral),
                     np.abs(np.asarray(basis.neutral, np.float64) - basis.low))
    return off @ np.abs(np.asarray(basis.weights, np.float64))


def rig_json(basis: Basis, track: Track | None = None) -> dict:
    """What the page reads (static/face.js): {sliders, neutral (E), weights (E·K, row by row),
    bases: K, track: {fps, frames, low (E), high (E), codes} or None}; a track's codes are bytes,
    base64, value = low + code (high − low) / 255. IdfError for a track of another length."""
    e, k = np.shape(basis.weights)
    sliders = slider_plan(full_names(tuple(basis.names), e), basis.low, basis.high, basis.neutral,
                          influence(basis))
    return {"sliders": plan_json(sliders), "neutral": _plain(basis.neutral), "bases": int(k),
            "weights": _plain(basis.weights), "track": _track(track, e) if track else None}


def _track(track: Track, e: int) -> dict:
    values = np.asarray(track.values, np.float64)
    if values.ndim != 2 or values.shape[1] != e or not len(values) or not track.fps > 0:
        raise IdfError("This expression track does not fit the avatar",
                       f"shape {values.shape}, {track.fps:g} frames a second",
                       f"give (frames, {e}) values and a rate above 0")
    if not np.isfinite(values).all():
        raise IdfError("This expression track holds NaN or infinity",
                       f"{int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} frames")
    values = values[:MAX_TRACK]
    low, high = values.min(axis=0), values.max(axis=0)
    codes = np.rint((values - low) / np.maximum(high - low, 1e-12) * 255).astype(np.uint8)
    return {"fps": float(track.fps), "frames": len(values), "low": _plain(low),
            "high": _plain(high), "codes": base64.b64encode(codes.tobytes()).decode("ascii")}


def _plain(values) -> list[float]:
    """Six digits are more than 16 bits of a delta can tell apart."""
    return [float(f"{v:.6g}") for v in np.asarray(values, np.float64).ravel()]
