"""Talking heads: one rigid mesh with one texture, deformed in each frame by that frame's face.

NeRFace folders give each frame a camera in the head's own frame, so the mesh is fitted as for a
still head. What a frame's landmarks show beyond it is taken as motion of the face, lifted to the
depth of the mesh and added to the vertices. Three things keep that from becoming jitter: what goes
with the turn of the head is the detector's bias, not an expression, and is taken out; points that
move no more than their noise stay with the mesh (Wiener 1949); the rest is smoothed in time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...data.sequence import frame_times
from ...face.mesh import FaceMesh, vertex_normals
from ...face.smooth import WINDOW, noise_level, steady
from ...face.topology import (
    CHIN,
    INNER_MOUTH,
    LEFT_BROW,
    LEFT_EYE,
    MIRROR,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    TRIANGLES,
)
from ...runtime.npz import ArrayRecord
from .chart_eyes import gaze_in_view
from .uv_atlas import head_axes, unroll

MIN_FRAMES = 24  # fewer frames with a face show neither bias nor noise
BRIDGE = 3  # frames without a face that are filled in from both sides, at most
# Degrees between the face's front and the camera beyond which a face that was not found is taken to
# be there, at rest: landmarks end there, the mesh does not.
PROFILE = 50.0


@dataclass(frozen=True, eq=False)
class Tracks(ArrayRecord):
    """The face in every frame of a sequence.

    names: (N,) str, of the frames. vertices: (N, 468, 3) float32, world; NaN in frames without a
    face. c2w: (N, 4, 4) cameras where the dataset has none, else (0, 4, 4). gaze: (N, 2, 2)
    float32, where the irises are (`follow_gaze`), else (0, 2, 2).
    """

    names: np.ndarray
    vertices: np.ndarray
    c2w: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))
    gaze: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2), np.float32))

    schema: ClassVar = {"names": "U N", "vertices": f"f N {len(MIRROR)} 3", "c2w?": "f C 4 4",
                        "gaze?": "f G 2 2"}

    def __post_init__(self):
        if not {len(self.c2w), len(self.gaze)} <= {0, len(self.names)}:
            raise ValueError(f"{len(self.names)} names, {len(self.c2w)} cameras, "
                             f"{len(self.gaze)} gazes")

    def camera(self, name: str) -> np.ndarray | None:
        """Return (4, 4) camera-to-world of the frame of that name, where the tracks know it."""
        return self.c2w[self.row(name)] if len(self.c2w) else None

    def looks(self, name: str) -> np.ndarray | None:
        """Return (2, 2) where the irises are in the frame of that name, where that is known."""
        return self.gaze[self.row(name)] if len(self.gaze) else None

    def row(self, name: str) -> int | None:
        """Return the number of the frame of that name."""
        return _rows(self).get(name)

    def mesh(self, rest: FaceMesh, name: str) -> FaceMesh | None:
        """Return the mesh in the frame of that name; None where it shows no face."""
        row = self.row(name)
        if row is None or not np.isfinite(self.vertices[row]).all():
            return None
        return bent(rest, self.vertices[row])


@functools.lru_cache(maxsize=4)
def _rows(tracks: Tracks) -> dict[str, int]:
    return {str(name): i for i, name in enumerate(tracks.names)}


@functools.lru_cache(maxsize=4)
def load_tracks(path: Path) -> Tracks:
    """Read tracks once a process: workers are sent the path, not the arrays."""
    return Tracks.load(path)


def bent(rest: FaceMesh, vertices) -> FaceMesh:
    """Return the same face with other vertices (468, 3)."""
    vertices = np.asarray(vertices, np.float64)
    return replace(rest, vertices=vertices, normals=vertex_normals(vertices))


def follow(rest: FaceMesh, frames: Sequence, landmarks: Sequence, window: int = WINDOW,
           gap: int = BRIDGE, min_frames: int = MIN_FRAMES) -> np.ndarray:
    """Return (N, 468, 3) float32 vertices in the world, NaN where a frame has no face.

    frames: with `.camera` and `.name`. landmarks: one entry a frame, (468, >= 2) pixels or None.
    window: of the smoothing in time, see `steady`; 0 = none. gap: frames without a face that are
    filled in from both sides, at most. min_frames: with fewer, the landmarks are followed as they
    are.
    """
    times = frame_times([f.name for f in frames])
    order = np.argsort(times, kind="stable")
    seen = np.array([p is not None for p in landmarks])
    # float32, and each frame's axes made when needed: a video has many frames.
    offsets = np.full((len(frames), len(rest.vertices), 2), np.nan, np.float32)
    turn, front = np.zeros((len(frames), 2)), np.zeros(len(frames))
    for i, frame in enumerate(frames):
        axes = _Axes.of(rest, frame.camera)
        turn[i], front[i] = axes.turn, axes.front
        if seen[i]:
            offsets[i] = axes.to_head(np.asarray(landmarks[i], np.float64)[:, :2])
    if seen.sum() >= min_frames:
        offsets -= (1 - mobile())[:, None] * turn_bias(offsets, turn)
        offsets *= trust(offsets[order], times[order])[:, None]
    moved = steady(offsets[order], times[order], window)
    offsets[order] = bridge(moved, times[order], gap)
    beyond = front < np.cos(np.radians(PROFILE))
    offsets[beyond & np.isnan(offsets).any((1, 2))] = 0
    return np.stack([_Axes.of(rest, f.camera).lift(o).astype(np.float32)
                     for f, o in zip(frames, offsets, strict=True)])


def follow_gaze(rest: FaceMesh, vertices, frames: Sequence, irises: Sequence, window: int = WINDOW
                ) -> np.ndarray:
    """Return (N, 2, 2) float32: where both irises are in every frame, shares of the unrolled face;
    NaN throughout where no frame tells.

    vertices: (N, 468, 3), see `follow`. irises: one entry a frame, (10, >= 2) pixels or None. Both
    eyes turn alike, so what moves is their mean; frames that do not show it lie between those that
    do. window: as for `follow`.
    """
    uv = unroll(rest.vertices)
    places = np.full((len(frames), 2, 2), np.nan)
    for i, (frame, shape, iris) in enumerate(zip(frames, vertices, irises, strict=True)):
        if iris is not None and np.isfinite(iris).all() and np.isfinite(shape).all():
            camera = frame.camera
            seen = gaze_in_view(bent(rest, shape), uv, camera.project, camera.position, iris)
            places[i] = seen[:, :2] / uv.max(0)
    known = np.isfinite(places[..., 0])
    if not known.any(0).all():
        return np.full((len(frames), 2, 2), np.nan, np.float32)
    # By frames that show both, else one eye's rest would be that of other moments.
    both = known.all(1)
    middle = np.nanmedian(places[both] if both.any() else places, axis=0)
    count = known.sum(1)
    turn = np.nansum(places - middle, axis=1) / np.maximum(count, 1)[:, None]
    times = frame_times([f.name for f in frames])
    order = np.argsort(times, kind="stable")
    there = order[count[order] > 0]
    filled = np.stack([np.interp(times[order], times[there], turn[there, k]) for k in (0, 1)], -1)
    turn[order] = steady(filled[:, None], times[order], window)[:, 0]
    return (middle + turn[:, None]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Axes:
    """One camera's view of the rest mesh.

    xy: (468, 2) pixels. spin: (2, 2), rows are the head's left and down in the picture (its roll
    taken out). scale: pixels per face width. front: cosine between the face's front and the camera.
    turn: (2,) sine of the camera's yaw and pitch around the head. world: (468, 2, 3), motion in the
    world of one face width along the head's left and down, at the vertices' depths.
    """

    rest: np.ndarray
    xy: np.ndarray
    spin: np.ndarray
    scale: float
    front: float
    turn: np.ndarray
    world: np.ndarray

    @classmethod
    def of(cls, rest: FaceMesh, camera) -> _Axes:
        xy, z = camera.project(rest.vertices)
        front, up, left = head_axes(rest.vertices)
        middle = rest.vertices.mean(0)
        ends, _ = camera.project(np.stack([middle - 0.01 * rest.width * up, middle]))
        down = (ends[0] - ends[1]) / max(np.linalg.norm(ends[0] - ends[1]), 1e-12)
        spin = np.array([[down[1], -down[0]], down])  # left is a quarter turn from down
        scale = rest.width * 0.5 * (camera.fx + camera.fy) / float(np.median(z))
        d = camera.position - middle
        d = d / np.linalg.norm(d)
        # A pixel to the right moves a point by z / fx along the camera's right.
        right, below = camera.w2c_cv[0, :3] / camera.fx, camera.w2c_cv[1, :3] / camera.fy
        pixel = np.stack([right, below])  # (2, 3), per unit of depth
        world = z[:, None, None] * scale * (spin @ pixel)
        return cls(rest.vertices, xy, spin, scale, float(d @ front),
                   np.array([d @ left, d @ up]), world)

    def to_head(self, points) -> np.ndarray:
        """Return (468, 2): how far the landmarks lie from the mesh, face widths to the left and
        down."""
        return (points - self.xy) @ self.spin.T / self.scale

    def lift(self, offsets) -> np.ndarray:
        """Return (468, 3) vertices that project to the mesh's places moved by `offsets`."""
        return self.rest + np.einsum("vk,vki->vi", offsets, self.world)


