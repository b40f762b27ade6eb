"""The choice of what a notebook works on: by kind, the newest first, with a picture and a name."""

import json
import os
import shutil
from pathlib import Path

import pytest

from idf_helpers.data import samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.notebook import input_panel
from idf_helpers.notebook.found_runs import TALKING, VIEWS, found_runs
from idf_helpers.notebook.input_panel import DEMO, PLACE, VIDEO, InputPanel
from idf_helpers.notebook.own_video import Filmed, put_in
from idf_helpers.notebook.widgets import BLANK
from idf_helpers.runtime.files import sha256_file, write_json
from idf_helpers.runtime.progress import Reporter

from ..fixtures.footage import talk_pictures, write_video

CONSENT = "These are computer-made heads, nobody is shown."


def keep_run(runs, name, stage, sample, at, photo="", photos=()):
    """A finished run folder that is a copy of some frames of a bundled dataset."""
    folder = runs / name
    source = samples.path(sample)
    folder.mkdir(parents=True)
    for path in source.glob("transforms*.json"):
        content = json.loads(path.read_text())
        content["frames"] = content["frames"][::20] or content["frames"]
        (folder / path.name).write_text(json.dumps(content))
        for frame in content["frames"]:
            found, = source.glob(frame["file_path"].removesuffix(".png") + ".*")
            target = folder / found.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target)
    inputs = {"source_sha256": sha256_file(samples.photo(photo)) if photo else "0123456789"} \
        if stage == "swap" else {}
    write_json(folder / "run.json", {"run_id": name, "stage": stage, "status": "finished",
                                     "config": {}, "inputs": inputs})
    if photos:
        write_json(folder / "swap_report.json", {"photos": list(photos)})
    os.utime(folder / "run.json", (1.7e9 + at, 1.7e9 + at))
    return folder


@pytest.fixture
def runs(tmp_path):
    """What notebooks 01, 02 and 04 leave, 04 last."""
    runs = tmp_path / "runs"
    keep_run(runs, "swap-old", "swap", "head_turntable", 100, "B")
    keep_run(runs, "swap-mine", "swap", "head_turntable", 200, photos=["me & you.png"])
    keep_run(runs, "capture-1", "capture", "head_turntable", 150)
    keep_run(runs, "track-1", "track", "head_talking", 250)
    keep_run(runs, "swap-talking-1", "swap", "head_talking", 300, "C")
    keep_run(runs, "stylize-1", "stylize", "head_turntable", 400)
    write_json(runs / "splats-1" / "run.json", {"run_id": "s", "stage": "splats", "config": {},
                                                "inputs": {}, "status": "finished"})
    return runs


def test_runs_are_told_apart_by_what_is_in_them(runs):
    assert [r.folder.name for r in found_runs(runs, VIEWS)] == ["swap-mine", "capture-1",
                                                               "swap-old"]
    assert [r.folder.name for r in found_runs(runs, TALKING)] == ["swap-talking-1", "track-1"]
    assert found_runs(runs, VIEWS, ("restyled",))[0].folder.name == "stylize-1"
    assert [r.face for r in found_runs(runs, VIEWS)] == [
        "face of me & you.png", "no face put in", "face B (bundled)"]
    unfinished = json.loads((runs / "swap-mine" / "run.json").read_text())
    write_json(runs / "swap-mine" / "run.json", unfinished | {"status": "interrupted"})
    assert found_runs(runs, VIEWS)[0].folder.name == "capture-1"
    assert found_runs(runs / "nowhere", VIEWS) == []


