"""Videos by the neural swappers: smoothed along the track, or painted onto the mesh."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.evaluation import evaluate_run
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import SwapConfig, VideoConfig
from idf_helpers.swapping.video import swap_video

from . import tiny_onnx

N = 12
CONSENT = "Synthetic heads that show nobody."
PLAIN = VideoConfig(part=8, crf=10, label=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    with media.video_writer(path, 25, crf=10) as video:
        for i in range(66, 66 + N):
            video.append(media.read_image(samples.path("head_talking") / f"train/f_{i:04d}.png"))
    return path


def pixels(path):
    return np.stack([f.copy() for f in read_frames(path, index_video(path))]).astype(int)


def test_ghost_follows_the_face_through_a_video(clone, clip, monkeypatch, tmp_path):
    """Faces are found once, before: the swapper itself looks for one only in its own new face."""
    monkeypatch.setenv("IDF_GHOST", str(clone))
    looked = []
    detect = LandmarkDetector.detect
    monkeypatch.setattr(LandmarkDetector, "detect", lambda self, image, *a, **k: looked.append(
        image.shape[:2]) or detect(self, image, *a, **k))
    path = swap_video(clip, samples.photo("C"), tmp_path / "o", SwapConfig("ghost"), PLAIN,
                      consent=CONSENT)
    report = read_json(tmp_path / "o" / "swap_report.json")
    assert report["backend"] == "ghost" and report["counts"] == {"swapped": N}
    before, after = pixels(clip), pixels(path)
    size = before.shape[1:3]
    assert looked.count(size) <= N + 2 and looked.count((224, 224)) >= N
    change = np.abs(after - before).mean(axis=(0, 3))
    assert change[90:180, 90:180].mean() > 5 > 3 > change[:40].mean()


def test_a_hybrid_of_a_video(clip, tmp_path):
    """Red skin, and the mouth and the eyes stay the video's own, for they move."""
    row = tiny_onnx.write_row(tmp_path / "own", effect="red", size=128)
    path = swap_video(clip, samples.photo("C"), tmp_path / "o", SwapConfig(f"uv+onnx:{row}"),
                      PLAIN, consent=CONSENT)
    report = read_json(tmp_path / "o" / "swap_report.json")
    assert report["backend"] == "uv+onnx:tiny" and report["counts"] == {"swapped": N}
    assert "onnx:tiny on" in report["note"]
    row_, = evaluate_run(tmp_path / "o", clip)
    assert row_["views"] == row_["swapped"] == N and row_["lost_near"] == 0
    assert row_["refound"] is not None and row_["outside_mask"] is None
    assert "codec" in row_["notes"]["outside_mask"]
    with pytest.raises(IdfError, match="is not the video"):
        evaluate_run(tmp_path / "o", path)
    with pytest.raises(IdfError, match="does not keep"):
        evaluate_run(tmp_path / "o")
    before, after = pixels(clip), pixels(path)
    face = LandmarkDetector().detect(before[5].astype(np.uint8))[0]
    x, y = face.xy[[50, 280]].mean(0).astype(int)  # between the cheeks: the nose
    patch = after[5, y - 3:y + 4, x - 3:x + 4].mean((0, 1))
    assert patch[0] > 150 and patch[1] < 110
    for ring in ((159, 145), (386, 374)):
        x, y = face.xy[list(ring)].mean(0).astype(int)
        assert np.abs(after[5, y, x] - before[5, y, x]).max() < 60
