"""What a view's pixels lie on: place, normal, hollows, the way to the camera, in the head's own
axes. From the solid that all views agree on; of a view by itself, guessed from its outline and
from the points of the face in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..data.media import to_uint8
from ..errors import IdfError
from ..face.color import blur, feather, masked_blur, rgb_to_lab
from ..face.detector import LandmarkDetector
from ..face.landmarks import FaceLandmarks
from ..face.mesh import ring_strip, vertex_normals
from ..face.raster import rasterize
from ..face.topology import FACE_OVAL, INNER_MOUTH, LEFT_EYE, RIGHT_EYE, TRIANGLES
from .stylist import View
from .surface import nearest_fill
from .volume import HeadAxes, Volume

ENOUGH = 6  # views from which on their outlines make a solid
CLOSED = np.concatenate([TRIANGLES, *(ring_strip(r) for r in (LEFT_EYE, RIGHT_EYE, INNER_MOUTH))])
GUESS = 96  # cells along the longer side that an outline is inflated in
HOLLOW = (0.05, 0.12)  # head axes' units out of the surface where other surface shades it
DETAIL = (0.008, 0.05)  # shares of the head's height: finest and coarsest detail of a picture
STRONGEST = 0.35  # of a picture's detail, in log lightness


@dataclass(frozen=True, eq=False)
class Surface:
    """The N pixels of a view that show the head; arrays are float32, axes are the head's own.

    rows, columns: (N,) int. place: (N, 3), about [-1, 1]. normal, soft: (N, 3) unit, fine and of
    the head's large forms. back: (N, 3) unit, toward the camera. hollow: (N,) in [0, 1], 1 = other
    surface all around. detail: (N,) log lightness of the picture's fine detail, 0 = none.
    slope: (N, 3) how steeply the detail rises, in camera axes. turn: (3, 3) camera axes to the
    head's. size: (height, width) of the picture. height: of the head in pixels.
    """

    rows: np.ndarray
    columns: np.ndarray
    place: np.ndarray
    normal: np.ndarray
    soft: np.ndarray
    back: np.ndarray
    hollow: np.ndarray
    detail: np.ndarray
    slope: np.ndarray
    turn: np.ndarray
    size: tuple[int, int]
    height: float

    def picture(self, values: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Return beside (H, W, C) float32 with (N, C) values at these pixels."""
        out = np.array(beside, np.float32)
        out[self.rows, self.columns] = values
        return out

    def bumped(self, amount: float) -> np.ndarray:
        """Return (N, 3) unit normals with the picture's detail as relief, bright = raised."""
        if amount == 0:
            return self.normal
        facing = np.clip((self.normal * self.back).sum(1, keepdims=True), 0, 1)
        push = self.slope @ self.turn.T * (amount * facing)
        push -= self.normal * (push * self.normal).sum(1, keepdims=True)
        return unit(self.normal - push)


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6)


class Shape:
    """The shape of a head: `surface(view)` of any of its views.

    views: some of all, spread around it. how: where the shape is from, in words. lacks: what to do
    for the face to be looked for; "" where it was.
    """

    def __init__(self, views: Sequence[View]):
        self.detector, self.lacks = LandmarkDetector(), ""
        self.faces = {v.name: found[0] for v in views for found in [self._detect(v)] if found}
        self.axes: HeadAxes | None = None
        self.volume: Volume | None = None
        placed = [v for v in views if v.camera is not None]
        outlined = sum(float(v.mask.mean()) < 0.99 for v in placed)
        if any(v.depth is not None for v in placed) or outlined >= ENOUGH:
            self.axes = HeadAxes.of([v.camera for v in placed], self._front(placed))
            self.volume = Volume.fuse(placed, self.axes)
        self.how = "guessed from outline and face" if self.volume is None else \
            "depth of all views" if self.volume.measured else "outlines of all views"
        if self.lacks:
            self.how += f"; the face is not looked for ({self.lacks})"

    def _detect(self, view: View) -> list[FaceLandmarks]:
        if self.lacks:
            return []
        try:
            return self.detector.detect(to_uint8(view.source()))
        except IdfError as error:  # its models are not here; a bust needs them least
            self.lacks = error.do
            return []

    def _front(self, views: Sequence[View]) -> np.ndarray | None:
        """Return (3,) world: where the face looks, from the views that show it best."""
        ways = []
        for v in views:
            face = self.faces.get(v.name)
            if face is not None and abs(face.yaw) < 40:
                n = vertex_normals(face.points)[FACE_OVAL].mean(0)
                n *= -np.sign(n[2]) * np.array((1, -1, -1))  # pictures' axes to OpenGL's
                ways.append(v.camera.c2w[:3, :3] @ (n / np.linalg.norm(n)))
        return np.mean(ways, axis=0) if ways else None

    def face(self, view: View) -> FaceLandmarks | None:
        """Return the face in a view, None where there is none to be seen."""
        if view.name not in self.faces:
            self.faces[view.name] = next(iter(self._detect(view)), None)
        return self.faces[view.name]

    def surface(self, view: View) -> Surface:
        """Return what the pixels of a view lie on."""
        rows, columns = np.nonzero(view.mask > 0.02)
        height = max(8.0, float(np.ptp(rows)) if len(rows) else 8.0)
        detail = picture_detail(view, height)
        sigma = height * DETAIL[0]
        relief = blur(detail, sigma)
        slope = np.stack([cv2.Scharr(relief, cv2.CV_32F, 1, 0),
                          -cv2.Scharr(relief, cv2.CV_32F, 0, 1),
                          np.zeros_like(relief)], -1) / 32 * height * DETAIL[1]
        if self.volume is None or view.camera is None:
            normal, place = guessed(view, self.face(view), height)
            turn = np.eye(3)
            n, p = normal[rows, columns], place[rows, columns]
            soft = unit(masked_blur(normal, (view.mask > 0.5).astype(np.float32),
                                    height * 0.05)[rows, columns])
            back = np.broadcast_to(np.float32((0, 0, 1)), n.shape)
            hollow = np.zeros(len(rows), np.float32)
        else:
            turn = self.axes.camera_turn(view.camera)
            matrix = self.axes.matrix(view.camera)
            p = self.volume.meet(matrix, view.camera, rows, columns)
            n, soft = (self.volume.normals(g, p) for g in (self.volume.fine, self.volume.soft))
            back = unit((-matrix[:, :3].T @ matrix[:, 3] - p).astype(np.float32))
            n, soft = (unit(v - back * np.minimum((v * back).sum(1, keepdims=True) - 0.02, 0))
                       for v in (n, soft))  # none looks away from who sees it
            hollow = np.mean([np.clip(self.volume.at(self.volume.soft, p + r * soft) + 1, 0, 1)
                              for r in HOLLOW], axis=0).astype(np.float32)
        return Surface(rows, columns, p, n.astype(np.float32), soft.astype(np.float32),
                       back.astype(np.float32), hollow, detail[rows, columns],
                       slope[rows, columns], turn.astype(np.float32), view.mask.shape, height)


