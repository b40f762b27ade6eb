"""Panels are tested by what their buttons call, and by the buttons themselves."""

import io

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.data.cameras import orbit
from idf_helpers.data.dataset import Dataset
from idf_helpers.notebook import InputPanel, swap_panel, widgets
from idf_helpers.notebook.before_after import BeforeAfter, split
from idf_helpers.notebook.comparison import (
    cleaned_picture,
    compare_methods,
    methods_here,
    results_table,
)
from idf_helpers.notebook.swap_panel import SwapPanel
from idf_helpers.notebook.training_panel import AvatarPanel, SplatPanel
from idf_helpers.notebook.video_panel import clip_sheet, swap_clip
from idf_helpers.notebook.widgets import BLANK
from idf_helpers.reconstruction.trainer import Progress
from tests.fixtures.datasets import make_dataset
from tests.fixtures.icc import P3, icc_profile


class Upload:
    """FileUpload's value as ipywidgets 7 and 8 give it."""

    def __init__(self, value):
        self.value = value


def test_uploads_of_both_versions_of_ipywidgets():
    seven = Upload({"me.png": {"metadata": {"name": "me.png"}, "content": b"abc"}})
    eight = Upload(({"name": "me.png", "type": "image/png", "content": memoryview(b"abc")},))
    for upload in (seven, eight):
        assert widgets.uploaded_files(upload) == {"me.png": b"abc"}
    assert widgets.uploaded_files(Upload({})) == widgets.uploaded_files(Upload(())) == {}


def picture_of(widget):
    return np.array(Image.open(io.BytesIO(widget.value)))


def picture_of_array(image):
    return np.array(Image.open(io.BytesIO(widgets.png(image))))


@pytest.fixture(scope="module")
def swapped_panel(small_head, tmp_path_factory):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path_factory.mktemp("runs"))
    panel.button.click()
    return panel


def test_swap_button_swaps_and_shows(swapped_panel):
    p = swapped_panel
    assert p.report["counts"]["swapped"] > 5 and p.report["why"]
    assert p.bar.value == 1.0 and "swapped" in p.status.value and not p.button.disabled
    assert p.swapped.root.parent == p.out and (p.swapped.root / "swap_report.json").is_file()
    assert picture_of(p.result).shape[1] > 400
    assert picture_of(p.preview).shape[1] == 160  # the source photo


def test_second_click_reads_back_and_other_choices_get_their_own_folder(swapped_panel):
    p = swapped_panel
    first = p.swapped.root
    p.button.click()
    assert p.swapped.root == first
    p.photo.value = "C"
    assert p.run().root != first


def test_errors_reach_the_status_line_and_the_caller(small_head, tmp_path):
    panel = SwapPanel(dataset=str(tmp_path / "<none>"), out=tmp_path)
    with pytest.raises(IdfError):  # ipywidgets itself only logs what a handler raises
        panel._clicked(panel.button)
    assert "does not exist" in panel.status.value and "&lt;none&gt;" in panel.status.value
    assert not panel.button.disabled


def upload(panel, monkeypatch, name, content):
    """Press the upload button of the photo."""
    monkeypatch.setattr("idf_helpers.notebook.fields.uploaded_files", lambda w: {name: content})
    panel.photo_field._uploaded(None)


def test_an_upload_takes_the_place_of_what_is_typed_and_needs_consent(small_head, tmp_path,
                                                                      monkeypatch):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path)
    image = media.read_image(samples.photo("C"))
    image[0, 0] ^= 1
    data = media.encode_image(image)
    upload(panel, monkeypatch, "me.png", data)
    assert panel.source.read_bytes() == data and panel.source.parent.parent == tmp_path / "uploads"
    with pytest.raises(IdfError, match="consent"):
        panel.run()
    assert "needs a consent statement" in panel.status.value
    panel.consent.value = "A face that I made up."
    assert panel.run().root.is_dir() and "me.png (uploaded)" in panel.status.value
    again = SwapPanel(dataset=str(small_head), out=tmp_path)  # Run All, or another kernel
    assert again.source == panel.source and again.consent.value == panel.consent.value
    assert again.run().root == panel.swapped.root


