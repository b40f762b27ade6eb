"""From footage of a turn to a dataset, and what is said of footage that is none."""

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.capturing import capture as module
from idf_helpers.capturing import look as looking
from idf_helpers.capturing import solving
from idf_helpers.capturing.cameras import Cameras, Frames
from idf_helpers.capturing.capture import capture
from idf_helpers.capturing.colmap_process import run_worker
from idf_helpers.capturing.config import CaptureConfig
from idf_helpers.capturing.look import size_of
from idf_helpers.capturing.methods import CAPTURES
from idf_helpers.capturing.motion import Motion, motion
from idf_helpers.capturing.neck import Neck
from idf_helpers.capturing.report import Facts, doubts
from idf_helpers.capturing.scan import Scan
from idf_helpers.capturing.writing import write_dataset
from idf_helpers.cli.main import main
from idf_helpers.data import media, samples
from idf_helpers.data.cameras import Camera
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.runtime.files import read_json, write_json
from idf_helpers.runtime.progress import Reporter
from idf_helpers.runtime.registry import Entry
from tests.fixtures.reporting import Calling, Notes
from tests.fixtures.turning import SIZE, before, make_room

CONFIG = CaptureConfig(frames=16)
TRUTH: list[Camera] = []
BENT = (2, 3)


@pytest.fixture(scope="module")
def captured(turn, tmp_path_factory):
    out = tmp_path_factory.mktemp("captured") / "out"
    return SimpleNamespace(out=out, data=capture(turn.folder, out, CONFIG, method="landmarks"))


def numbers(data):
    return [int(f.name[-5:]) for f in data.frames]


def test_landmark_cameras_of_a_turn(turn, captured):
    """One picture every 7.5 degrees, 320 pixels: little to follow, and yet."""
    report = read_json(captured.out / "capture_report.json")
    assert report["method"] == "landmarks" and report["moves"] == "head"
    assert report["registered"] >= 0.9 * report["chosen"] and report["chosen"] >= 12
    rows = numbers(captured.data)
    found = np.array([f.camera.c2w for f in captured.data.frames])
    true = np.array([turn.cameras[i].c2w for i in rows])
    turned = Rotation.from_matrix(true[:, :3, :3]) * \
        Rotation.from_matrix(found[:, :3, :3]).inv()
    inside = np.abs(turn.yaw[rows]) < 60
    off = np.degrees((turned[inside].mean().inv() * turned[inside]).magnitude())
    assert np.median(off) < 1.5 and off.max() < 3.5
    # upright, facing -y, of the size of the bundled views: to what a mean face tells of this one
    assert np.degrees(turned[inside].mean().magnitude()) < 5
    distance = np.linalg.norm(found[inside, :3, 3], axis=1)
    assert 3.2 < np.median(distance) < 4.8
    assert [f.camera.front.tolist() for f in captured.data.frames] == [[0, -1, 0]] * len(rows)


def test_the_dataset_shows_the_person_alone(turn, captured):
    data = Dataset.open(captured.out)
    assert len(data.test) >= 1 and len(data.train) > len(data.test) + len(data.val)
    for f in data.frames[:4]:
        image, true = f.image(), turn.images[numbers(data)[data.frames.index(f)]]
        assert image.shape[2] == 4
        # cropped about the principal point, which is the middle of the picture
        x, y = (round(SIZE / 2 - c) for c in (f.camera.cx, f.camera.cy))
        part = true[y:y + image.shape[0], x:x + image.shape[1], 3] > 128
        mine = image[..., 3] > 128
        half = len(mine) // 2  # below, the shoulders are cut off: they need not turn with a head
        assert (part & mine)[:half].sum() > 0.93 * (part | mine)[:half].sum()
        assert (mine & ~part).sum() < 0.03 * mine.sum()
    assert (captured.out / "overlay.jpg").is_file() and not (captured.out / "work").exists()


