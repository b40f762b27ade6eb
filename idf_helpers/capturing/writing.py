"""A capture's dataset: pictures with the person cut out, undistorted and cropped, and cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ..data.cameras import Camera
from ..data.frame import Frame
from ..data.media import encode_image, read_image
from ..data.transforms import write_transforms
from ..face.person_mask import cut_out
from ..provenance import Mark, mark_picture_bytes
from ..runtime.files import write_bytes
from ..runtime.progress import Reporter
from .cameras import Cameras, Frames
from .config import CaptureConfig

MARGIN = 0.04  # of the cropped picture, beside the person


def write_dataset(root: Path, frames: Frames, cameras: Cameras, config: CaptureConfig,
                  reporter: Reporter, mark: Mark | None = None) -> tuple[float, float]:
    """Write the pictures and transforms files. Returns the least and greatest yaw, degrees, of the
    cameras about the head: 0 before the face, positive to its own left. mark: of the pictures of
    a video that is marked."""
    rows = np.flatnonzero(cameras.registered)
    window = _window(frames, cameras, rows)
    written = []
    for k, i in enumerate(rows):
        camera = cameras.cameras[i]
        assert camera is not None
        rgb, alpha = read_image(frames.pictures[i])[..., :3], read_image(frames.masks[i])[..., 0]
        if cameras.distortion is not None:
            rgb, alpha = (_undistorted(p, camera, cameras.distortion) for p in (rgb, alpha))
        x, y, w, h = window
        picture = cut_out(rgb, alpha.astype(np.float32) / 255)[y:y + h, x:x + w]
        name = f"images/f_{frames.numbers[i]:05d}"
        data = encode_image(picture)
        write_bytes(root / f"{name}.png", mark_picture_bytes(data, ".png", mark) if mark else data)
        split = "test" if k % config.test_every == config.test_every // 2 else \
            "val" if k % (3 * config.test_every) == 0 else "train"
        written.append(Frame(name, root / f"{name}.png", replace(
            camera, cx=camera.cx - x, cy=camera.cy - y, width=w, height=h), split))
        reporter.step("writing the pictures", (k + 1) / len(rows))
    write_transforms(root, written)
    at = np.array([f.camera.position for f in written])
    yaw = np.degrees(np.arctan2(at[:, 0], -at[:, 1]))
    return float(yaw.min()), float(yaw.max())


def _window(frames: Frames, cameras: Cameras, rows: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of the part that shows the person in all frames, about the principal
    point, so that pictures rendered with this lens have the head in the middle."""
    camera = cameras.cameras[rows[0]]
    assert camera is not None
    reach = np.zeros(2)
    for i in rows:
        mask = read_image(frames.masks[i])[..., 0] > 12
        for k, (axis, c) in enumerate(((0, camera.cx), (1, camera.cy))):
            at = np.flatnonzero(mask.any(axis))
            if len(at):
                reach[k] = max(reach[k], c - at[0], at[-1] + 1 - c)
    reach = np.ceil(reach * (1 + 2 * MARGIN))
    x, y = (int(max(0, np.floor(c - r))) for c, r in zip((camera.cx, camera.cy), reach,
                                                         strict=True))
    right, bottom = (int(min(n, np.ceil(c + r))) for n, c, r in
                     zip((frames.width, frames.height), (camera.cx, camera.cy), reach,
                         strict=True))
    return x, y, right - x, bottom - y


def _undistorted(image: np.ndarray, camera: Camera, distortion) -> np.ndarray:
    K = camera.K
    K[:2, 2] -= 0.5  # OpenCV puts pixel centers at whole numbers
    return cv2.undistort(image, K, np.array(distortion))
