"""The face networks: what goes in and comes out, exactly, and files that cannot be used."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import landmark_nets as N
from idf_helpers.face.detector import LandmarkDetector


def test_anchors():
    anchors = N.detector_anchors()
    assert anchors.shape == (896, 2)
    assert np.allclose(anchors[:4], np.array([[.5, .5], [.5, .5], [1.5, .5], [1.5, .5]]) / 16)
    assert np.allclose(anchors[32], np.array([0.5, 1.5]) / 16)  # rows come one after the other
    assert np.allclose(anchors[512:518], np.array([0.5, 0.5]) / 8)
    assert np.allclose(anchors[-1], np.array([7.5, 7.5]) / 8)


def outputs(entries):
    logits = np.full((1, 896, 1), -100, np.float32)
    regressors = np.zeros((1, 896, 16), np.float32)
    for anchor, logit, values in entries:
        logits[0, anchor, 0], regressors[0, anchor] = logit, values
    return logits, regressors


def test_decode_adds_the_anchor_and_orders_by_score():
    values = [4, -8, 32, 64] + [k for p in range(6) for k in (p, -p)]
    found = N.decode_detections(*outputs([(34, 1.0, values), (700, 3.0, values)]), 0.5)
    anchors = N.detector_anchors()
    assert [round(f[0], 6) for f in found] == [round(float(1 / (1 + np.exp(-x))), 6)
                                               for x in (3.0, 1.0)]
    score, keypoints, box = found[1]
    assert np.allclose(box, [*(anchors[34] + (4 / 128, -8 / 128)), 0.25, 0.5])
    assert np.allclose(keypoints, anchors[34] + np.array([(p, -p) for p in range(6)]) / 128)
    assert N.decode_detections(*outputs([(34, -0.1, values)]), 0.5) == []


def test_overlapping_detections_become_one():
    box = [0, 0, 40, 40] + [0] * 12
    found = N.decode_detections(*outputs([(0, 2.0, box), (2, 4.0, box), (510, 1.0, box)]), 0.5)
    assert len(found) == 2 and np.allclose(found[0][2][:2], N.detector_anchors()[2])


def test_boxes_without_a_size_are_dropped():
    assert N.decode_detections(*outputs([(0, 9.0, [0, 0, -5, 40] + [0] * 12)]), 0.5) == []


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7, 2.6, 5.3])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_warp_keeps_pixel_centers(scale, angle):
    """On a picture whose value is a ramp in x and y, the crop shows the ramp at M @ center."""
    h, w = 700, 900
    y, x = np.mgrid[:h, :w] + 0.5
    ramp = np.stack([x, y, 0 * x], -1).astype(np.float32)
    A = N.rotation(angle) * scale
    size = 96
    M = np.column_stack([A, np.array([440, 350]) - A @ np.full(2, size / 2)])
    crop = N.warp_square(ramp, M, size).astype(np.float64)
    v, u = np.mgrid[:size, :size] + 0.5
    at = np.stack([u, v], -1) @ A.T + M[:, 2]
    inside = (at > 8).all(-1) & (at[..., 0] < w - 8) & (at[..., 1] < h - 8)
    assert inside.sum() > 1000
    # warpAffine places samples to 1/32 px
    assert np.abs(crop[..., :2] - at)[inside].max() < max(1.0, scale) / 16


def test_warp_is_black_outside():
    white = np.full((50, 60, 3), 255, np.uint8)
    for side in (30, 300):
        M = np.array([[side / 32, 0, -side / 2], [0, side / 32, -side / 2]])
        crop = N.warp_square(white, M, 32)
        assert (crop[:15, :] == 0).all() and (crop[:, :15] == 0).all()
        assert crop[17, 17].min() == 255


def test_an_opencv_that_computes_something_else_is_refused(monkeypatch, photos):
    """Its new engine gives a wrong probability of a face, and only one output a run."""
    read = cv2.dnn.readNetFromTFLite

    class OtherEngine:
        def __init__(self, *args):
            self.net = read(*args)

        def setInput(self, blob):
            self.net.setInput(blob)

        def forward(self, names):
            first, second = self.net.forward(names)
            return first, second + (1.0 if "Identity_1" in names else 0.0)

    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", OtherEngine)
    other = LandmarkDetector()
    for _ in range(2):  # the second try no less
        with pytest.raises(IdfError, match="does not run the face models correctly") as error:
            other.detect(photos["B"])
        assert cv2.__version__ in error.value.what and "opencv-python-headless" in error.value.do

    def one_output(self, names):
        raise cv2.error("the number of requested and actual outputs must be the same")

    monkeypatch.setattr(OtherEngine, "forward", one_output)
    with pytest.raises(IdfError, match="cannot run the face models") as error:
        LandmarkDetector().detect(photos["B"])
    assert "number of requested" in error.value.found


def test_missing_models_name_the_command(tmp_path, monkeypatch, photos):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    monkeypatch.delenv("IDF_FACE_MODELS", raising=False)
    with pytest.raises(IdfError) as error:
        LandmarkDetector().detect(photos["B"])
    assert "idf download face_landmarks" in error.value.do
    for name in ("face_detector.tflite", "face_landmarks_detector.tflite"):
        Path(tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(IdfError, match="cannot run the face models"):
        LandmarkDetector(tmp_path).detect(photos["B"])
