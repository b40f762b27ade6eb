"""A tracked clip with the fitted face drawn over it: how well it fits is seen at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .. import provenance
from ..data.contact_sheet import contact_sheet
from ..data.lettering import write_on
from ..data.media import read_image, to_uint8, video_writer, write_image
from ..face.frame_landmarks import picture_name
from ..face.head_model import FaceModel
from ..face.topology import TRIANGLES
from ..runtime.progress import Reporter
from .fit import Track

BARS = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "mouthPucker", "browInnerUp_L",
        "browInnerUp_R", "browDown_L", "browDown_R", "eyeBlink_L", "eyeBlink_R")


def draw_mesh(picture: np.ndarray, points, color=(80, 255, 160)) -> np.ndarray:
    """Return a copy of a uint8 RGB picture with the face mesh over it; points: (468, 2) pixels."""
    out = np.ascontiguousarray(to_uint8(picture)[..., :3]).copy()
    corners = [np.round((np.asarray(points)[t] - 0.5) * 16).astype(np.int32) for t in TRIANGLES]
    lines = out.copy()
    cv2.polylines(lines, corners, True, color, 1, cv2.LINE_AA, shift=4)
    return cv2.addWeighted(lines, 0.45, out, 0.55, 0)


def overlay_video(folder, track: Track, numbers, points, take: slice, mark: provenance.Mark,
                  fps: float, model: FaceModel, reporter: Reporter) -> None:
    """Write folder/overlay.mp4 (every frame with its mesh and the main expressions as bars) and
    folder/overlay.jpg (eight of them). take: rows that were used."""
    folder, kept = Path(folder), []
    shown = set(np.linspace(0, len(numbers) - 1, min(8, len(numbers))).astype(int).tolist())
    with provenance.marked(folder / "overlay.mp4", mark) as temporary, \
            video_writer(temporary, fps) as video:
        for i, number in enumerate(numbers):
            picture = read_image(folder / f"{picture_name(int(number))}.png", "frame")
            enlarge = max(1, round(480 / max(picture.shape[:2])))  # lines need room
            picture = np.repeat(np.repeat(picture, enlarge, 0), enlarge, 1)
            if track.used[i]:
                picture = draw_mesh(picture, track.seen(i, model) * enlarge)
                _draw_bars(picture, track.names, track.expressions[i])
            else:
                why = "another take" if not take.start <= i < take.stop else \
                    "does not fit" if np.isfinite(points[i]).all() else "no face"
                picture = _caption(picture, why)
            video.append(picture)
            if i in shown:
                kept.append(picture)
            if i % 50 == 49:
                reporter.step("drawing the overlay", (i + 1) / len(numbers))
    with provenance.marked(folder / "overlay.jpg", mark) as temporary:
        write_image(temporary, contact_sheet(kept, columns=4, cell=320))


def _draw_bars(picture: np.ndarray, names, weights) -> None:
    h, w = picture.shape[:2]
    scale = max(h, w) / 512
    row, length = max(8, round(13 * scale)), round(70 * scale)
    for k, name in enumerate(n for n in BARS if n in names):
        y, value = 4 + k * row, float(weights[names.index(name)])
        cv2.rectangle(picture, (4, y), (4 + length, y + row - 3), (60, 60, 60), 1)
        cv2.rectangle(picture, (4, y), (4 + round(length * value), y + row - 3), (80, 255, 160), -1)
        write_on(picture, name, 9 + length, y - 1, max(9, round(11 * scale)), (255, 255, 255))


def _caption(picture: np.ndarray, text: str) -> np.ndarray:
    out = np.ascontiguousarray(picture[..., :3]).copy()
    write_on(out, text, 8, 8, 20, (255, 90, 70))
    return out
