"""A video of one's own in notebooks 02 and 04."""

import shutil

import pytest

from idf_helpers.data import samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.notebook import own_video
from idf_helpers.notebook.own_video import OwnVideoPanel
from idf_helpers.notebook.widgets import BLANK
from idf_helpers.runtime.files import write_json

from ..fixtures.footage import talk_pictures, write_video

CONSENT = "These are computer-made heads, nobody is shown."


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("talk") / "talk.mp4",
                       talk_pictures(slice(0, 214, 18)))


def test_without_a_video_nothing_happens(tmp_path):
    panel = OwnVideoPanel("turn", tmp_path / "runs")
    assert panel.run() is None and not (tmp_path / "runs").exists()
    panel.button.click()
    assert "bundled head" in panel.status.value and panel.button.disabled is False


def test_a_talking_head_by_its_path_and_with_a_face(talk, tmp_path):
    panel = OwnVideoPanel("talk", tmp_path, str(talk), "B", CONSENT, 64)
    panel.button.click()
    data = panel.data
    assert data.root.name.startswith("swap-own-") and len(data.frames) == 12
    assert data.train[0].expression is not None and panel.result.value != BLANK
    assert (tmp_path / f"{next(tmp_path.glob('track-*')).name}" / "track_report.json").is_file()
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert OwnVideoPanel("talk", tmp_path, str(talk), "B", CONSENT, 64).run().root == data.root
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_uploads_come_before_what_is_typed(talk, tmp_path, monkeypatch):
    panel = OwnVideoPanel("turn", tmp_path, video="/nowhere.mp4", photo="C")
    monkeypatch.setattr(own_video, "uploaded_files", lambda upload: {
        "my film.mp4": talk.read_bytes()} if upload is panel.video_upload else {"me.png": b"me"})
    assert panel.source.read_bytes() == talk.read_bytes()
    assert panel.source.parent == tmp_path / "uploads" and panel.face == b"me"


def test_a_turn_is_captured_and_its_doubts_are_shown(talk, tmp_path, monkeypatch):
    def capture(source, out, reporter=None):
        shutil.copytree(samples.path("head_turntable"), out)
        write_json(out / "capture_report.json", {"doubts": ["The turn shows only 50°."]})
        return Dataset.open(out)

    monkeypatch.setattr("idf_helpers.notebook.own_video.capture", capture)
    panel = OwnVideoPanel("turn", tmp_path, str(talk))
    panel.button.click()
    assert len(panel.data.frames) == 48 and "doubt: The turn shows only 50°." in panel.status.value


def test_bad_input_is_shown_in_the_panel(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    panel = OwnVideoPanel("talk", tmp_path, str(tmp_path / "a.txt"))
    with pytest.raises(IdfError, match="neither a video"):
        panel.run()
    panel.button.click()
    assert "neither a video" in panel.status.value