def test_what_is_done_to_an_uploaded_photo_is_said(small_head, tmp_path, monkeypatch):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path)
    photo = Image.open(samples.photo("B")).convert("RGB").resize((64, 64))
    data = io.BytesIO()
    photo.save(data, "PNG", icc_profile=icc_profile(P3, 2.2, b"Display P3"))
    upload(panel, monkeypatch, "phone.png", data.getvalue())
    assert "Display P3" in panel.caption.value and "phone.png" in panel.caption.value
    upload(panel, monkeypatch, "IMG_1.HEIC", b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40))
    assert "HEIC" in panel.status.value and not panel.caption.value


def test_the_photo_chosen_last_counts_and_a_bad_one_is_told_at_once(small_head,
                                                                    tmp_path, monkeypatch):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path)
    upload(panel, monkeypatch, "me & <b>.png", samples.photo("B").read_bytes())
    assert panel.caption.value == "me &amp; &lt;b&gt;.png (uploaded)" and panel.source
    first = panel.photo_field.upload
    upload(panel, monkeypatch, "notes.txt", b"hello")
    assert "not an image" in panel.status.value and picture_of(panel.preview).shape[:2] == (1, 1)
    assert panel.photo_field.upload is not first  # it can take the same file again
    panel.photo.value = "B"  # typed after the upload
    assert panel.source == samples.photo("B") and panel.caption.value == "B"
    assert "not an image" not in panel.status.value
    panel.photo.value = "/no/such.png"
    assert "does not exist" in panel.status.value and panel.caption.value == ""


def test_a_photo_without_a_face_is_named_once(small_head, tmp_path, monkeypatch):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path, consent="Nobody is on it.")
    upload(panel, monkeypatch, "wall.png", media.encode_image(np.full((90, 90, 3), 120, np.uint8)))
    with pytest.raises(IdfError) as told:
        panel.run()
    assert told.value.what == "There is no face in the source photo wall.png"


def test_the_slider_follows_the_panel(small_head, tmp_path):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path)
    panel.run()
    slider = panel.slider(120)
    slider.line.value = 0.0
    before = slider.picture.value
    panel.run()  # read back: nothing changed
    assert slider.picture.value == before
    panel.photo.value = "C"
    panel.run()
    assert slider.picture.value != before


def test_stop_and_a_bug_are_told_in_the_status_line(tmp_path, monkeypatch):
    panel = SplatPanel(samples.dataset("head_turntable"), out=tmp_path)
    for error, words in ((KeyboardInterrupt(), "stopped"), (ZeroDivisionError("<x>"),
                                                            "ZeroDivisionError: &lt;x&gt;")):
        def fails(error=error):
            raise error
        monkeypatch.setattr(panel, "run", fails)
        with pytest.raises(type(error)):
            panel._clicked(panel.button)
        assert words in panel.status.value and not panel.button.disabled


def test_previews_show_a_scene_of_opaque_pictures_over_its_own_background(tmp_path):
    root = make_dataset(tmp_path / "data", size=(32, 32), alpha=False)
    panel = SplatPanel(Dataset.open(root), out=tmp_path / "runs", iterations=20, resolution=32)
    scene = panel.run()
    front = orbit(panel.data.cameras, 1, resolution=256)[0]
    assert scene.background == (0.0, 0.0, 0.0)
    assert np.array_equal(picture_of(panel.preview), picture_of_array(scene.render(front)))


def test_splat_panel_trains_with_a_preview_and_reads_back(tmp_path):
    data = samples.dataset("head_turntable")
    panel = SplatPanel(data, out=tmp_path, iterations=30, resolution=64)
    panel.button.click()
    assert panel.metrics["iterations"] == 30 and "held-out" in panel.status.value
    assert picture_of(panel.preview).std() > 10 and picture_of(panel.plot).shape == (260, 400, 3)
    assert len(panel.curve) and panel.curve[-1, 1] > 5
    folder, stamp = panel.folder, (panel.folder / "point_cloud.ply").stat().st_mtime_ns
    panel.run()
    assert panel.folder == folder
    assert (folder / "point_cloud.ply").stat().st_mtime_ns == stamp
    results = compare_methods(data, tmp_path, ["splats:cpu"], panel.config)
    assert results[0].name == "splats cpu"  # nothing is trained a second time
    assert results[0].metrics == panel.metrics
    assert [p.name for p in tmp_path.glob("splats-*")] == [folder.name]
    panel.unit.value, panel.amount.value = "seconds", 1
    assert panel.config.budget_s == 1.0 and panel.config.iterations is None