def test_notebooks_02_and_03_never_take_a_talking_swap_and_04_no_still_one(runs):
    views, talk = InputPanel("views", runs), InputPanel("talking", runs)
    assert views.run().root.name == "swap-mine"  # though 04 swapped later
    assert talk.choice.value == "head_talking" or "talking" in talk.choice.value
    listed = {panel.kind: [v for _, v in panel.choice.options] for panel in (views, talk)}
    assert not any("talking" in v or "track" in v for v in listed["views"])
    assert not any("multiview" in v or "swap-mine" in v for v in listed["talking"])
    assert "me &amp; you.png" in views.caption.value
    for panel, wrong in ((views, "head_talking"), (talk, "head_turntable")):
        panel.choice.value = PLACE
        panel.place.text.value = str(samples.path(wrong))
        assert "of the other kind" in panel.caption.value and panel.result.value == BLANK
        with pytest.raises(IdfError, match="of the other kind"):
            panel.run()


def test_whose_face_it_is_is_said_and_shown_before_anything_runs(runs):
    panel = InputPanel("views", runs)
    assert "face of me &amp; you.png" in panel.caption.value and panel.result.value != BLANK
    mine = panel.result.value
    panel.choice.value = "head_multiview"
    assert "its own face" in panel.caption.value and panel.result.value != mine
    panel.choice.value = DEMO
    assert panel.result.value == BLANK and "when it has been made" in panel.caption.value


def test_without_runs_the_bundled_head_is_taken(tmp_path):
    assert InputPanel("views", tmp_path / "none").choice.value == DEMO
    assert InputPanel("talking", tmp_path / "none").choice.value == "head_talking"
    assert not (tmp_path / "none").exists()
    assert InputPanel("views", tmp_path, "head_turntable").run().root.name == "head_turntable"


def test_a_choice_is_kept_until_something_newer_comes(runs):
    panel = InputPanel("views", runs)
    panel.choice.value = str(runs / "swap-old")
    assert InputPanel("views", runs).chosen_run.folder.name == "swap-old"
    assert InputPanel("views", runs, "head_turntable").choice.value == "head_turntable"
    os.utime(runs / "swap-mine" / "run.json")  # 01 ran again
    assert InputPanel("views", runs).chosen_run.folder.name == "swap-mine"


def test_what_was_entered_outlives_the_cell_and_the_kernel(runs):
    panel = InputPanel("talking", runs, "head_talking", photo="B")
    panel.choice.value, panel.video.text.value = VIDEO, "/films/me.mp4"
    panel.photo.text.value, panel.consent.value = "/pictures/me.png", CONSENT
    again = InputPanel("talking", runs, "head_talking", photo="B")
    assert (again.choice.value, again.video.value, again.photo.value, again.consent.value) == (
        VIDEO, "/films/me.mp4", "/pictures/me.png", CONSENT)
    assert "kept from before" in again.status.value
    other = InputPanel("talking", runs, "head_talking", photo="C")  # the form says another photo
    assert other.photo.value == "C" and other.consent.value == ""


def test_the_zip_of_notebook_01(runs, tmp_path, monkeypatch):
    made = shutil.make_archive(str(tmp_path / "swap-mine"), "zip", runs / "swap-mine")
    panel = InputPanel("views", tmp_path / "elsewhere", made)
    assert panel.choice.value == PLACE
    data = panel.run()
    assert data.root.is_relative_to(tmp_path / "elsewhere" / "downloads")
    assert "me &amp; you.png" in panel.caption.value
    monkeypatch.setattr("idf_helpers.notebook.fields.uploaded_files", lambda upload: {
        "a.zip": (tmp_path / "swap-mine.zip").read_bytes()})
    panel.place._uploaded(None)
    assert panel.place.name == "a.zip (uploaded)" and panel.run().frames


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("talk") / "talk.mp4",
                       talk_pictures(slice(0, 214, 18)))


