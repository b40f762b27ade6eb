"""`idf track`: frames in, a NeRFace dataset out; resumed, marked, and bad input told."""

from __future__ import annotations

import json
import shutil
import sys
import types
import zipfile

import numpy as np
import pytest

from idf_helpers.cli.main import main
from idf_helpers.data import media
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.footage import Source
from idf_helpers.data.samples import dataset
from idf_helpers.errors import IdfError
from idf_helpers.face import frame_landmarks as frames_module
from idf_helpers.face.frame_landmarks import read_landmarks
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.fit import rotation_vector
from idf_helpers.tracking.mediapipe_task import our_names
from idf_helpers.tracking.track import track
from tests.fixtures.reporting import Calling

from .clips import SIZE, make_clip

AS_FILE = TrackConfig(size=SIZE, identity=False, overlay=False)
QUICK = TrackConfig(fov=29.0, identity=False, overlay=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 pictures of the bundled sequence, one without a face among them; the true frames."""
    root = tmp_path_factory.mktemp("clip")
    chosen = sorted(dataset("head_talking").frames, key=lambda f: f.name[-4:])[:280:24]
    for i, f in enumerate(chosen):
        shutil.copy(f.path, root / f"p_{i}.png")
    media.write_image(root / "p_3.png", np.full((256, 256, 3), 90, np.uint8))
    return root, chosen


@pytest.fixture(scope="module")
def tracked(clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("tracked") / "run"
    main(["track", str(clip[0]), "--out", str(out), "--fov", "29"])
    return out


def test_the_result_is_a_dataset_in_the_samples_world(clip, tracked):
    data, chosen = Dataset.open(tracked), clip[1]
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [4, 5, 2]
    assert data.expression_names == dataset("head_talking").expression_names
    assert data.fps == 25  # of a folder of pictures
    moved = []
    for frame in data.frames:
        true = chosen[int(frame.name[-5:])].camera
        moved.append(true.c2w[:3, :3] @ frame.camera.c2w[:3, :3].T)
        assert np.linalg.norm(frame.camera.position) == pytest.approx(0.5, abs=0.04)
        assert frame.camera.fov_x == pytest.approx(np.radians(29), abs=1e-3)
        top, bottom, left, right = frame.bbox
        assert 0 <= top < 0.3 and 0.6 < bottom <= 1 and left < 0.4 and right > 0.6
        assert len(frame.expression) == 76 and 0 <= frame.expression.min()
    assert np.degrees(max(np.linalg.norm(rotation_vector(m)) for m in moved)) < 8
    jaw = data.expression_names.index("jawOpen")
    told = [chosen[int(f.name[-5:])].expression[jaw] for f in data.frames]
    assert np.corrcoef(told, [f.expression[jaw] for f in data.frames])[0, 1] > 0.9
    raw = json.loads((tracked / "transforms_train.json").read_text())
    assert len(raw["intrinsics"]) == 4 and raw["frames"][0]["file_path"] == "./frames/f_00000"


def test_report_overlay_and_mark(tracked):
    report = read_json(tracked / "track_report.json")
    assert report["without_face"] == [3] and report["used"] == 11 and report["frames"] == 12
    assert report["fov_from"] == "given" and report["error_percent"] < 2
    assert sum(1 for _ in media.read_video(tracked / "overlay.mp4")) == 12
    assert "face mesh" in str(verify(tracked / "overlay.mp4"))
    assert media.read_image(tracked / "overlay.jpg").shape[1] == 4 * 320
    with np.load(tracked / "track.npz") as z:
        assert z["poses"].shape == (12, 4, 4) and np.isnan(z["poses"][3]).all()
        assert z["neutral"].shape == (468, 3) and not z["used"][3]


def test_a_finished_run_does_nothing(clip, tracked, monkeypatch):
    monkeypatch.setattr(frames_module.FollowingDetector, "__call__",
                        lambda *_: pytest.fail("detected again"))
    said = []
    track(clip[0], tracked, TrackConfig(fov=29.0), reporter=Calling(lambda s, f: said.append(s)))
    assert said == ["already done"]


def test_an_interrupted_run_goes_on_from_its_frame(clip, tmp_path, monkeypatch):
    """The detector is replaced by landmarks of a made-up clip, one call a frame."""
    points, calls = make_clip(12)[0], []

    def detect(self, rgb):
        calls.append(rgb.shape)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return points[len(calls) - 1 - (len(calls) > 6)]

    monkeypatch.setattr(frames_module.FollowingDetector, "__call__", detect)
    config = TrackConfig(fov=30.0, size=SIZE, identity=False, overlay=False)
    with pytest.raises(KeyboardInterrupt):
        track(clip[0], tmp_path / "a", config)
    with open(tmp_path / "a" / "landmarks.f32", "ab") as f:
        f.write(b"half a record")
    track(clip[0], tmp_path / "a", config)
    assert len(calls) == 13  # the frame at which it was stopped was looked at twice, no other
    calls.clear()
    calls.extend([None] * 7)  # past the interruption
    monkeypatch.setattr(frames_module.FollowingDetector, "__call__",
                        lambda self, rgb: (calls.append(1), points[len(calls) - 8])[1])
    track(clip[0], tmp_path / "b", config)
    for name in ("landmarks.f32", "transforms_train.json", "transforms_test.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    numbers, again = read_landmarks(tmp_path / "a" / "landmarks.f32")
    np.testing.assert_array_equal(numbers, np.arange(12))
    np.testing.assert_allclose(again, points, rtol=1e-6)


def test_a_video_without_a_face_is_told(tmp_path, capsys):
    rng = np.random.default_rng(0)
    with media.video_writer(tmp_path / "noise.mp4", 10) as video:
        for _ in range(5):
            video.append(rng.integers(0, 255, (48, 64, 3), np.uint8))
    with pytest.raises(SystemExit) as stop:
        main(["track", str(tmp_path / "noise.mp4"), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2 and "three frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bad_sources_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    for path, word in (("empty", "no pictures"), ("none.mp4", "no such file"),
                       ("text.mp4", "no video"), ("x.doc", "neither a video")):
        with pytest.raises(IdfError) as error:
            track(tmp_path / path, tmp_path / "out", QUICK)
        assert word in str(error.value)
    for k, size in enumerate(((40, 40), (40, 50))):
        media.write_image(tmp_path / "empty" / f"{k}.png", np.zeros((*size, 3), np.uint8))
    with pytest.raises(IdfError, match="differ in size"):
        track(tmp_path / "empty", tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()
    names = [p.name for p in Source(tmp_path / "empty").pictures]
    assert names == ["0.png", "1.png"]


# --- a task file of the user's --------------------------------------------------------------------

def fake_mediapipe(monkeypatch, points, matrices, flat=False):
    """A stand-in for the package: it answers with what a Tasks landmarker gives."""
    calls = iter(range(len(points)))
    score = types.SimpleNamespace

    class Landmarker:
        @classmethod
        def create_from_options(cls, options):
            assert options.output_face_blendshapes
            return cls()

        def detect(self, image):
            i = next(calls)
            h, w = image.shape[:2]
            marks = [score(x=p[0] / w, y=p[1] / h, z=0.0 if flat else 0.1) for p in points[i]]
            marks += [score(x=0, y=0, z=0.0 if flat else 0.1)] * 10  # the irises
            return score(face_landmarks=[marks], facial_transformation_matrixes=[matrices[i]],
                         face_blendshapes=[[score(category_name="_neutral", score=0.9),
                                            score(category_name="jawOpen", score=0.05 * i),
                                            score(category_name="browInnerUp", score=0.3),
                                            score(category_name="eyeBlinkLeft", score=0.7)]])

        def close(self):
            pass

    package = types.ModuleType("mediapipe")
    package.Image = lambda image_format, data: data
    package.ImageFormat = score(SRGB=1)
    tasks = types.ModuleType("mediapipe.tasks.python")
    tasks.BaseOptions = lambda **k: k
    tasks.vision = score(FaceLandmarker=Landmarker,
                         FaceLandmarkerOptions=lambda **k: score(**k))
    for name, module in (("mediapipe", package), ("mediapipe.tasks", types.ModuleType("x")),
                         ("mediapipe.tasks.python", tasks)):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(path, "w") as z:
        for member in ("face_detector.tflite", "face_landmarks_detector.tflite",
                       "face_blendshapes.tflite"):
            z.writestr(member, b"x")
    return path


def test_scores_and_poses_of_a_task_file(clip, tmp_path, task, monkeypatch):
    points, poses, _, _ = make_clip(12, fov=63.0)
    shift = np.eye(4)
    shift[:3, 3] = (0, 2, -3)  # MediaPipe's head has another origin
    fake_mediapipe(monkeypatch, points, [1.02 * (p @ shift) for p in poses])
    data = track(clip[0], tmp_path / "out", AS_FILE, task=task)
    jaw, brow = (data.expression_names.index(n) for n in ("jawOpen", "browInnerUp_R"))
    for f in data.frames:
        assert f.expression[jaw] == pytest.approx(0.05 * int(f.name[-5:]), abs=1e-4)
        assert f.expression[brow] == pytest.approx(0.3, abs=1e-4)
    assert data.frames[0].camera.fov_x == pytest.approx(np.radians(63), abs=1e-6)
    assert read_json(tmp_path / "out" / "track_report.json")["method"] == "task"


def test_a_bad_task_file_is_told(clip, tmp_path, task, monkeypatch):
    fake_mediapipe(monkeypatch, make_clip(12)[0], [np.eye(4)] * 12, flat=True)
    with pytest.raises(IdfError, match="do not belong together"):
        track(clip[0], tmp_path / "out", AS_FILE, task=task)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(IdfError, match="needs the package mediapipe"):
        track(clip[0], tmp_path / "out", AS_FILE, task=task)
    with zipfile.ZipFile(task, "w") as z:
        z.writestr("face_detector.tflite", b"x")
    with pytest.raises(IdfError, match="face_blendshapes"):
        track(clip[0], tmp_path / "out", AS_FILE, task=task)
    task.write_bytes(b"no zip")
    with pytest.raises(IdfError, match="not a MediaPipe task"):
        track(clip[0], tmp_path / "out", AS_FILE, task=task)
    for config in (QUICK, TrackConfig(brows=False)):
        with pytest.raises(IdfError, match="is not read with a .task file"):
            track(clip[0], tmp_path / "out", config, task=task)
    assert not (tmp_path / "out").exists()


def test_names_of_scores():
    names = ("eyeBlink_L", "browInnerUp_L", "browInnerUp_R", "jawOpen", "mouthLeft")
    assert our_names("eyeBlinkLeft", names) == ["eyeBlink_L"]
    assert our_names("browInnerUp", names) == ["browInnerUp_L", "browInnerUp_R"]
    assert our_names("jawOpen", names) == ["jawOpen"]
    assert our_names("mouthLeft", names) == ["mouthLeft"]
    assert our_names("_neutral", names) == [] == our_names("tongueOut", names)
