"""What every splat rasterizer offers, and the one that runs on a CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numba
import numpy as np

from ...data.cameras import Camera
from ...errors import IdfError
from ...kernels.adam import BETA1, BETA2
from ...kernels.compile import TILE, host_lanes
from ...kernels.simd import lanes_tuple
from ...kernels.threads import run_on_threads
from .gaussians import Gaussians
from .packed import (
    GROUP,
    NAMES,
    PackedGaussians,
    PackedMoments,
    array_shapes,
    pack,
    packed_shape,
    unpack,
)
from .project import project
from .project_backward import project_backward, project_backward_adam
from .raster_backward import SLOT, blend_backward
from .raster_depth import FORM, depth_forms, first_crossing
from .raster_forward import draw
from .screen import PIXEL, RECORD, pack_camera
from .tiles import count_pairs, depth_order, fill_lists, start_lists

MASKS = {16: np.uint16, 8: np.uint32}  # a bit for each block of a tile


@dataclass
class Render:
    """A picture of splats, planar float32.

    rgb:   (3, H, W) over the background; >= 0, not limited above.
    alpha: (H, W) in [0, 1].
    depth: (H, W) world units along the optical axis, sum w·z / sum w; NaN where alpha < 0.5.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


@dataclass
class Gradients:
    """dL/dparameter of the last training picture, float32; zero for Gaussians not drawn.

    means (N, 3), log_scales (N, 3), quats (N, 4), opacity_logits (N,), sh (N, K, 3).
    screen:  (N,) |dL/du| + |dL/dv|, u and v the screen position in pixels (for densification).
    visible: (N,) bool, the Gaussian touched at least one tile.
    The arrays are the rasterizer's own and hold until its next backward.
    """

    means: np.ndarray
    log_scales: np.ndarray
    quats: np.ndarray
    opacity_logits: np.ndarray
    sh: np.ndarray
    screen: np.ndarray
    visible: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the five gradients by the names of `Gaussians`."""
        return {name: getattr(self, name) for name in NAMES}


class Rasterizer(Protocol):
    """The interface that CPU and CUDA rasterizers share."""

    name: str
    last: Render | None  # the picture whose gradient `backward` would give

    def forward(self, g: Gaussians, camera: Camera, background, sh_degree: int | None = None,
                train: bool = False, dilation: float = PIXEL) -> Render:
        """Return the picture. background (3,); sh_degree limits the harmonics used; train=True
        keeps what `backward` needs; dilation: pixels² added to the screen covariance."""

    def backward(self, d_rgb, d_alpha=None, d_depth=None) -> Gradients:
        """Return the gradients of the last forward with train=True, from those of its Render."""


class _Drawn(NamedTuple):
    """What a forward pass leaves for the backward pass, see the kernels."""

    packed: PackedGaussians
    coefficients: int
    camera: np.ndarray
    records: np.ndarray
    hits: np.ndarray
    slot_start: np.ndarray
    starts: np.ndarray
    ids: np.ndarray
    slot_of: np.ndarray
    masks: np.ndarray
    stops: np.ndarray
    tiles_x: int
    picture: np.ndarray


class CpuRasterizer:
    """3D Gaussian splatting on the CPU (arXiv 2308.04079), numba with explicit vectors.

    near:  world units; Gaussians whose center is nearer to the camera plane are not drawn.
    lanes: vector width in floats, 16 or 8; None = what suits this CPU.

    Deterministic: the numbers do not depend on the number of threads (`numba.set_num_threads`).
    A Gaussian with a NaN or infinite parameter of its shape is not drawn. One object serves one
    thread at a time and keeps its buffers from call to call.
    """

    name = "cpu"

    def __init__(self, near: float = 0.05, lanes: int | None = None):
        lanes = host_lanes() if lanes is None else lanes
        if lanes not in (8, 16):
            raise IdfError("The CPU rasterizer has no such vector width", f"lanes={lanes}",
                           "use 16 or 8")
        self.near, self.lanes = checked_near(near), lanes
        self._lanes = lanes_tuple(lanes)
        self._buffers: dict[str, np.ndarray] = {}
        self._drawn: _Drawn | None = None
        self.last: Render | None = None

    def _buffer(self, name: str, shape: tuple, dtype=np.float32) -> np.ndarray:
        """Return an uninitialized array at a cache line, kept and grown from call to call."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept = self._buffers.get(name)
        if kept is None or kept.size < size:
            memory = np.empty(size + size // 4 + 64, np.uint8)
            kept = self._buffers[name] = memory[-memory.ctypes.data % 64:]
        return kept[:size].view(dtype).reshape(shape)

    def prepared(self, g: Gaussians) -> PackedGaussians:
        """Return a copy of Gaussians that `forward` takes with less work, for pictures of the same
        ones from many sides."""
        return pack(_checked(g))

    def forward(self, g: Gaussians | PackedGaussians, camera: Camera, background=(1, 1, 1),
                sh_degree: int | None = None, train: bool = False,
                dilation: float = PIXEL) -> Render:
        """Return the picture; g's arrays and the returned ones must stay as they are until
        `backward`.

        background: (3,) color. sh_degree: highest degree used, None = all that g has.
        dilation: pixels² added to the screen covariance; 0.3/d² draws every d-th pixel as the full
        picture has it, see `Camera.every`.
        Raises IdfError where an array has a wrong shape or the picture no size.
        """
        packed = g
        if not isinstance(g, PackedGaussians):
            arrays = _checked(g)
            packed = pack(arrays, self._buffer("packed", packed_shape(arrays)))
        degree = checked_degree(packed, camera, sh_degree)
        shown = np.empty((5, camera.height, camera.width), np.float32)
        drawn = self._draw(packed, camera, background, degree, dilation, shown)
        picture = Render(shown[:3], shown[3], shown[4])
        self._drawn, self.last = (drawn, picture) if train else (None, None)
        return picture

    def first_crossing(self, g: Gaussians, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return alpha and depth (H, W) of the surface that rays meet first, see `raster_depth`:
        world units along the optical axis, NaN where alpha < 0.5."""
        alpha = self.forward(g, camera, sh_degree=0, train=True).alpha
        forms = self._buffer("forms", (len(self._drawn.records), FORM))
        run_on_threads(depth_forms, *(np.ascontiguousarray(a, np.float32) for a in (
            g.log_scales, g.quats, camera.w2c_cv[:3, :3])), forms)
        depth = np.empty((camera.height, camera.width), np.float32)
        run_on_threads(first_crossing, self._drawn.records, forms, self._drawn.starts,
                       self._drawn.ids, self._drawn.tiles_x,
                       *np.float32((camera.fx, camera.fy, camera.cx, camera.cy)), depth)
        self._drawn = self.last = None
        return alpha, np.where(alpha < 0.5, np.float32(np.nan), depth)

    def forward_packed(self, g: PackedGaussians, camera: Camera, background, sh_degree: int,
                       dilation: float = PIXEL) -> np.ndarray:
        """Return the colors (3, H, W) that `forward` draws, and keep what `adam_step` needs.

        The picture is the rasterizer's own and holds until its next one.
        """
        degree = checked_degree(g, camera, sh_degree)
        shown = self._buffer("shown", (4, camera.height, camera.width))
        self._drawn = self._draw(g, camera, background, degree, dilation, shown)
        self.last = None
        return shown[:3]

    def _draw(self, packed, camera, background, degree, dilation, shown) -> _Drawn:
        """Draw to shown (5, H, W), or (4, H, W) without depth."""
        width, height, n = camera.width, camera.height, len(packed.values) * GROUP
        tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
        cam = pack_camera(camera, self.near, dilation)
        coefficients = (degree + 1) ** 2
        records = self._buffer("records", (n, RECORD))
        boxes = self._buffer("boxes", (n, 4), np.int32)
        bits, hits = self._buffer("bits", (n,), np.int64), self._buffer("hits", (n,), np.int32)
        slot_start = self._buffer("slot_start", (n + 1,), np.int64)
        run_on_threads(project, self._lanes, packed.values, coefficients, cam, width, height,
                       records, boxes, bits, hits)
        order = depth_order(records, hits, slot_start)
        parts = 1 if numba.get_num_threads() == 1 else 2 * numba.get_num_threads()
        rows = np.zeros((parts, tiles_x * tiles_y), np.int64)
        starts = np.empty(tiles_x * tiles_y + 1, np.int64)
        ids = self._buffer("ids", (slot_start[n],), np.int32)
        slot_of = self._buffer("slot_of", (slot_start[n],), np.int32)
        run_on_threads(count_pairs, self._lanes, order, records, boxes, bits, tiles_x, rows)
        start_lists(rows, starts)
        run_on_threads(fill_lists, self._lanes, order, records, boxes, bits, slot_start, tiles_x,
                       rows, ids, slot_of)
        masks = self._buffer("masks", (len(ids),), MASKS[self.lanes])
        stops = np.empty(tiles_x * tiles_y, np.int64)
        run_on_threads(draw, self._lanes, lanes_tuple(len(shown) - 1), records, starts, ids,
                       _busiest_first(np.diff(starts)), tiles_x,
                       np.ascontiguousarray(background, np.float32).reshape(3), shown, masks,
                       stops)
        return _Drawn(packed, coefficients, cam, records, hits, slot_start, starts, ids, slot_of,
                      masks, stops, tiles_x, shown)

    def backward(self, d_rgb, d_alpha=None, d_depth=None) -> Gradients:
        """Return the gradients, from d_rgb (3, H, W), d_alpha (H, W), d_depth (H, W): dL/d(output),
        None = zero.

        d_depth belongs to `Render.depth`, the expected depth; its NaN pixels pass nothing.
        Through w = alpha·T it reaches all parameters, as does alpha: both gradients are exact.
        Raises RuntimeError without a forward(train=True) just before.
        """
        if self.last is None:
            raise RuntimeError("backward needs a forward(train=True) just before it")
        d = self._drawn
        slots, reached = self._blend_backward(d, d_rgb, d_alpha, d_depth)
        gradients = self._buffer("gradients", d.packed.values.shape)
        screen = self._buffer("screen", d.hits.shape)
        run_on_threads(project_backward, self._lanes, d.packed.values, gradients, d.coefficients,
                       d.camera, d.records, d.hits, d.slot_start, slots, reached, screen)
        n, k = len(d.packed), d.packed.coefficients
        out = unpack(gradients, n, {name: self._buffer(f"d_{name}", shape)
                                    for name, shape in array_shapes(n, k).items()})
        return Gradients(**out, screen=screen[:n], visible=d.hits[:n] > 0)

    def adam_step(self, d_rgb, moments: PackedMoments, rates: dict[str, float], step: int
                  ) -> tuple[np.ndarray, np.ndarray]:
        """Take a step of Adam on the Gaussians of the last `forward_packed`, in place, as
        `backward` and `Adam.step` would; return screen and visible as in `Gradients`.

        moments: of these Gaussians, in place too. rates, step: as in `Adam.step`.
        """
        d, self._drawn = self._drawn, None  # what is kept does not fit the Gaussians any longer
        if d is None or self.last is not None:
            raise RuntimeError("adam_step needs a forward_packed just before it")
        slots, reached = self._blend_backward(d, d_rgb, None, None)
        screen = self._buffer("screen", d.hits.shape)
        speed = np.array([rates[name] / (1 - BETA1**step) for name in NAMES], np.float32)
        run_on_threads(project_backward_adam, self._lanes, d.packed.values, moments.first,
                       moments.second, d.coefficients, d.camera, d.records, d.hits, d.slot_start,
                       slots, reached, screen, speed, np.float32(1 / (1 - BETA2**step)))
        n = len(d.packed)
        return screen[:n], d.hits[:n] > 0

    def _blend_backward(self, d: _Drawn, d_rgb, d_alpha, d_depth) -> tuple[np.ndarray, np.ndarray]:
        """Return the slots and which of them were reached."""
        height, width = d.picture.shape[1:]
        d_rgb = _image_gradient("d_rgb", d_rgb, (3, height, width))
        channels = lanes_tuple(5 if d_depth is not None else 3 if d_alpha is None else 4)
        if d_depth is not None and d_alpha is None:
            d_alpha = np.zeros((height, width), np.float32)
        d_alpha, d_depth = (
            np.empty((1, 1, 1), np.float32) if g is None  # not read with so few channels
            else _image_gradient(name, g, (height, width))[None]
            for name, g in (("d_alpha", d_alpha), ("d_depth", d_depth)))
        slots = self._buffer("slots", (len(d.ids), SLOT))
        reached = self._buffer("reached", (len(d.ids),), np.bool_)
        run_on_threads(blend_backward, self._lanes, channels, d.records, d.starts, d.ids, d.slot_of,
                       d.masks, d.stops, _busiest_first(d.stops - d.starts[:-1]), d.tiles_x,
                       d.picture, d_rgb, d_alpha, d_depth, slots, reached)
        return slots, reached


def checked_near(near: float) -> float:
    """Return the distance of the near plane; IdfError where it is not positive."""
    if not near > 0:
        raise IdfError("The near plane must lie in front of the camera", f"near={near}",
                       "give a distance above 0")
    return near


def checked_degree(g: Gaussians | PackedGaussians, camera: Camera, limit: int | None) -> int:
    """Return the degree of the harmonics to draw; IdfError for a picture that cannot be drawn."""
    degree = g.sh_degree if limit is None else min(int(limit), g.sh_degree)
    if min(camera.width, camera.height) < 1 or degree < 0:
        raise IdfError("This picture cannot be drawn", f"{camera.width} x {camera.height} pixels, "
                       f"harmonics of degree {degree}",
                       "give at least one pixel and a degree of 0 or more")
    return degree


def _busiest_first(work: np.ndarray) -> np.ndarray:
    """Tile order: threads take the long lists first, so that none is left with one at the end."""
    return np.argsort(-work, kind="stable")


def _checked(g: Gaussians) -> dict[str, np.ndarray]:
    """Return the five arrays, contiguous float32, shapes checked (compiled code does not check)."""
    arrays = {name: np.ascontiguousarray(a, np.float32) for name, a in g.arrays().items()}
    sh = arrays["sh"]
    n, k = len(g), sh.shape[1] if sh.ndim == 3 else 0
    for name, shape in array_shapes(n, k).items():
        if (array := arrays[name]).shape != shape or (name == "sh" and k not in (1, 4, 9, 16)):
            raise IdfError(f"Gaussians have a wrong `{name}`", f"shape {array.shape}",
                           f"give {shape}, with 1, 4, 9 or 16 coefficients in `sh`")
    return arrays


def _image_gradient(name: str, array, shape: tuple) -> np.ndarray:
    array = np.ascontiguousarray(array, np.float32)
    if array.shape != shape:
        raise IdfError(f"`{name}` does not fit the picture", f"shape {array.shape}",
                       f"give {shape}")
    return array
