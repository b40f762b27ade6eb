"""Poses that fit the pictures are told from poses that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.data.samples import dataset
from idf_helpers.errors import IdfError
from idf_helpers.tracking.overlay import draw_mesh
from idf_helpers.tracking.pose_check import check_poses

LOOKED_AT = 6


def moved(frames, change):
    """The frames with other cameras: change(i, camera) -> (4, 4)."""
    return [type(f)(**{**vars(f), "camera": replace(f.camera, c2w=change(i, f.camera))})
            for i, f in enumerate(frames)]


@pytest.fixture(scope="module")
def frames():
    everything = dataset("head_talking").frames
    return [everything[i] for i in np.linspace(0, len(everything) - 1, LOOKED_AT).astype(int)]


def test_bundled_sequence_fits(detector):
    data = dataset("head_talking")
    report = check_poses(data.frames, LOOKED_AT, detector=detector,
                         names=data.expression_names)
    assert report.ok and report.median < 1.5 and not report.worst
    assert report.expression_correlation > 0.9
    assert report.require() is report and "fit the pictures" in report.text()
    drawn = draw_mesh(data.frames[0].image(), report.seen[0])
    assert drawn.dtype == np.uint8 and data.frames[0].name == report.names[0]
    green = (drawn[..., 1].astype(int) - drawn[..., 0] > 25).mean()
    assert green > 0.02  # the mesh is drawn


@pytest.mark.parametrize("wrong", ["out of step", "mirrored", "one for all"])
def test_wrong_poses_are_told(detector, frames, wrong):
    flip = np.diag([-1.0, 1, 1, 1])
    change = {"out of step": lambda i, c: frames[(i + 3) % LOOKED_AT].camera.c2w,
              "mirrored": lambda i, c: flip @ c.c2w @ flip,
              "one for all": lambda i, c: frames[0].camera.c2w}[wrong]
    report = check_poses(moved(frames, change), LOOKED_AT, detector=detector)
    assert not report.ok and "DO NOT FIT" in report.text()
    with pytest.raises(IdfError, match="do not fit"):
        report.require()


def test_pictures_without_faces_are_told(frames):
    class Blind:
        def detect(self, image, **_):
            return []

    with pytest.raises(IdfError, match="cannot be compared"):
        check_poses(frames, detector=Blind())