def test_a_program_that_tells_no_psnr_has_a_curve_of_its_loss(tmp_path):
    panel = SplatPanel(samples.dataset("head_turntable"), out=tmp_path, iterations=30)
    panel._view, panel._points, panel._shown = panel.view(), [], -np.inf
    panel.training(Progress(10, 1.0, 2.0, np.nan, 0, "", lambda camera: np.zeros((64, 64, 3)),
                            memory_mb=90, loss=0.05))
    assert panel.curve.tolist() == [[2, 0.05]]
    assert "5.0 a second, loss 0.0500, 90 MB" in panel.status.value


def test_notebook_02_finds_the_newest_swap(swapped_panel, tmp_path, dataset_folder):
    assert InputPanel("views", swapped_panel.out).run().root.parent == swapped_panel.out
    panel = InputPanel("views", tmp_path, str(dataset_folder))
    assert panel.run().root == dataset_folder


def test_fields_that_change_later_do_not_rename_a_result(small_head, tmp_path, monkeypatch):
    panel = SwapPanel(dataset=str(small_head), out=tmp_path)
    swap = swap_panel.swap_dataset

    def slowly(*args, **kwargs):
        panel.photo.value = "C"  # a hand, while it goes on
        return swap(*args, **kwargs)

    monkeypatch.setattr(swap_panel, "swap_dataset", slowly)
    first = panel.run()
    assert panel.status.value.split(">")[1].startswith("B on ")
    assert panel.glance(96).any()
    shown, seen = swap_panel.read_image, []
    monkeypatch.setattr(swap_panel, "read_image", lambda p: (seen.append(p), shown(p))[1])
    panel.glance(96)
    assert seen == [samples.photo("B")]
    panel.dataset.value = "head_turntable"
    monkeypatch.setattr(swap_panel, "swap_dataset", lambda *a, **k: 1 / 0)
    target = panel.target
    with pytest.raises(ZeroDivisionError):
        panel.run()
    assert panel.target is target and panel.swapped is first  # still a pair


