"""What a browser needs to move an avatar's face by itself: sliders, weights, a recorded track; and
a restyled head's one slider, from the original to the style."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from ..errors import IdfError
from ..reconstruction.avatar.basis import BlendAvatar, ExpressionBasis
from ..reconstruction.splats.gaussians import Gaussians
from ..reconstruction.splats.style import MOST, differences
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
    presets: titles and (E,) values of the avatar's own expressions. start: (E,) values that are
    shown first; None: the neutral ones. kind: "face" or "style". fades: as of `pack.pack`."""

    basis: ExpressionBasis
    deltas: dict[str, np.ndarray]
    track: Track | None = None
    presets: dict[str, Sequence[float]] = field(default_factory=dict)
    start: Sequence[float] | None = None
    kind: str = "face"
    fades: bool = False

    def moved(self, gaussians: Gaussians) -> Gaussians:
        """Return the Gaussians as they are shown first."""
        if self.start is None:
            return gaussians
        w = self.basis.coefficients(self.start)
        change = {n: np.tensordot(w, d, 1) for n, d in self.deltas.items()}
        arrays = gaussians.arrays()
        sh = arrays.pop("sh").copy()
        sh[:, 0] += change.pop("sh")
        rest = change.pop("sh_rest", np.zeros((len(sh), 0))).reshape(len(sh), -1, 3)
        sh[:, 1:1 + rest.shape[1]] += rest[:, :sh.shape[1] - 1]
        if self.fades:
            sh[:, 1 + rest.shape[1]:] *= 1 - w[0]
        return Gaussians(sh=sh, **{n: (a + change[n]).astype(np.float32)
                                   for n, a in arrays.items()})

    def json(self) -> dict:
        """Return it for the page, see `rig_json`."""
        found = rig_json(self.basis, self.track, self.presets)
        if self.start is not None:
            found["start"] = _plain(self.start)
            for slider in found["sliders"]:
                slider["start"] = [found["start"][m] for m in slider["members"]]
        return found | {"kind": self.kind}


_ONE = np.ones(1, np.float32)
STYLE = ExpressionBasis(("style",), _ONE[:, None], mean=_ONE, low=0 * _ONE, high=MOST * _ONE,
                        neutral=0 * _ONE)


def style_rig(original: Gaussians, styled: Gaussians, start: float = 1.0) -> Rig:
    """Return what brings the original to the style: one slider, 0 to 1.5. start: its place."""
    change = differences(original, styled)
    sh = change.pop("sh")
    # a refit ends with colors of a lower degree: what lies above goes with the original
    count = 1 + int(np.flatnonzero(np.abs(styled.sh).max(axis=(0, 2), initial=0)).max(initial=0))
    count = next(k for k in (1, 4, 9, 16) if k >= count)
    deltas = {n: d[None] for n, d in change.items()} | {
        "sh": sh[None, :, 0], "sh_rest": sh[None, :, 1:count].reshape(1, len(sh), -1)}
    return Rig(STYLE, deltas, presets={"Original": [0.0], "Style": [1.0]}, start=[start],
               kind="style", fades=count < sh.shape[1])


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