def picture_detail(view: View, height: float) -> np.ndarray:
    """Return (H, W) float32: log lightness of a view without its broad shading, so that wrinkles,
    lips, brows and strands stay; 0 off the head."""
    inside = (view.mask > 0.5).astype(np.float32)
    if not inside.any():
        return np.zeros_like(inside)
    light = np.log(0.08 + rgb_to_lab(view.source())[..., 0] / 100)
    light = nearest_fill(light.astype(np.float32), inside > 0)
    fine = blur_within(light, inside, height * DETAIL[0] * 0.5)
    broad = blur_within(light, inside, height * DETAIL[1])
    # a hairline is an edge between two broad areas, no relief: what is strong is held back
    return (inside * STRONGEST * np.tanh((fine - broad) / STRONGEST)).astype(np.float32)


def blur_within(values: np.ndarray, inside: np.ndarray, sigma: float) -> np.ndarray:
    return values if sigma < 0.3 else masked_blur(values, inside, sigma)


def guessed(view: View, face: FaceLandmarks | None, height: float
            ) -> tuple[np.ndarray, np.ndarray]:
    """Return normals and places, (H, W, 3) float32 in camera axes, of a view without depth: its
    outline inflated as a soap film (h² has a constant Laplacian: of a disk it makes a ball), with
    the relief of the face's points where there is one."""
    h, w = view.mask.shape
    small = min(1.0, GUESS / max(h, w))
    size = (max(4, round(w * small)), max(4, round(h * small)))
    mask = (cv2.resize(view.mask, size, interpolation=cv2.INTER_AREA) > 0.5).astype(np.float32)
    # as if a head that the picture cuts off went on beyond its lower edge
    pad = GUESS // 2
    mask = cv2.copyMakeBorder(mask, 1, pad, 1, 1, cv2.BORDER_REPLICATE)
    mask[0] = mask[:, 0] = mask[:, -1] = mask[-1] = 0
    u = np.zeros_like(mask)
    cross = np.float32([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])
    for _ in range(12 * GUESS):
        u = mask * (cv2.filter2D(u, cv2.CV_32F, cross, borderType=cv2.BORDER_CONSTANT) + 1.0)
    u = u[1:1 + size[1], 1:1 + size[0]]
    up = cv2.GaussianBlur(cv2.resize(np.sqrt(u), (w, h), interpolation=cv2.INTER_CUBIC), (0, 0),
                          0.75 / small) / small
    normal = np.dstack([-cv2.Scharr(up, cv2.CV_32F, 1, 0) / 32,
                        cv2.Scharr(up, cv2.CV_32F, 0, 1) / 32, np.ones_like(up)])
    normal = unit(normal)
    if face is not None:
        drawn = vertex_normals(face.points) * np.float32((1, -1, -1))
        drawn *= np.sign(drawn[:, 2].sum())
        made, ids, _ = rasterize(CLOSED, face.xy, face.points[:, 2], drawn, h, w)
        weight = feather(ids >= 0, 0.06 * height)[..., None]
        normal = unit(normal + weight * (unit(made) - normal))
    y, x = np.mgrid[:h, :w].astype(np.float32)
    middle = np.float32([(w - 1) / 2, (h - 1) / 2])
    place = np.dstack([x - middle[0], middle[1] - y, up]) / (0.5 * height)
    return normal.astype(np.float32), place.astype(np.float32)
