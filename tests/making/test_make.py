"""One photo and one target: the kinds of target, interruption, and what is refused."""

import errno
import shutil

import numpy as np
import pytest

from idf_helpers.cli.main import main
from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.making import report as report_module
from idf_helpers.making.config import MakeConfig
from idf_helpers.making.make import make
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.runtime.files import read_json, write_json
from idf_helpers.runtime.runs import RunFolder

from ..fixtures.datasets import part_of_talking
from ..fixtures.footage import talk_pictures, turn_pictures, write_video
from ..fixtures.reporting import Calling, Notes

AVATAR = AvatarConfig(iterations=30, resolution=48, initial=300, max_gaussians=400,
                      check_poses=False)
SPLATS = SplatConfig(iterations=30, resolution=48, initial=300, max_gaussians=400)
VIEW = ExportConfig(frames=4, resolution=48)
CONSENT = "These are computer-made heads, nobody is shown."


def state(folder):
    """Name and time of every file."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def check_marks(made):
    for name, path in made.files.items():
        if name != "report.md":
            mark = verify(path)
            assert mark.synthetic and "swap" in mark.fields["made"], path


def test_a_picture_is_swapped(tmp_path):
    target = tmp_path / "target.png"
    shutil.copy(samples.path("head_multiview") / "train/r_25.png", target)
    made = make(samples.photo("B"), target, tmp_path / "out")
    assert made.kind == "picture" and made.metrics == {}
    assert set(made.files) == {"target.png", "before_after.png", "report.md"}
    check_marks(made)
    assert (media.read_image(made.files["target.png"]) != media.read_image(target)).any()
    assert "Taken for: one picture" in made.files["report.md"].read_text()
    before = state(tmp_path / "out")
    make(samples.photo("B"), target, tmp_path / "out")
    assert state(tmp_path / "out") == before


def test_a_talking_head_becomes_an_avatar_with_page_and_video(tmp_path):
    part_of_talking(tmp_path / "talk", slice(0, 60, 5), 3)
    made = make(samples.photo("C"), tmp_path / "talk", tmp_path / "out", AVATAR, VIEW)
    assert made.kind == "talk" and np.isfinite(made.metrics["psnr"])
    assert set(made.files) == {"avatar.html", "avatar.mp4", "avatar.png", "swap.png", "report.md"}
    check_marks(made)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "avatar", "make_report.json", "report.md", "swap", "view"]


def test_a_video_of_a_talking_head_goes_on_after_an_interrupt(tmp_path):
    video = write_video(tmp_path / "talk.mp4", talk_pictures(), fps=8)
    out, photo = tmp_path / "out", samples.photo("B")

    def stop(what, fraction):
        if what == "swapping":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(photo, video, out, AVATAR, VIEW, consent=CONSENT, reporter=Calling(stop))
    assert read_json(out / "make_report.json", "report")["status"] == "running"
    tracked = state(out / "track")
    notes = Notes()
    made = make(photo, video, out, AVATAR, VIEW, consent=CONSENT, reporter=notes)
    assert made.kind == "talk" and state(out / "track") == tracked
    assert "looking at the target" not in notes.steps
    assert [s.split()[1] for s in notes.stages if s[1:3] == "/4"] == [
        "track", "swap", "avatar", "view"]
    check_marks(made)
    report = read_json(out / "make_report.json", "report")
    assert report["status"] == "finished" and report["look"]["kind"] == "talk"
    assert {"look.jpg", "track/overlay.mp4", "avatar/held_out.jpg"} <= set(report["sheets"])
    text = made.files["report.md"].read_text()
    for words in ("a talking head", "What to doubt", "view/avatar.html", "frames; the mesh lies"):
        assert words in text, words
    assert all((out / name).is_file() for name in [*report["sheets"], *report["files"].values()])
    before = state(out)
    make(photo, video, out, AVATAR, VIEW, consent=CONSENT)
    assert state(out) == before


@pytest.fixture
def captured(monkeypatch):
    """Cameras of the bundled turn in place of those that a capture finds; the calls made."""
    calls = []

    def capture(source, out, config=None, *, method="auto", resume=True, reporter=None):
        calls.append(source)
        data = samples.dataset("head_turntable")
        with RunFolder(out, stage="capture", backend="landmarks", config={}, inputs={}) as run:
            if not run.finished:
                shutil.copytree(data.root, run.path, dirs_exist_ok=True)
                write_json(run.path / "capture_report.json", {
                    "method": "landmarks", "moves": "head", "frames": 24, "used": 20,
                    "registered": 18, "yaw": [-80, 80], "doubts": ["six frames were blurred"]})
                media.write_image(run.path / "overlay.jpg", np.zeros((9, 9, 3), np.uint8))
                run.finish()
        return Dataset.open(out)

    monkeypatch.setattr("idf_helpers.making.make.capture", capture)
    return calls


def test_a_turn_becomes_a_head(tmp_path, captured):
    video = write_video(tmp_path / "turn.mp4", turn_pictures())
    out = tmp_path / "out"
    made = make(samples.photo("C"), video, out, SPLATS, VIEW, consent=CONSENT)
    assert made.kind == "turn" and captured == [video]
    assert {"viewer.html", "orbit.mp4", "avatar.ply", "swap.png"} <= set(made.files)
    check_marks(made)
    assert "capture: Six frames were blurred. Look at capture/overlay.jpg." in made.doubts
    text = made.files["report.md"].read_text()
    assert "cameras for 18 of 20 frames chosen from 24, by landmarks, seen over 160°" in text
    assert "longer training" in text  # 30 steps: the report says that it is not sharp


def test_a_kind_can_be_told(tmp_path):
    """What a target cannot be is refused, not silently taken for something else."""
    for target, kind, words in ((samples.photo("B"), "views", "one of: picture"),
                                ("head_talking", "turn", "one of: views, talk"),
                                (write_video(tmp_path / "t.mp4", talk_pictures(slice(0, 3))),
                                 "picture", "one of: turn, talk")):
        with pytest.raises(IdfError, match="cannot be taken for") as error:
            make(samples.photo("C"), target, tmp_path / "out", kind=kind, consent=CONSENT)
        assert words in error.value.do and not (tmp_path / "out").exists()


def test_how_long_and_how_fine_reach_the_training(tmp_path, monkeypatch):
    asked = {}

    def stop(data, out, method, config, **_):
        asked[method] = config
        raise IdfError("asked", "", "")

    monkeypatch.setattr("idf_helpers.making.make.reconstruct", stop)
    part_of_talking(tmp_path / "talk", slice(0, 60, 5), 3)
    with pytest.raises(IdfError, match="asked"):
        make(samples.photo("C"), tmp_path / "talk", tmp_path / "out",
             MakeConfig(budget_s=7, resolution=64))
    assert (asked["avatar"].budget_s, asked["avatar"].resolution) == (7, 64)
    with pytest.raises(SystemExit):
        main(["make", str(samples.photo("C")), str(tmp_path / "talk"), "--out",
              str(tmp_path / "out"), "--iterations", "9", "--kind", "talk"])
    assert asked["avatar"].iterations == 9 and asked["avatar"].resolution == 256


# --- what is refused ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def talk_video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("talk") / "talk.mp4", talk_pictures())


def test_consent_is_asked_for_before_anything_is_done(tmp_path, talk_video):
    with pytest.raises(IdfError, match="consent") as error:
        make(samples.photo("C"), talk_video, tmp_path / "out", reporter=Calling(pytest.fail))
    assert "--consent" in error.value.do and not (tmp_path / "out").exists()


def test_a_photo_without_a_face(tmp_path, talk_video):
    media.write_image(tmp_path / "wall.png", np.full((200, 200, 3), 130, np.uint8))
    with pytest.raises(IdfError, match="wall"):
        make(tmp_path / "wall.png", talk_video, tmp_path / "out", consent=CONSENT,
             reporter=Calling(pytest.fail))
    assert not (tmp_path / "out").exists()


def test_footage_without_a_face_leaves_nothing_behind(tmp_path):
    gray = write_video(tmp_path / "gray.mp4", [np.full((64, 64, 3), 99, np.uint8)] * 8)
    with pytest.raises(IdfError, match="No face"):
        make(samples.photo("C"), gray, tmp_path / "out", consent=CONSENT)
    assert not (tmp_path / "out").exists()


def test_another_photo_target_or_kind_over_the_first(tmp_path):
    target = tmp_path / "target.png"
    shutil.copy(samples.path("head_multiview") / "train/r_25.png", target)
    make(samples.photo("B"), target, tmp_path / "out")
    other = tmp_path / "other.png"
    shutil.copy(samples.path("head_multiview") / "train/r_1.png", other)
    for photo, what, kind, words in ((samples.photo("C"), target, "auto", "another photo"),
                                     (samples.photo("B"), other, "auto", "another target"),
                                     (samples.photo("B"), target, "views", "--as picture")):
        with pytest.raises(IdfError, match=words):
            make(photo, what, tmp_path / "out", kind=kind)


def test_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("precious")
    with pytest.raises(IdfError, match="in use"):
        make(samples.photo("B"), samples.photo("C"), tmp_path / "out")
    assert (tmp_path / "out" / "thesis.docx").read_text() == "precious"


def test_a_full_disk_is_one_error_and_the_next_call_goes_on(tmp_path, monkeypatch):
    target = tmp_path / "target.png"
    shutil.copy(samples.path("head_multiview") / "train/r_25.png", target)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out" / "report"))

    with monkeypatch.context() as patch:
        patch.setattr(report_module, "write_bytes", full)
        with pytest.raises(IdfError, match="disk is full") as error:
            make(samples.photo("B"), target, tmp_path / "out")
    assert "run the same command again" in error.value.do
    assert make(samples.photo("B"), target, tmp_path / "out").files["report.md"].is_file()
