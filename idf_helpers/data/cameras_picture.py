"""A picture of the cameras of a dataset around what they look at: from the side, and from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .cameras import SceneFrame, scene_frame
from .contact_sheet import BACKGROUND, INK, PAPER
from .frame import SPLITS, Frame
from .lettering import text_width, write_on
from .media import over, to_uint8

COLORS = {"train": (214, 228, 245), "val": (150, 232, 160), "test": (255, 190, 92)}
RING, UP, FRONT = (150, 153, 160), (214, 170, 255), (255, 122, 106)
FINE = 2  # drawn so many times as large, for smooth edges
MOST_CAMERAS, MOST_POINTS = 240, 8000
AZIMUTH, ELEVATION = 35.0, 24.0  # degrees, of the view from the side: right of the front, above
FAR = 97.0  # per cent of the cameras that the picture must hold
LETTERS = 15


@dataclass(frozen=True)
class _View:
    """An orthographic view. right, up, toward: (3,) unit; toward the eye. middle: pixels.
    scale: pixels a unit."""

    right: np.ndarray
    up: np.ndarray
    toward: np.ndarray
    middle: np.ndarray
    scale: float
    center: np.ndarray

    def flat(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of points (N, 3)."""
        p = np.atleast_2d(points) - self.center
        return self.middle + self.scale * np.stack([p @ self.right, -(p @ self.up)], axis=1)


