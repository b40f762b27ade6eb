"""How the skin of a face moves, measured in the pictures themselves.

Landmarks are a network's opinion, and named expressions a model's reading of it: both leave out
what this face does in its own way, by a pixel or two. The pictures show it. Every frame is
unwrapped onto the face at rest, under the head's pose, so that what still moves is expression (and
what the pose is off by); optical flow against one template, aligned to itself, tells by how much.
Light is evened out before: this measures motion, never color.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from ..data.cameras import Camera
from ..data.media import resize_area
from ..face.head_shape import HeadFrame
from .brows import surface

SIZE = 256  # px, longer side at which frames are looked at
CELL = 0.12  # cm, of the unwrapped picture
REACH = (8.0, 9.5)  # cm from the middle of the head to the sides, and up and down
BLOCK = 6  # cells, side of a patch whose mean motion is told
FILLED = 0.6  # part of a patch that must lie on the face
FACING = (0.15, 0.4)  # cosine of normal and view from which a patch counts, and in full
TEMPLATE_FRAMES, ROUNDS = 120, 2  # that the template is made of; how often it is aligned to itself
EVEN = 8.0  # cells, within which light is evened out
FAR = 2.5  # cm, most that skin moves


class SkinMotion:
    """The patches of a face and their template; `measure` tells their motion in a frame.

    head: where it lies in the world, and its mesh at rest. frames: (picture, camera) of some frames
    that the template is made of; a picture is (H, W, 3) uint8, a camera fits any size.
    """

    def __init__(self, head: HeadFrame, frames: Iterable[tuple[np.ndarray, Camera]]):
        self.head = head
        x = np.arange(-REACH[0], REACH[0] + CELL, CELL)
        y = np.arange(REACH[1], -REACH[1] - CELL, -CELL)
        depth = surface(head.face, x, y)
        self.grid = np.stack([*np.meshgrid(x, y), depth], -1)
        self.world = head.to_world(self.grid.reshape(-1, 3))
        inside = np.zeros(depth.shape, np.uint8)
        hull = cv2.convexHull(head.face[:, :2].astype(np.float32))[:, 0]
        corners = np.stack([hull[:, 0] - x[0], y[0] - hull[:, 1]], 1) / CELL
        cv2.fillConvexPoly(inside, corners.round().astype(np.int32), 1)
        rows, columns = (n // BLOCK for n in depth.shape)
        self.shape = (columns, rows)
        self.patches = _blocks(inside.astype(np.float32), self.shape) > FILLED
        slope_y, slope_x = np.gradient(depth, CELL)
        normal = np.stack([-slope_x, slope_y, np.ones_like(depth)], -1)
        self.normal = np.stack([_blocks(n, self.shape)[self.patches]
                                for n in np.moveaxis(normal, -1, 0)], 1)
        self.normal /= np.linalg.norm(self.normal, axis=1, keepdims=True)
        self.middle = np.stack([_blocks(n, self.shape)[self.patches]
                                for n in np.moveaxis(self.grid, -1, 0)], 1)
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._flow.setFinestScale(0)
        self.template = _evened(self._align([self._unwrap(*f) for f in frames]))

    def measure(self, picture: np.ndarray, camera: Camera) -> np.ndarray:
        """Return (2 P,) float32: how far each of P patches lies from the template's, cm, to the
        head's left and then down; 0 where the camera sees it along the surface."""
        flow = self._flow.calc(self.template, _evened(self._unwrap(picture, camera)), None)
        to = self.head.to_head(camera.position[None]) - self.middle
        facing = (to * self.normal).sum(1) / np.linalg.norm(to, axis=1)
        trust = np.clip((facing - FACING[0]) / (FACING[1] - FACING[0]), 0, 1)
        moved = np.stack([_blocks(flow[..., k], self.shape)[self.patches] for k in (0, 1)])
        return (trust * np.clip(CELL * moved, -FAR, FAR)).astype(np.float32).ravel()

    def _unwrap(self, picture: np.ndarray, camera: Camera) -> np.ndarray:
        """Return (rows, columns) uint8 gray: what a picture shows of the face under its camera."""
        small = camera.fitted(SIZE)
        gray = cv2.cvtColor(resize_area(picture[..., :3], small.width, small.height),
                            cv2.COLOR_RGB2GRAY)
        at = (small.project(self.world)[0] - 0.5).astype(np.float32)
        at = np.nan_to_num(at).reshape(*self.grid.shape[:2], 2)
        return cv2.remap(gray, at[..., 0], at[..., 1], cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)

    def _align(self, faces: list[np.ndarray]) -> np.ndarray:
        """Return the median of faces, each moved to where it usually is."""
        template = np.median(faces, axis=0).astype(np.uint8)
        y, x = np.mgrid[:template.shape[0], :template.shape[1]].astype(np.float32)
        for _ in range(ROUNDS):
            even = _evened(template)
            flows = np.stack([self._flow.calc(even, _evened(f), None) for f in faces])
            flows -= np.median(flows, axis=0)
            template = np.median([cv2.remap(f, x + d[..., 0], y + d[..., 1], cv2.INTER_LINEAR)
                                  for f, d in zip(faces, flows, strict=True)], 0).astype(np.uint8)
        return template


def skin_motion(picture: Callable[[int], np.ndarray], cameras: Sequence[Camera],
                known: Sequence[int], head: HeadFrame,
                progress: Callable[[float], None] | None = None) -> np.ndarray:
    """Return (N, 2 P) float32: the motion of the skin in N frames, see `SkinMotion.measure`.

    picture: number of a frame -> (H, W, 3) uint8. cameras: N, of frames of a face whose mesh at
    rest lies at `head`. known: numbers of the frames that the template may be made of.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the flow depends on their number in its last digits
    try:
        some = np.unique(np.linspace(0, len(known) - 1, TEMPLATE_FRAMES).round().astype(int))
        chosen = [known[k] for k in some]
        skin = SkinMotion(head, ((picture(i), cameras[i]) for i in chosen))  # one at a time
        out = []
        for i, camera in enumerate(cameras):
            out.append(skin.measure(picture(i), camera))
            if progress:
                progress((i + 1) / len(cameras))
        return np.stack(out)
    finally:
        cv2.setNumThreads(threads)


def _blocks(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return means over patches, (rows, columns); shape: columns and rows, in patches."""
    part = values[:shape[1] * BLOCK, :shape[0] * BLOCK]
    return cv2.resize(np.ascontiguousarray(part, np.float32), shape, interpolation=cv2.INTER_AREA)


def _evened(gray: np.ndarray) -> np.ndarray:
    """Return a picture with mean and contrast alike everywhere, uint8."""
    g = gray.astype(np.float32)
    g = g - cv2.GaussianBlur(g, (0, 0), EVEN)
    spread = np.sqrt(cv2.GaussianBlur(g * g, (0, 0), EVEN)) + 6
    return np.clip(128 + 40 * g / spread, 0, 255).astype(np.uint8)