def turn_bias(offsets: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return (N, 468, 2): the part of the offsets that is constant or linear in the head's turn.

    offsets: (N, 468, 2) face widths, NaN where unknown. turn: (N, 2) sines of yaw and pitch. Ridge
    regression: a head that hardly turns shows no bias. The constant is the median of what is left,
    which is the face at rest and belongs to the mesh.
    """
    known = np.isfinite(offsets).all((1, 2))
    x = turn - turn[known].mean(0)
    y = offsets[known].reshape(known.sum(), -1)
    a = x[known]
    ridge = len(a) * 0.05**2 * np.eye(2)  # of turns about 3 degrees wide, half is believed
    slope = np.linalg.solve(a.T @ a + ridge, a.T @ (y - y.mean(0)))  # (2, 936)
    rest = np.median(y - a @ slope, axis=0)
    return (x @ slope + rest).reshape(offsets.shape)


@functools.cache
def mobile() -> np.ndarray:
    """Return (468,) in [0, 1]: 1 at lips, lids, brows and chin, falling off over the neighbors.
    There a sequence's expressions may go with the turn by chance, and landmarks are sharp anyway.
    """
    own = np.zeros(len(MIRROR))
    for ring in (OUTER_LIPS, INNER_MOUTH, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, [CHIN, 175]):
        own[ring] = 1
    out = own
    for _ in range(4):
        out = np.maximum(own, 0.5 * out + 0.5 * neighbor_mean(out))
    out = np.minimum(1, 1.5 * out)
    out.setflags(write=False)
    return out


def trust(offsets: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return (468,) in [0, 1]: the share of each point's motion that is no noise, the mean of the
    face's two sides, carried on to neighbors.

        share = max(0, 1 - noise^2 / variance)
    """
    noise = noise_level(offsets, times) ** 2
    known = np.isfinite(offsets).all((1, 2))
    variance = offsets[known].var(0).mean(-1)
    share = np.clip(1 - 2 * noise / np.maximum(variance, 1e-12), 0, 1)
    share = 0.5 * (share + share[MIRROR])
    even = share
    for _ in range(2):
        even = 0.5 * even + 0.5 * neighbor_mean(even)
    return np.maximum(share, even)  # what moves keeps its motion, what lies beside it comes along


@functools.cache
def _edges() -> np.ndarray:
    t = TRIANGLES
    edges = np.sort(np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0)


def neighbor_mean(values: np.ndarray) -> np.ndarray:
    """Return (468, ...): the mean of each point's neighbors in the mesh."""
    i, j = _edges().T
    total, count = np.zeros_like(values, dtype=np.float64), np.zeros(len(values))
    for a, b in ((i, j), (j, i)):
        np.add.at(total, a, values[b])
        np.add.at(count, a, 1)
    return total / np.maximum(count, 1).reshape(-1, *[1] * (values.ndim - 1))


def bridge(values: np.ndarray, times: np.ndarray, longest: int) -> np.ndarray:
    """Return (N, V, C) with gaps (NaN) of at most `longest` frames filled in linearly between their
    ends.

    times: (N,) int in order; nothing is filled in across a jump in time.
    """
    out = values.copy()
    known = np.flatnonzero(np.isfinite(values).all((1, 2)))
    for a, b in zip(known[:-1], known[1:], strict=True):
        if 1 < b - a <= longest + 1 and times[b] - times[a] == b - a:
            for k in range(a + 1, b):
                s = (k - a) / (b - a)
                out[k] = (1 - s) * values[a] + s * values[b]
    return out