def test_a_second_call_does_nothing(turn, captured):
    notes = Notes()
    stamp = (captured.out / "transforms_train.json").stat().st_mtime_ns
    capture(turn.folder, captured.out, CONFIG, method="landmarks", reporter=notes)
    assert notes.steps == ["already done"]
    assert (captured.out / "transforms_train.json").stat().st_mtime_ns == stamp


# --- the driver, with cameras that are given --------------------------------------------------

def solved(frames, folder, report):
    """The true cameras, as a solver would hand them on."""
    return Cameras("landmarks", tuple(TRUTH[n] for n in frames.numbers), None, 0.1)


def fails(frames, folder, report):
    """What becomes of a pycolmap that the system kills in the middle."""
    worker = folder.parent / "worker.py"
    worker.write_text("import os\nprint('{\"step\": \"matching frames\"}', flush=True)\n"
                      "os.kill(os.getpid(), 9)\n")
    write_json(folder.parent / "job.json", {})
    run_worker(folder.parent / "job.json", 60.0, report, worker)


@pytest.fixture
def given(turn, monkeypatch):
    """Puts the true cameras in the place of landmark cameras, and lets colmap fail."""
    TRUTH[:] = turn.cameras
    here = "tests.capturing.test_capture"
    landmarks = Entry("landmarks", f"{here}:solved", "given", 5)
    monkeypatch.setattr(CAPTURES, "entries", {
        "colmap": Entry("colmap", f"{here}:fails", "fails", 9), "landmarks": landmarks})
    monkeypatch.setattr(solving, "LANDMARKS", landmarks)


def test_where_colmap_fails_landmarks_take_over_and_it_is_said(turn, given, tmp_path):
    notes = Notes()
    capture(turn.folder, tmp_path / "out", CONFIG, reporter=notes)
    report = read_json(tmp_path / "out" / "capture_report.json")
    assert report["method"] == "landmarks"
    assert any("colmap failed" in d and "signal 9, while at: matching frames" in d
               for d in report["doubts"])
    assert any("colmap failed" in n for n in notes.notes)
    with pytest.raises(IdfError, match="pycolmap ended unexpectedly"):
        capture(turn.folder, tmp_path / "other", CONFIG, method="colmap")
    assert not (tmp_path / "other").exists()


def some(frames, folder, report):
    """What pycolmap gave, with every other frame that shows the face from before left out."""
    cameras = solved(frames, folder, report).cameras
    return Cameras("colmap", tuple(
        None if i % 2 and TRUTH[n].position[1] < -2.5 else c
        for i, (n, c) in enumerate(zip(frames.numbers, cameras, strict=True))), None, 0.1)


def few(frames, folder, report):
    """What pycolmap gave, for too few frames to bring others into its world."""
    cameras = solved(frames, folder, report).cameras
    return Cameras("colmap", (*cameras[:4], *(None,) * (len(cameras) - 4)), None, 0.1)