def test_a_training_that_is_read_back_does_not_show_the_curve_of_another(tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", size=(32, 32)))
    panel = SplatPanel(data, out=tmp_path / "runs", iterations=2, resolution=64)
    panel.run()
    panel.run()  # the same one: its curve stays
    assert len(panel.curve) and panel.plot.value != BLANK
    panel.amount.value = 3
    panel.run()
    panel.amount.value = 2
    panel.run()
    assert len(panel.curve) == 0 and panel.plot.value == BLANK


def test_the_swap_at_a_glance(swapped_panel):
    sheet = swapped_panel.glance(96)
    assert sheet.shape[1] == 5 * 96 and sheet.dtype == np.uint8
    half = sheet.shape[0] // 2
    first = sheet[half - 90:half - 4].reshape(-1, 5, 96, 3).astype(int)
    moved = np.abs(first[:, 1] - first[:, 2]).mean(-1)  # the frontal view, before and after
    assert (moved > 12).mean() > 0.05 and (moved < 3).mean() > 0.5


def test_the_table_of_methods():
    rows = widgets.methods_table("splats").rows
    assert {"cpu", "gsplat", "graphdeco"} <= {row["name"] for row in rows}


def test_backends_side_by_side_and_a_cleaned_model(tmp_path, dataset_folder):
    from idf_helpers.exporting import Model
    from idf_helpers.exporting.config import ExportConfig
    from idf_helpers.reconstruction.splats.config import SplatConfig

    config = SplatConfig(iterations=60, resolution=64, initial=800, max_gaussians=1200)
    data = samples.dataset("head_turntable")
    methods = methods_here("splats")
    assert methods[-1] == "splats:cpu" and "splats:reference" not in methods
    results = compare_methods(data, tmp_path, methods[-1:], config)
    rows = results_table(results).rows
    assert rows[0]["method"] == "splats cpu" and rows[0]["iterations"] == 60
    again = compare_methods(data, tmp_path, methods[-1:], config)  # read back
    assert again[0].metrics == results[0].metrics
    model = Model.open(next(tmp_path.glob("splats-*")))
    cleaned = model.trimmed(ExportConfig(clean=True))
    assert len(cleaned.scene.gaussians) <= len(model.scene.gaussians) and cleaned.report
    assert cleaned_picture(model.scene, cleaned.scene, 64).shape[1] > 192


def test_the_line_between_before_and_after():
    before, after = np.full((40, 60, 3), 200, np.uint8), np.full((40, 60, 3), 20, np.uint8)
    half = split(before, after, 0.5)
    assert (half[:, :29] == 200).all() and (half[:, 31:] == 20).all() and (half[:, 30] == 255).all()
    assert (split(before, after, 0.0) == 20).all() and (split(before, after, 1.0) == 200).all()
    with pytest.raises(ValueError, match="alike"):
        split(before, after[:9], 0.5)
    read = []

    def pair(level):
        return (lambda: read.append(level) or np.full((40, 60, 3), level, np.uint8),
                lambda: np.full((40, 60, 3), 255 - level, np.uint8))

    slider = BeforeAfter([pair(10), pair(20), pair(30)], ["a", "b", "c"], size=60)
    assert read == [20] and slider.which.label == "b"
    slider.which.value = 2
    slider.line.value = 1.0
    assert read == [20, 30] and (picture_of(slider.picture) == 30).all()


def test_the_swapped_views_have_a_slider(swapped_panel):
    slider = swapped_panel.slider(size=120)
    assert len(slider.pairs) >= 5 and picture_of(slider.picture).shape[1] == 120
    slider.which.value, slider.line.value = 0, 0.0
    shown = picture_of(slider.picture)
    slider.line.value = 1.0
    assert (shown != picture_of(slider.picture)).any()


def test_the_video_of_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr("idf_helpers.notebook.video_panel.fast", lambda: True)
    asked = {}

    def record(clip, source, out, config, options, **more):
        asked.update(more, clip=clip, out=out)
        return clip

    monkeypatch.setattr("idf_helpers.notebook.video_panel.swap_video", record)
    clip, result = swap_clip("", "C", tmp_path)
    assert clip.is_file() and asked["consent"] and asked["out"].parent == tmp_path
    assert clip_sheet(clip, result, columns=3, cell=40)[:, -120:].shape == (80, 120, 3)
    own = tmp_path / "mine.png"
    own.write_bytes(samples.photo("C").read_bytes() + b"x")
    swap_clip("", own, tmp_path)
    assert asked["consent"] == ""  # a photo of one's own: the user has to say it


def test_a_method_that_counts_gets_iterations_and_its_own_settings(tmp_path, monkeypatch):
    """NeRFace knows no clock: seconds cannot be asked for, its rays can be given."""
    from idf_helpers.reconstruction.upstream.nerface.config import NerfaceConfig

    data = samples.dataset("head_talking")
    panel = AvatarPanel(data, out=tmp_path, budget_s=7, resolution=64, backend="cpu")
    assert panel.config.budget_s == 7.0 and not panel.unit.disabled
    panel.backend.value = "nerface"
    assert panel.unit.value == "iterations" and panel.unit.disabled
    assert panel.config == NerfaceConfig(iterations=NerfaceConfig.default_iterations, resolution=64)
    panel.backend.value = "cpu"
    assert panel.config.budget_s == 7.0 and not panel.unit.disabled
    own = AvatarPanel(data, out=tmp_path, iterations=9, backend="nerface", resolution=64,
                      config=NerfaceConfig(rays=64))
    assert own.config == NerfaceConfig(iterations=9, resolution=64, rays=64)
    own.backend.value = "cpu"
    with pytest.raises(IdfError, match="takes other settings"):
        own._clicked(own.button)
    assert "AvatarConfig" in own.status.value


def test_the_facade_holds_what_it_names():
    from types import ModuleType

    from idf_helpers import notebook

    for name in notebook.__all__:  # a module of a function's name would take its place
        assert not isinstance(getattr(notebook, name), ModuleType), name
        assert not isinstance(getattr(notebook, name), ModuleType), name
    with pytest.raises(AttributeError, match="nothing_here"):
        notebook.nothing_here  # noqa: B018
