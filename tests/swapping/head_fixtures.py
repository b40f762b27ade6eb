"""Faces and views that several swap tests share, read and detected once a session."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers.data import media
from idf_helpers.data.cameras import Camera
from idf_helpers.face.landmarks import LandmarkDetector

SAMPLES = Path(__file__).parents[2] / "assets" / "samples"


@pytest.fixture(scope="session")
def detector():
    """Needs the face models: `idf download face_landmarks` (run.py does it during set-up)."""
    return LandmarkDetector()


@pytest.fixture(scope="session")
def photos():
    """name -> (512, 512, 3) uint8: B, C, B_three_quarter."""
    return {p.stem: media.read_image(p)[..., :3]
            for p in sorted((SAMPLES / "source_photos").glob("*.png"))}


@pytest.fixture(scope="session")
def head_views(detector):
    """All 130 views of the sample head: name, image (320, 320, 4), camera, yaw and pitch (degrees,
    of the camera round the head), faces (what the detector finds)."""
    views = []
    for split in ("train", "val", "test"):
        folder = SAMPLES / "head_multiview"
        data = json.loads((folder / f"transforms_{split}.json").read_text())
        for frame in data["frames"]:
            image = media.read_image(folder / f"{frame['file_path']}.png")
            camera = Camera.from_fov(np.array(frame["transform_matrix"]),
                                     data["camera_angle_x"], image.shape[1], image.shape[0])
            x, y, z = camera.position / np.linalg.norm(camera.position)
            views.append(SimpleNamespace(  # the face looks to -y, z is up
                name=frame["file_path"], image=image, camera=camera,
                yaw=float(np.degrees(np.arctan2(x, -y))), pitch=float(np.degrees(np.arcsin(z))),
                faces=detector.detect(image)))
    return views


@pytest.fixture(scope="session")
def view_at(head_views):
    """view_at(yaw, pitch=5): the sample view nearest to that direction."""
    def nearest(yaw, pitch=5.0):
        return min(head_views, key=lambda v: abs(v.yaw - yaw) + 0.5 * abs(v.pitch - pitch))
    return nearest
