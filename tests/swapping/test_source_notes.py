"""What the report tells of a photo: closed eyes, a drawing."""

import json

import cv2
import numpy as np
import pytest

from idf_helpers import SwapConfig, swap
from idf_helpers.data import media, samples
from idf_helpers.face import topology
from idf_helpers.swapping.mesh.per_picture import swap_mesh
from idf_helpers.swapping.source import from_image
from idf_helpers.swapping.source_notes import flat_share, source_notes
from tests.fixtures.drawing import drawn


@pytest.fixture(scope="module")
def drawing(photos, detector):
    return drawn(detector.detect(photos["C"])[0], *photos["C"].shape[:2])


def eyes_shut(image, face):
    """Both eye openings painted over with the skin of their lids, a line where they meet."""
    out = image.copy()
    for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
        p = face.xy[ring]
        width = np.ptp(p[:, 0])
        middle = tuple(int(v) for v in p.mean(0))
        lid = out[int(p[:, 1].max() + 0.35 * width), middle[0]].tolist()
        cv2.ellipse(out, middle, (int(0.75 * width), int(0.42 * width)), 0, 0, 360, lid, -1)
        line = tuple(int(v) for v in (middle[0], middle[1] + 0.12 * width))
        cv2.ellipse(out, line, (int(0.5 * width), int(0.1 * width)), 0, 0, 180, (30, 20, 18),
                    max(1, int(0.05 * width)), cv2.LINE_AA)
    return cv2.GaussianBlur(out, (0, 0), 1)


def test_nothing_is_told_of_an_ordinary_photo(photos, detector):
    faces = tuple(from_image(p, detector, name=n) for n, p in photos.items())
    assert source_notes(faces) == [] and max(map(flat_share, faces)) < 0.3


def test_closed_eyes_are_told(photos, detector):
    face = detector.detect(photos["C"])[0]
    shut = from_image(eyes_shut(photos["C"], face), detector, name="asleep.png")
    note, = source_notes((from_image(photos["B"], detector, name="awake.png"), shut))
    assert "asleep.png" in note and "awake" not in note and "eyes are closed" in note


def test_a_drawing_is_taken_and_told(drawing, photos, detector, tmp_path):
    media.write_image(tmp_path / "drawing.png", drawing)
    out = swap(samples.photo("B"), tmp_path / "drawing.png", tmp_path / "run",
               SwapConfig(backend="mesh"), consent="drawn for this test")
    report = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "drawing.png looks like a drawing" in json.dumps(report)
    swapped = media.read_image(out)[..., :3]
    face = detector.detect(photos["B"])[0]
    oval = np.zeros(swapped.shape[:2], np.uint8)
    cv2.fillPoly(oval, [face.xy[topology.FACE_OVAL].astype(int)], 1)
    changed = np.abs(swapped.astype(int) - photos["B"]).max(-1) > 8
    assert changed[oval > 0].mean() > 0.5 and changed[oval == 0].mean() < 0.15


def test_a_drawing_gets_a_face(drawing, photos, detector):
    """As a target: eyes, nose and lips are put onto it."""
    face = detector.detect(drawing)[0]
    result = swap_mesh(drawing, face, from_image(photos["B"], detector))
    assert result.status == "swapped"
    for point in (topology.NOSE_TIP, topology.LIP_LOWER, topology.RIGHT_EYE[0]):
        assert result.mask[tuple(face.xy[point].astype(int)[::-1])] > 0.9