def wrong(frames, folder, report):
    """What pycolmap gave that took a turn for a third of it."""
    middle = len(TRUTH) // 2
    return Cameras("colmap", tuple(TRUTH[middle + int(n - middle) // 3] for n in frames.numbers),
                   None, 0.1)


def bent(frames, folder, report):
    """What pycolmap gave that is wrong on one side alone."""
    cameras = list(solved(frames, folder, report).cameras)
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("z", 25, degrees=True).as_matrix()
    for i in BENT:
        cameras[i] = replace(cameras[i], c2w=tilt @ cameras[i].c2w)
    return Cameras("colmap", tuple(cameras), None, 0.1)


@pytest.mark.parametrize("solver, method, words", [
    ("bent", "colmap", "contradicts the face: landmark cameras are there in its place"),
    ("wrong", "landmarks", "put the frames together wrongly"),
    ("some", "colmap", "have landmark cameras, brought into its world"),
    ("few", "landmarks", "frames, landmarks for")])
def test_frames_that_colmap_leaves_out_get_landmark_cameras(turn, given, tmp_path, solver, method,
                                                            words):
    CAPTURES.entries["colmap"] = Entry("colmap", f"tests.capturing.test_capture:{solver}", "", 9)
    data = capture(turn.folder, tmp_path / "out", CONFIG)
    report = read_json(tmp_path / "out" / "capture_report.json")
    assert report["method"] == method and report["registered"] == report["chosen"]
    assert any(words in d for d in report["doubts"])
    for f in data.frames:  # all in one world
        true = turn.cameras[int(f.name[-5:])]
        turned = Rotation.from_matrix(true.c2w[:3, :3].T @ f.camera.c2w[:3, :3])
        assert np.degrees(turned.magnitude()) < 8


def test_single_wrong_frames_are_named_and_dropped(turn, given, tmp_path):
    CAPTURES.entries["colmap"] = Entry("colmap", "tests.capturing.test_capture:bent", "", 9)
    data = capture(turn.folder, tmp_path / "out", CONFIG, method="colmap")
    report = read_json(tmp_path / "out" / "capture_report.json")
    assert report["registered"] == report["chosen"] - len(BENT) == len(data.frames)
    a, b = report["without_camera"]
    assert f"for frames {a}, {b} contradicts the face: left out" in report["doubts"][0]


def test_where_landmarks_fail_too_both_are_named(turn, given, tmp_path, monkeypatch):
    entry = Entry("landmarks", "tests.capturing.test_capture:fails", "fails", 5)
    monkeypatch.setattr(solving, "LANDMARKS", entry)
    CAPTURES.entries["colmap"] = Entry("colmap", "tests.capturing.test_capture:wrong", "", 9)
    with pytest.raises(IdfError, match="Neither colmap nor the landmarks") as error:
        capture(turn.folder, tmp_path / "out", CONFIG)
    assert "turn" in error.value.found and "signal 9" in error.value.found
    assert "film again" in error.value.do and "--method colmap" in error.value.do


def test_a_killed_run_goes_on(turn, given, tmp_path, monkeypatch):
    def stop(what, fraction):
        if what == "cutting the person out" and fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(turn.folder, tmp_path / "out", CONFIG, method="landmarks",
                reporter=Calling(stop))
    masks = sorted((tmp_path / "out" / "work" / "masks").iterdir())
    stamps = [m.stat().st_mtime_ns for m in masks]
    assert masks
    made = []
    monkeypatch.setattr(looking, "write_mask", lambda file, alpha, _f=looking.write_mask:
                        (made.append(file), _f(file, alpha)))

    def watch(what, fraction):
        if what == "writing the pictures":
            assert [m.stat().st_mtime_ns for m in masks] == stamps

    data = capture(turn.folder, tmp_path / "out", CONFIG, method="landmarks",
                   reporter=Calling(watch))
    assert not set(made) & set(masks)
    whole = capture(turn.folder, tmp_path / "whole", CONFIG, method="landmarks")
    for a, b in zip(data.frames, whole.frames, strict=True):
        assert a.name == b.name and a.path.read_bytes() == b.path.read_bytes()
        np.testing.assert_array_equal(a.camera.c2w, b.camera.c2w)


def test_a_full_disk_is_one_error_and_the_next_call_goes_on(turn, given, tmp_path, monkeypatch):
    room, write = [30], Path.write_bytes

    def full(path, data):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(IdfError, match="disk is full") as error:
            capture(turn.folder, tmp_path / "out", CONFIG)  # colmap fails, and is not to blame
    assert "run the same command again" in error.value.do
    frames = sorted((tmp_path / "out" / "work" / "frames").iterdir())
    stamps = [f.stat().st_mtime_ns for f in frames]

    def watch(what, fraction):
        if what == "writing the pictures":
            assert [f.stat().st_mtime_ns for f in frames] == stamps

    assert len(capture(turn.folder, tmp_path / "out", CONFIG, method="auto",
                       reporter=Calling(watch)).frames) > 8


# --- bad input ----------------------------------------------------------------------------------

def test_a_still_picture_as_video_is_told(turn, tmp_path, capsys):
    with media.video_writer(tmp_path / "still.mp4", 10) as video:
        for _ in range(20):
            video.append(before(turn.images[12], turn.room))
    with pytest.raises(SystemExit) as stop:
        main(["capture", str(tmp_path / "still.mp4"), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2 and "shows no turn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_footage_without_a_face_is_told(tmp_path):
    room = make_room(3, 640)
    for k in range(10):
        media.write_image(tmp_path / f"{k}.png", room[:SIZE, 8 * k:8 * k + SIZE], effort=1)
    with pytest.raises(IdfError, match="No face was found"):
        capture(tmp_path, tmp_path / "out", CONFIG)


def test_what_is_no_footage_is_told(tmp_path):
    for path, word in (("none.mp4", "no such file"), ("a.doc", "neither a video")):
        with pytest.raises(IdfError, match=word):
            capture(tmp_path / path, tmp_path / "out", CONFIG)


def test_a_second_person_and_one_who_walks_out_are_told(turn, given, tmp_path):
    wide, room = 480, np.concatenate([make_room(7), make_room(8)], 1)[:, :480]
    second = before(cv2.resize(turn.images[12], (160, 160)), room[160:, :160])
    n = len(turn.images)
    for k in range(n + 14):
        picture = room.copy()
        picture[160:, :160] = second
        image = turn.images[min(k, n - 1)]
        left = min(160 + 24 * max(0, k - n + 1), wide - 1)  # walks out to the right
        part = picture[:, left:wide]
        picture[:, left:wide] = before(image[:, :wide - left], part)
        if k > n + 6:
            picture = room.copy()
        media.write_image(tmp_path / "in" / f"{k}.png", picture, effort=1)
    TRUTH[:] = [replace(c, width=wide, cx=c.cx + 160) for c in turn.cameras] + \
        [replace(turn.cameras[-1], width=wide)] * 14
    capture(tmp_path / "in", tmp_path / "out", replace(CONFIG, frames=40), method="landmarks")
    report = read_json(tmp_path / "out" / "capture_report.json")
    assert any("more than one person" in d for d in report["doubts"])
    used = [int(f.name[-5:]) for f in Dataset.open(tmp_path / "out").frames]
    assert max(used) < n + 7


def test_what_is_missing_is_said_before_any_work(turn, tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_PERSON_MASK", "")
    monkeypatch.setenv("IDF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "look_at", None)
    with pytest.raises(IdfError, match="idf download"):
        capture(turn.folder, tmp_path / "out", CONFIG, method="landmarks")
    assert not (tmp_path / "out").exists()


def facts(**more):
    still = Motion(0.1, 5.0, 1.0, 0.0)
    return Facts(**({"take": 600, "frames": 600, "seconds": 20.0, "breaks": (),
                     "blurred": 0.0, "nobody": 0.0, "people": 0.0, "motion": still,
                     "chin": 0.0, "top": 0.0} | more))


def some_frames(n=40, faces=40, moves="head"):
    points = np.zeros((n, 468, 3), np.float32)
    points[faces:] = np.nan
    return Frames(np.arange(n), (), (), points, SIZE, SIZE, moves)


def some_cameras(n=40, lost=0):
    camera = Camera.look_at((0, -4, 0), (0, 0, 0), (0, 0, 1), 0.5, SIZE, SIZE)
    return Cameras("colmap", (None,) * lost + (camera,) * (n - lost), None, 0.3)


@pytest.mark.parametrize("words, frames, cameras, seen, yaw", [
    ("not one take", some_frames(), some_cameras(), {"breaks": ("a cut at frame 9",)}, (-60, 60)),
    ("covers only 40 degrees", some_frames(), some_cameras(), {}, (-20, 20)),
    ("got no camera", some_frames(), some_cameras(lost=10), {}, (-60, 60)),
    ("only 15 frames", some_frames(), some_cameras(lost=25), {}, (-60, 60)),
    ("show a face", some_frames(faces=8), some_cameras(), {}, (-60, 60)),
    ("more than one person", some_frames(), some_cameras(), {"people": 0.5}, (-60, 60)),
    ("show nobody", some_frames(), some_cameras(), {"nobody": 0.4}, (-60, 60)),
    ("blurred", some_frames(), some_cameras(), {"blurred": 0.5}, (-60, 60)),
    ("chin", some_frames(), some_cameras(), {"chin": 0.5}, (-60, 60)),
    ("top of the head", some_frames(), some_cameras(), {"top": 0.5}, (-60, 60)),
    ("zooms slowly, up to 1.20 times", some_frames(), some_cameras(), {"zoom": 1.2}, (-60, 60)),
    ("4.0 seconds", some_frames(), some_cameras(), {"seconds": 4.0}, (-60, 60)),
    ("moves by itself", some_frames(), some_cameras(),
     {"motion": Motion(0.1, 5.0, 1.0, 0.5)}, (-60, 60))])
def test_each_doubt_is_a_sentence_of_its_own(words, frames, cameras, seen, yaw):
    said = doubts(frames, cameras, facts(**seen), yaw)
    assert len(said) == 1 and words in said[0]
    assert doubts(some_frames(), some_cameras(), facts(), (-60, 60)) == []
    assert "from -60 to 55 degrees" in doubts(
        some_frames(), replace(some_cameras(), method="landmarks"), facts(), (-60, 55))[0]


# --- parts --------------------------------------------------------------------------------------

def test_what_moves_is_told_from_the_room(turn, detector, tmp_path):
    """The head turns by 7.5 degrees; the room stands still, or moves as before a camera."""
    true = {}
    room = make_room(5, 720)
    for name, step in (("head", 0), ("camera", 24)):
        files = []
        for k in range(8, 12):
            file = tmp_path / f"{name}{k}.png"
            part = room[160:160 + SIZE, 100 + step * k:100 + step * k + SIZE]
            media.write_image(file, before(turn.images[k], part), effort=1)
            true[file.name] = turn.images[k][..., 3] / 255
            files.append(file)
        points = np.array([detector.detect(turn.images[k])[0].points for k in range(8, 12)])
        pictures = {f: media.read_image(f) for f in files}
        def alpha(picture, pictures=pictures, files=files):
            small = [cv2.resize(p, picture.shape[1::-1]) for p in pictures.values()]
            k = int(np.argmin([np.abs(s.astype(int) - picture).mean() for s in small]))
            return cv2.resize(true[files[k].name].astype(np.float32), picture.shape[1::-1])

        found = motion([(0, 1), (1, 2), (2, 3)], files, Neck.of(points, SIZE, SIZE), alpha)
        assert found.moves == name


def test_a_plain_wall_does_not_move(turn, detector, tmp_path):
    """Before an even wall, what a codec leaves of it is nothing that moves by itself."""
    files = []
    faint = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (SIZE, SIZE, 1)), None, 2)
    faint = faint[..., None] / faint.std()  # gray levels
    for k in range(8, 12):
        files.append(tmp_path / f"{k}.png")
        left, right = (np.roll(faint, step * k, 0)[:, :SIZE // 2] for step in (4, -4))
        wall = (150 + np.repeat(np.concatenate([left, right], 1), 3, 2)).round().astype(np.uint8)
        media.write_image(files[-1], before(turn.images[k], wall), effort=1)
    points = np.array([detector.detect(turn.images[k])[0].points for k in range(8, 12)])
    rows = iter([8, 9, 9, 10, 10, 11])

    def alpha(picture):
        return cv2.resize(turn.images[next(rows)][..., 3] / 255.0, picture.shape[1::-1])

    found = motion([(0, 1), (1, 2), (2, 3)], files, Neck.of(points, SIZE, SIZE), alpha)
    assert found.moves == "head" and np.isnan(found.busy)


def test_shoulders_that_turn_with_the_head_are_kept():
    assert Motion(0.0, 10.0, 9.0, 0.0).turns_whole
    assert not Motion(0.0, 10.0, 3.0, 0.0).turns_whole
    assert not Motion(0.0, 10.0, np.nan, 0.0).turns_whole
    assert Motion(np.nan, 10.0, 9.0, 0.0).moves == "head"


def test_a_small_head_is_taken_larger():
    """So that what is cropped has the pixels that are asked for, where the video has them."""
    photo = media.read_image(samples.photo("B"))[..., :3]
    small = np.full((320, 320, 3), 128, np.uint8)
    small[100:200, 110:210] = cv2.resize(photo, (100, 100), interpolation=cv2.INTER_AREA)
    found = Scan(*[np.zeros(3)] * 5, (small,), 3840)
    assert 1.3 * 800 < size_of(found, 800) <= 1600
    assert size_of(replace(found, longer=900), 800) == 900
    large = cv2.resize(photo, (320, 320), interpolation=cv2.INTER_AREA)
    assert size_of(replace(found, samples=(large,)), 800) == 800
    assert size_of(replace(found, samples=()), 800) == 800


def test_the_neck_lies_under_the_chin(turn, detector):
    points = np.array([detector.detect(turn.images[k])[0].points for k in (10, 12, 14)])
    points[1] = np.nan  # between two that are known
    neck = Neck.of(points, SIZE, SIZE)
    for k, i in enumerate((10, 12, 14)):
        above = neck.above(k, SIZE, SIZE)
        alpha = turn.images[i][..., 3] > 128
        face = detector.detect(turn.images[i])[0].xy
        inside = face[(face[:, 1] > 0) & (face[:, 1] < SIZE)].astype(int)
        assert above[inside[:, 1], inside[:, 0]].min() > 0.95
        cut = (alpha & (above < 0.5)).sum() / alpha.sum()
        assert 0.15 < cut < 0.6  # the shoulders
    # by the true cameras it lies there too
    placed = Neck.placed([None, turn.cameras[12]])
    assert np.isnan(placed.middle[0]).all()
    assert np.linalg.norm(placed.middle[1] - neck.middle[1]) < 0.06 * SIZE
    with pytest.raises(IdfError, match="No frame shows a face"):
        Neck.of(np.full((3, 468, 3), np.nan), SIZE, SIZE)


def test_pictures_are_written_without_the_lens_distortion(tmp_path):
    """A straight line that the lens bent is straight again, and where the camera says."""
    k1 = 0.9
    camera = Camera.look_at((0, -4, 0), (0, 0, 0), (0, 0, 1), 0.9, SIZE, SIZE)
    line = np.column_stack([np.linspace(-1.2, 1.2, 800), np.zeros(800), np.full(800, 0.8)])
    uv, _ = camera.project(line)
    x = (uv - SIZE / 2) / camera.fx
    bent = x * (1 + k1 * (x**2).sum(1, keepdims=True)) * camera.fx + SIZE / 2
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    for u, v in bent:
        if 1 < u < SIZE - 2 and 1 < v < SIZE - 2:
            picture[int(v) - 1:int(v) + 2, int(u)] = 255
    media.write_image(tmp_path / "p.png", picture)
    media.write_image(tmp_path / "m.png", np.full((SIZE, SIZE, 3), 255, np.uint8))
    n = 3
    frames = Frames(np.arange(n), (tmp_path / "p.png",) * n, (tmp_path / "m.png",) * n,
                    np.full((n, 468, 3), np.nan, np.float32), SIZE, SIZE, "camera")
    cameras = Cameras("colmap", (camera,) * n, (k1, 0.0, 0.0, 0.0), 0.3)
    write_dataset(tmp_path, frames, cameras, CONFIG, Reporter())
    image = media.read_image(tmp_path / "images" / "f_00000.png")[..., 0].astype(float)
    columns = np.arange(70, 250)
    rows = (image[:, columns] * np.arange(SIZE)[:, None]).sum(0) / image[:, columns].sum(0)
    assert np.ptp(rows) < 1.0 and abs(rows.mean() + 0.5 - uv[400, 1]) < 0.7
    assert np.ptp(bent[np.abs(bent[:, 0] - SIZE / 2) < 90, 1]) > 3
