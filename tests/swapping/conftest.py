"""A part of the bundled head, small enough to be swapped many times."""

from __future__ import annotations

import json
import shutil

import pytest

from idf_helpers import Dataset
from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame, yaw_pitch

from .head_fixtures import detector, head_views, photos, view_at  # noqa: F401  (fixtures)

NEAR, BACK = 14, 3


@pytest.fixture(scope="session")
def small_head(tmp_path_factory):
    """Folder: 14 views within ±75° of the front and 3 from behind, as train and test."""
    root = tmp_path_factory.mktemp("small_head")
    full = samples.dataset("head_multiview")
    scene = scene_frame(full.cameras)
    yaws = [abs(yaw_pitch(f.camera, scene)[0]) for f in full.train]
    near = [f for f, y in zip(full.train, yaws, strict=True) if y < 75][:NEAR]
    back = [f for f, y in zip(full.train, yaws, strict=True) if y > 140][:BACK]
    for split, frames in (("train", near[2:] + back), ("test", near[:2])):
        (root / split).mkdir()
        rows = []
        for i, f in enumerate(frames):
            shutil.copy(f.path, root / split / f"r_{i}.png")
            rows.append({"file_path": f"./{split}/r_{i}",
                         "transform_matrix": f.camera.c2w.tolist()})
        (root / f"transforms_{split}.json").write_text(
            json.dumps({"camera_angle_x": full.train[0].camera.fov_x, "frames": rows}))
    Dataset.open(root)
    return root