def cameras_picture(frames: Sequence[Frame], points: np.ndarray | None = None, size: int = 560
                    ) -> np.ndarray:
    """Return uint8 (H, 2 * size, 3): the cameras as pyramids in the colors of their splits, with a
    triangle where their top is; what they look at in the middle, up and front as arrows.

    points: (N, 6) of the dataset, drawn where there are some; else one of the pictures stands in
    the middle. Of very many cameras some are drawn, evenly spaced.
    """
    frames = [f for f in frames if f.camera is not None]
    scene = scene_frame(f.camera for f in frames)
    step = max(1, -(-len(frames) // MOST_CAMERAS))
    shown = list(frames)[::step]
    reach = float(np.percentile([np.linalg.norm(f.camera.position - scene.center)
                                 for f in frames], FAR)) or 1.0
    side = np.cross(scene.up, scene.front)
    a, e = np.radians(AZIMUTH), np.radians(ELEVATION)
    level = np.cos(a) * scene.front + np.sin(a) * side
    panels = []
    for words, toward, up in (
            ("from the side", np.cos(e) * level + np.sin(e) * scene.up,
             np.cos(e) * scene.up - np.sin(e) * level),
            ("from above", scene.up, -scene.front)):
        view = _View(np.cross(up, toward), up, toward, np.full(2, size * FINE / 2),
                     0.42 * size * FINE / (1.12 * max(reach, scene.radius)), scene.center)
        panel = _panel(view, shown, scene, points, size * FINE)
        panel = cv2.resize(panel, (size, size), interpolation=cv2.INTER_AREA)
        write_on(panel, words, size - text_width(words, LETTERS) - 12, 12, LETTERS, INK)
        panels.append(panel)
    picture = np.concatenate(panels, axis=1)
    _legend(picture, frames, len(shown))
    return picture


def _panel(view: _View, frames: list[Frame], scene: SceneFrame, points, size: int) -> np.ndarray:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (size, size), PAPER)
    draw = ImageDraw.Draw(image, "RGBA")
    angle = np.linspace(0, 2 * np.pi, 97)[:, None]
    circle = np.cos(angle) * scene.front + np.sin(angle) * np.cross(scene.up, scene.front)
    for radius in (scene.distance, scene.radius):
        draw.line([tuple(p) for p in view.flat(scene.center + radius * circle)], (*RING, 150),
                  FINE)
    depth = scene.distance * float(np.clip(1.3 / np.sqrt(max(len(frames), 1)), 0.06, 0.16))
    order = sorted(frames, key=lambda f: float((f.camera.position - scene.center) @ view.toward))
    behind = [f for f in order if (f.camera.position - scene.center) @ view.toward < 0]
    for f in behind:
        _pyramid(draw, view, f, depth)
    if points is not None and len(points):
        _points(draw, view, points)
    elif view.toward @ scene.up < 0.9:
        image = _subject(image, view, frames, scene)
        draw = ImageDraw.Draw(image, "RGBA")
    _arrow(draw, view, scene.center, scene.center + 1.45 * scene.radius * scene.up, UP)
    _arrow(draw, view, scene.center, scene.center + 1.45 * scene.radius * scene.front, FRONT)
    for f in order[len(behind):]:
        _pyramid(draw, view, f, depth)
    out = np.array(image)
    for word, way, color in (("up", scene.up, UP), ("front", scene.front, FRONT)):
        tip = view.flat(scene.center + 1.6 * scene.radius * way)[0]
        if np.linalg.norm(tip - view.middle) > 0.1 * scene.radius * view.scale:
            write_on(out, word, int(tip[0]) + 6, int(tip[1]) - LETTERS, LETTERS * FINE, color)
    return out


def _pyramid(draw, view: _View, frame: Frame, depth: float) -> None:
    c, color = frame.camera, COLORS.get(frame.split, INK)
    x = np.array([0, c.width, c.width, 0, 0.3 * c.width, 0.5 * c.width, 0.7 * c.width])
    y = np.array([0, 0, c.height, c.height, -0.06, -0.32, -0.06])
    y[4:] *= c.height
    rays = np.stack([(x - c.cx) / c.fx, -(y - c.cy) / c.fy, -np.ones(7)], axis=1)
    longest = np.abs(rays[:4, :2]).max()
    rays *= depth * min(1.0, 0.8 / max(longest, 1e-6))
    corners = view.flat(rays @ c.c2w[:3, :3].T + c.position)
    eye = tuple(view.flat(c.position)[0])
    face, top = [tuple(p) for p in corners[:4]], [tuple(p) for p in corners[4:]]
    draw.polygon(face, fill=(*color, 70))
    draw.line([*face, face[0]], (*color, 235), FINE)
    for corner in face:
        draw.line([eye, corner], (*color, 170), FINE)
    draw.polygon(top, fill=(*color, 235))


def _points(draw, view: _View, points: np.ndarray) -> None:
    step = max(1, len(points) // MOST_POINTS)
    some = points[::step]
    order = np.argsort((some[:, :3] - view.center) @ view.toward)
    flat = view.flat(some[order, :3])
    colors = np.clip(np.rint(255 * some[order, 3:6]), 0, 255).astype(int)
    for (x, y), color in zip(flat, colors, strict=True):
        draw.ellipse([x - FINE, y - FINE, x + FINE, y + FINE], (*map(int, color), 255))


def _subject(image, view: _View, frames: list[Frame], scene: SceneFrame):
    """Put what the camera nearest to this view saw into the middle, at its size, upright."""
    from PIL import Image

    def away(f: Frame) -> float:
        back = f.camera.position - scene.center
        return float(back @ view.toward) / max(float(np.linalg.norm(back)), 1e-9)

    frame = max(frames, key=away)
    uv, depth = frame.camera.project(np.array([scene.center, scene.center
                                               + scene.radius * scene.up]))
    if not (depth > 0).all():
        return image
    half = scene.radius * view.scale
    size = int(2 * half)
    up = (uv[1] - uv[0]) / half  # of the picture's pixels, for one of the panel's
    flat = np.linalg.norm(view.flat(scene.center + scene.radius * scene.up)[0] - view.middle)
    up *= flat / half  # foreshortened as it is here
    right = np.array([-up[1], up[0]])
    M = np.stack([right, -up], axis=1)
    M = np.concatenate([M, (uv[0] - M @ np.full(2, half))[:, None]], axis=1)
    picture = to_uint8(over(frame.image(), BACKGROUND))
    inside = cv2.warpAffine(np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]), M,
                            (size, size), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    y, x = np.mgrid[:size, :size] + 0.5 - half
    round_edge = np.clip(0.96 * half - np.hypot(x, y), 0, 4) / 4
    alpha = (inside[..., 3] * round_edge).astype(np.uint8)
    corner = tuple(np.rint(view.middle - half).astype(int))
    image.paste(Image.fromarray(inside[..., :3]), corner, Image.fromarray(alpha))
    return image


def _arrow(draw, view: _View, start: np.ndarray, end: np.ndarray, color) -> None:
    a, b = view.flat(np.array([start, end]))
    way = b - a
    length = float(np.linalg.norm(way))
    if length < 4 * FINE:
        return
    way = way / length
    across = np.array([-way[1], way[0]])
    head = b - 8 * FINE * way
    draw.line([tuple(a), tuple(head)], (*color, 255), 2 * FINE)
    draw.polygon([tuple(b), tuple(head + 4 * FINE * across), tuple(head - 4 * FINE * across)],
                 fill=(*color, 255))


def _legend(picture: np.ndarray, frames: Sequence[Frame], shown: int) -> None:
    x = 12
    for split in SPLITS:
        count = sum(f.split == split for f in frames)
        if count:
            words = f"{count} {split}"
            picture[14:26, x:x + 12] = COLORS[split]
            write_on(picture, words, x + 18, 13, LETTERS, INK)
            x += 40 + text_width(words, LETTERS)
    if shown < len(frames):
        write_on(picture, f"{shown} of them are drawn", 12, 36, LETTERS, INK)