def test_a_talking_head_by_its_path_and_with_a_face(talk, tmp_path):
    def panel():
        return InputPanel("talking", tmp_path, video=str(talk), photo="B", consent=CONSENT,
                          resolution=64)

    first = panel()
    first.button.click()
    data = first.data
    assert data.root.name.startswith("swap-own-") and len(data.frames) == 12
    assert data.train[0].expression is not None and first.result.value != BLANK
    assert (tmp_path / f"{next(tmp_path.glob('track-*')).name}" / "track_report.json").is_file()
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    assert panel().run().root == data.root
    assert stamps == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_an_uploaded_photo_goes_into_the_frames_and_needs_consent(tmp_path, monkeypatch):
    photo = samples.photo("B").read_bytes() + b"x"  # no longer a bundled face
    panel = InputPanel("talking", tmp_path, "head_talking", frames=4)
    monkeypatch.setattr("idf_helpers.notebook.fields.uploaded_files",
                        lambda upload: {"me.png": photo})
    panel.photo._uploaded(None)
    assert panel.photo.name == "me.png (uploaded)" and panel.face_preview.value != BLANK
    with pytest.raises(IdfError, match="consent"):
        panel.run()
    panel.consent.value = CONSENT
    data = panel.run()
    assert len(data.train) <= 4 and "me.png" in panel.caption.value
    assert found_runs(tmp_path, TALKING)[0].face == "face of me.png"


def test_fields_that_change_later_do_not_change_a_run(tmp_path, monkeypatch):
    panel, given = InputPanel("talking", tmp_path, video="/a/talk.mp4", photo="B"), []

    def slowly(*args):
        panel.choice.value, panel.photo.text.value = "head_talking", ""  # a hand, meanwhile
        return Filmed(samples.dataset("head_talking"), (), None)

    monkeypatch.setattr(input_panel, "dataset_of_video", slowly)
    monkeypatch.setattr(input_panel, "put_in",
                        lambda data, photo, *rest: (given.append((photo, rest[2])), data)[1])
    panel.run()
    assert given == [(samples.photo("B"), "swap-own")]
    assert f"{VIDEO}, with the face of B" in panel.status.value


def test_a_swapped_talking_head_by_its_path_gets_no_second_face(runs, tmp_path, monkeypatch):
    panel = InputPanel("talking", tmp_path / "out", str(runs / "swap-talking-1"), photo="B")
    monkeypatch.setattr(input_panel, "put_in", lambda *a: 1 / 0)
    assert panel.run().root == runs / "swap-talking-1"
    assert "face C (bundled)" in panel.caption.value and "left out" in panel.notes.value


def test_two_uploads_of_one_name_are_two_datasets(runs, tmp_path, monkeypatch):
    panel, roots = InputPanel("views", tmp_path), set()
    panel.choice.value = PLACE
    for name in ("swap-mine", "swap-old"):
        made = Path(shutil.make_archive(str(tmp_path / "made" / name), "zip", runs / name))
        monkeypatch.setattr("idf_helpers.notebook.fields.uploaded_files",
                            lambda upload, made=made: {"views.zip": made.read_bytes()})
        panel.place._uploaded(None)
        roots.add(panel.run().root)
    assert len(roots) == 2


def test_a_turn_is_captured_and_its_doubts_are_shown(talk, tmp_path, monkeypatch):
    def capture(source, out, reporter=None):
        shutil.copytree(samples.path("head_turntable"), out)
        write_json(out / "capture_report.json", {"doubts": ["The turn shows only 50°."]})
        return Dataset.open(out)

    monkeypatch.setattr("idf_helpers.notebook.own_video.capture", capture)
    panel = InputPanel("views", tmp_path, video=str(talk))
    panel.button.click()
    assert len(panel.data.frames) == 48 and "doubt: The turn shows only 50°." in panel.status.value


def test_bad_input_is_shown_in_the_panel(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    panel = InputPanel("talking", tmp_path, video=str(tmp_path / "a.txt"))
    with pytest.raises(IdfError, match="neither a video"):
        panel.run()
    assert "neither a video" in panel.status.value
    panel.video.text.value = ""
    with pytest.raises(IdfError, match="No video is chosen"):
        panel.run()


def test_the_same_face_is_put_in_once(tmp_path, small_head):
    data = Dataset.open(small_head)
    first = put_in(data, samples.photo("B"), tmp_path, "", "swap", Reporter())
    assert put_in(data, samples.photo("B"), tmp_path, "", "swap", Reporter()).root == first.root
