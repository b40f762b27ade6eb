"""What a capture tells about itself: plain sentences of doubt, and a sheet to look at."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..data.contact_sheet import contact_sheet
from ..data.media import over, read_image, resize_area, to_uint8
from ..errors import counted
from ..face.topology import CHIN, TRIANGLES
from .cameras import Cameras, Frames
from .colmap_cameras import is_installed
from .motion import Motion

FEW_FACES, FEW_FRAMES = 0.3, 24  # share of the frames with a face, and frames
NARROW = 60.0  # degrees of a turn
SHORT = 6.0  # seconds
SHEET = 12  # pictures on the sheet


@dataclass(frozen=True)
class Facts:
    """What was seen on the way: frames of the take and of all, seconds of the take (None for
    pictures), what broke it, frames that
    are blurred or show nobody, more than one person, the motion, chins and tops of heads that are
    cut off (shares of the frames), how many times the lens zooms slowly."""

    take: int
    frames: int
    seconds: float | None
    breaks: tuple[str, ...]
    blurred: float
    nobody: float
    people: float
    motion: Motion | None
    chin: float
    top: float
    zoom: float = 1.0


def cut_off(frames: Frames) -> tuple[float, float]:
    """Return shares of the frames in which the chin, and the top of the head, lie outside."""
    points = frames.points[frames.seen]
    chin = float((points[:, CHIN, 1] > frames.height - 2).mean()) if len(points) else 0.0
    tops = [read_image(m)[:2, :, 0].max() > 128 for m in frames.masks]
    return chin, float(np.mean(tops)) if tops else 0.0


def doubts(frames: Frames, cameras: Cameras, facts: Facts, yaw: tuple[float, float] | None
           ) -> list[str]:
    """Return plain sentences about what may spoil the result, the gravest first."""
    out = []
    used, faces = int(cameras.registered.sum()), float(frames.seen.mean())
    if facts.breaks:
        out.append(f"the video is not one take ({'; '.join(facts.breaks[:3])}): the longest part, "
                   f"{facts.take} of {facts.frames} frames, was taken")
    if facts.zoom > 1:
        out.append(f"the lens zooms slowly, up to {facts.zoom:.2f} times: the cameras are a degree "
                   "or two off, and the size of the head changes; film without zoom")
    if yaw is not None and yaw[1] - yaw[0] < NARROW:
        out.append(f"the turn covers only {yaw[1] - yaw[0]:.0f} degrees: what lies beyond will be "
                   "guessed; film from ear to ear at least")
    if cameras.method == "landmarks" and yaw is not None:
        out.append("landmark cameras know the part of the turn in which a face is seen, from "
                   f"{yaw[0]:.0f} to {yaw[1]:.0f} degrees: the back of the head will be guessed"
                   + ("" if is_installed() else
                      "; with pycolmap (pip install pycolmap) it can be filmed too"))
    if used < FEW_FRAMES:
        out.append(f"only {counted(used)} {'have' if used != 1 else 'has'} a camera: film longer, "
                   "or turn more slowly")
    elif used < 0.9 * len(frames):
        out.append(f"{len(frames) - used} of {len(frames)} chosen frames got no camera")
    if faces < FEW_FACES:
        out.append(f"only {100 * faces:.0f} % of the frames show a face: the swap paints the rest "
                   "from few views")
    if facts.people > 0.2:
        out.append("more than one person is in the picture: the largest one is taken")
    if facts.nobody > 0.1:
        out.append(f"{100 * facts.nobody:.0f} % of the frames show nobody")
    if facts.blurred > 0.25:
        out.append(f"{100 * facts.blurred:.0f} % of the frames are blurred: turn more slowly, or "
                   "film in more light")
    if facts.chin > 0.2:
        out.append(f"the chin is cut off in {100 * facts.chin:.0f} % of the frames")
    if facts.top > 0.2:
        out.append(f"the top of the head is cut off in {100 * facts.top:.0f} % of the frames")
    if facts.seconds is not None and facts.seconds < SHORT:
        out.append(f"{facts.seconds:.1f} seconds are little for a turn: 15 to 30 do well")
    moved = facts.motion
    if moved is not None and frames.moves == "head" and moved.busy > 0.3:
        out.append("the background moves by itself: keep it still, or film before a plain wall")
    return out


def sheet(frames: Frames, cameras: Cameras, mesh: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W, 3): some frames with the face mesh and the head's axes drawn into them
    by their cameras, what is no part of the person dimmed.

    mesh: (468, 3) world. axes: (4, 3) world, the origin and the ends of x, y and z.
    """
    rows = np.flatnonzero(cameras.registered)
    rows = rows[np.linspace(0, len(rows) - 1, min(SHEET, len(rows))).astype(int)]
    cells, captions = [], []
    for i in rows:
        camera = cameras.cameras[i]
        assert camera is not None
        rgb = read_image(frames.pictures[i])[..., :3]
        alpha = read_image(frames.masks[i])[..., :1]
        picture = to_uint8(over(np.concatenate([rgb, np.maximum(alpha, 70)], 2), (0.1, 0.1, 0.1)))
        big = camera.fitted(640)
        picture = np.ascontiguousarray(resize_area(picture, big.width, big.height))
        uv, depth = project(cameras, i, mesh)
        uv *= big.width / camera.width
        if (depth > 0).all():
            lines = picture.copy()
            front = _facing(uv)
            cv2.polylines(lines, [np.round((uv[t] - 0.5) * 16).astype(np.int32)
                                  for t in TRIANGLES[front]],
                          True, (80, 255, 160), 1, cv2.LINE_AA, shift=4)
            picture = cv2.addWeighted(lines, 0.5, picture, 0.5, 0)
        ends, depth = project(cameras, i, axes)
        ends = np.round(ends * big.width / camera.width).astype(int)
        for k, color in enumerate(((255, 80, 80), (90, 220, 90), (90, 140, 255))):
            if (depth > 0).all():
                cv2.arrowedLine(picture, ends[0], ends[1 + k], color, 2, cv2.LINE_AA,
                                tipLength=0.12)
        cells.append(picture)
        captions.append(f"frame {frames.numbers[i]}")
    return contact_sheet(cells, columns=4, cell=320, captions=captions)


def project(cameras: Cameras, i: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (P, 2) in frame `i` as it was filmed, its lens' distortion included, and depths
    (P,)."""
    camera = cameras.cameras[i]
    assert camera is not None
    uv, depth = camera.project(points)
    if cameras.distortion is None:
        return uv, depth
    w2c = camera.w2c_cv
    K, turn = camera.K, cv2.Rodrigues(w2c[:3, :3])[0]
    out, _ = cv2.projectPoints(np.asarray(points, np.float64)[:, None], turn, w2c[:3, 3], K,
                               np.array(cameras.distortion))
    return out[:, 0], depth


def _facing(uv: np.ndarray) -> np.ndarray:
    """(T,) bool: triangles of the mesh whose front is seen."""
    a, b, c = (uv[TRIANGLES[:, k]] for k in range(3))
    u, v = b - a, c - a
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0
