import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import samples
from idf_helpers.data.cameras import Camera
from idf_helpers.data.media import read_image, write_image
from idf_helpers.provenance import verify
from idf_helpers.runtime import files
from idf_helpers.runtime.progress import Reporter
from idf_helpers.stylization import dataset as stage
from idf_helpers.stylization.config import ExemplarConfig, KeyViewConfig, ServerConfig
from idf_helpers.stylization.propagators.ebsynth import Waiting
from idf_helpers.stylization.stylists.preset import PresetConfig
from idf_helpers.stylization.views import DatasetViews, in_order

from . import analytic_head

ELF = ServerConfig(prompt="an elf", strength=1.0)


class ExactScene:
    """The analytic head as a reconstruction."""

    def render_full(self, camera: Camera, expression=None, background=None):
        from idf_helpers.scene import Rendering
        rgb, alpha, depth, _ = analytic_head.render(camera, False)
        return Rendering(rgb, alpha, depth)


def stylize(folder, out, painter_config=ELF, stylist="painter", **more):
    return stage.stylize(Dataset.open(folder), out, stylist, painter_config, **more)


def test_a_look_for_all_views_is_a_dataset(head_folder, tmp_path):
    out = stylize(head_folder, tmp_path / "o", PresetConfig(preset="bronze"), "preset",
                  depth=ExactScene())
    before = Dataset.open(head_folder)
    assert [f.name for f in out.frames] == [f.name for f in before.frames]
    for a, b in zip(before.frames, out.frames, strict=True):
        np.testing.assert_allclose(a.camera.c2w, b.camera.c2w, atol=1e-9)
        assert a.camera.fx == pytest.approx(b.camera.fx)
        np.testing.assert_array_equal(a.image()[..., 3], b.image()[..., 3])
    said = verify(out.frames[0].path).fields
    assert "preset" in said["made"] and said["source_type"] == "compositeSynthetic"
    report = json.loads((tmp_path / "o" / "stylize_report.json").read_text())
    assert report["propagator"] == "none" and report["reads_prompt"] is False
    assert report["used"] == {"shape": "depth of all views"} and report["keys"] == "all"
    assert report["measures"]["mask_overlap"] == 1


def test_views_of_several_sizes(head_folder, tmp_path, painter):
    """A pointwise look takes them; what carries keys from view to view does not, and says so."""
    head_folder = Path(shutil.copytree(head_folder, tmp_path / "head"))  # others go on with theirs
    path = Dataset.open(head_folder).train[0].path
    table = next(head_folder.glob("transforms*.json"))
    data = json.loads(table.read_text())
    size = Dataset.open(head_folder).size
    for f in data["frames"]:
        c = next(c for c in Dataset.open(head_folder).frames if f["file_path"].endswith(
            Path(c.name).name)).camera
        f |= {"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height}
    cut = next(f for f in data["frames"] if path.stem == Path(f["file_path"]).stem)
    cut["w"] = size[0] - 8
    write_image(path, read_image(path)[:, :-8])
    table.write_text(json.dumps(data))
    out = stylize(head_folder, tmp_path / "o", PresetConfig(preset="bronze"), "preset",
                  depth=ExactScene())
    assert len({f.image().shape for f in out.frames}) == 2
    with pytest.raises(IdfError, match="one size"):
        stylize(head_folder, tmp_path / "p", views=KeyViewConfig(keys=4), depth=ExactScene())


def test_that_a_background_is_restyled_is_said(head_folder, tmp_path):
    class Notes(Reporter):
        def note(self, text):
            said.append(text)

    solid = Path(shutil.copytree(head_folder, tmp_path / "head"))
    for f in Dataset.open(solid).frames:
        write_image(f.path, read_image(f.path)[..., :3])
    told = []
    for folder in (solid, head_folder):
        said: list[str] = []
        stylize(folder, tmp_path / f"of_{folder.name}", PresetConfig(preset="clay"), "preset",
                depth=ExactScene(), reporter=Notes())
        told.append(any("no alpha" in text for text in said))
    assert told == [True, False]


def test_keys_are_styled_and_carried(head_folder, tmp_path, painter):
    out = stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=4), depth=ExactScene())
    assert [a[0] for a in painter.asked] == [f"train_main/r_{k}" for k in (0, 3, 6, 9)]
    assert sorted(p.name for p in (tmp_path / "o" / "keys_out").iterdir()) == \
        [f"train_main_r_{k}.png" for k in (0, 3, 6, 9)]
    source = {f.name: f.image() for f in Dataset.open(head_folder).frames}
    for f in out.frames:
        made, before = f.image(), source[f.name]
        solid = before[..., 3] == 255
        # the source's own shading clings to the surface: red and blue come out swapped everywhere
        assert np.abs(made[..., :3].astype(int) - before[..., 2::-1])[solid].mean() < 12
    # what a model drew is carried to the views' own outlines: a composite, and no longer its alone
    assert painter.source_type == "trainedAlgorithmicMedia"
    for file in (out.frames[0].path, tmp_path / "o" / "keys_out" / "train_main_r_0.png"):
        assert verify(file).fields["source_type"] == "compositeWithTrainedAlgorithmicMedia"
    manifest = json.loads((tmp_path / "o" / "run.json").read_text())
    assert manifest["source_type"] == "compositeWithTrainedAlgorithmicMedia"
    report = json.loads((tmp_path / "o" / "stylize_report.json").read_text())
    assert report["measures"]["background_pixels"] == 0
    assert report["measures"]["warp_error_neighbors"] < 12
    assert "geometry" in report["why"]


def test_nothing_finished_is_done_again(head_folder, tmp_path, painter):
    views, out = KeyViewConfig(keys=4), tmp_path / "o"
    painter.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        stylize(head_folder, out, views=views, propagator="flow")
    assert len(painter.asked) == 2
    stylize(head_folder, out, views=views, propagator="flow")
    assert sorted(a[0] for a in painter.asked) == [f"train_main/r_{k}" for k in (0, 3, 6, 9)]
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    stylize(head_folder, out, views=views, propagator="flow")
    assert len(painter.asked) == 4
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.png")} == before
    lost = out / "train_main" / "r_5.png"
    whole = lost.read_bytes()
    lost.unlink()
    stylize(head_folder, out, views=views, propagator="flow")
    assert len(painter.asked) == 4
    np.testing.assert_array_equal(read_image(lost), read_image(whole))


def test_stopped_while_propagating(head_folder, tmp_path, painter, monkeypatch):
    real, count = stage._Job._composed, [0]

    def stops(self, k, made):
        count[0] += 1
        if count[0] == 6:
            raise KeyboardInterrupt
        return real(self, k, made)

    monkeypatch.setattr(stage._Job, "_composed", stops)
    with pytest.raises(KeyboardInterrupt):
        stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    assert count[0] == 13 and len(painter.asked) == 3  # 12 frames, one of them begun twice


def test_a_server_may_move_and_settings_may_not(head_folder, tmp_path, painter):
    views = KeyViewConfig(keys=2)
    stylize(head_folder, tmp_path / "o", views=views, propagator="flow")
    moved = replace(ELF, server="http://127.0.0.1:9", timeout_s=5)
    stylize(head_folder, tmp_path / "o", moved, views=views, propagator="flow")
    assert len(painter.asked) == 2
    with pytest.raises(IdfError, match="another run"):
        stylize(head_folder, tmp_path / "o", replace(ELF, prompt="an orc"), views=views,
                propagator="flow")


def test_it_waits_for_ebsynth_and_goes_on(head_folder, tmp_path, painter):
    args = dict(views=KeyViewConfig(keys=2), propagator=f"ebsynth:{tmp_path / 'eb'}")
    with pytest.raises(Waiting):
        stylize(head_folder, tmp_path / "o", **args)
    assert json.loads((tmp_path / "o" / "run.json").read_text())["status"] == "waiting"
    for key in (tmp_path / "eb" / "keys").iterdir():
        for n in range(12):
            write_image(tmp_path / "eb" / f"out_{key.stem[4:]}" / f"{n:05d}.png",
                        np.full((64, 64, 3), 90, np.uint8))
    out = stylize(head_folder, tmp_path / "o", **args)
    assert len(painter.asked) == 2
    middle = next(f for f in out.frames if f.name.endswith("r_3")).image()
    assert (middle[middle[..., 3] == 255][:, :3] == 90).all()


def test_batches_choose_the_keys(head_folder, tmp_path, painter):
    stylize(head_folder, tmp_path / "o", views=KeyViewConfig(batch=5), propagator="flow")
    assert [a[0].split("_")[-1] for a in painter.asked] == ["2", "7", "11"]
    painter.asked.clear()
    stylize(head_folder, tmp_path / "f", views=KeyViewConfig(batch=5, batch_key="first"),
            propagator="flow")
    assert [a[0].split("_")[-1] for a in painter.asked] == ["0", "5", "10"]


def test_an_exemplar_goes_round_the_head(head, head_folder, tmp_path):
    picture = tmp_path / "r_2.png"  # its name says which view it shows
    write_image(picture, np.ascontiguousarray(head.styled[4]))
    config = ExemplarConfig(exemplar=picture)
    out = stylize(head_folder, tmp_path / "o", config, "exemplar", depth=ExactScene(),
                  views=KeyViewConfig(keys=4))
    frames = {f.name.split("_")[-1]: f.image() for f in out.frames}
    small = read_image(head_folder / "train_main" / "r_2.png")
    solid = small[..., 3] == 255
    import cv2
    painted = cv2.resize(head.styled[4], (64, 64), interpolation=cv2.INTER_AREA) * 255
    assert np.abs(frames["2"][..., :3] - painted)[solid].mean() < 4
    back = frames["8"]
    colors = back[back[..., 3] == 255][:, :3]
    assert not (np.abs(colors.astype(int) - 255).max(1) < 12).any()  # no background
    assert (colors[:, 1] > colors[:, 0] + 5).mean() > 0.05  # the paint's green is there too
    report = json.loads((tmp_path / "o" / "stylize_report.json").read_text())
    assert report["mode"] == "anchored" and report["keys"][0] == "train_main/r_2"


def test_bad_exemplars(head_folder, tmp_path):
    square = np.zeros((64, 64, 3), np.uint8)
    write_image(tmp_path / "x.png", square[:30])

    def refused(words, **config):
        with pytest.raises(IdfError, match=words):
            stylize(head_folder, tmp_path / "o", ExemplarConfig(mode="independent", **config),
                    "exemplar", propagator="flow")
        assert not (tmp_path / "o").exists() or not list((tmp_path / "o").glob("*.json"))

    refused("painted view")
    with pytest.raises(IdfError, match="`mode` is unknown"):  # it never draws several in one sheet
        stylize(head_folder, tmp_path / "o", ExemplarConfig(
            mode="grid", exemplar=tmp_path / "x.png"), "exemplar", propagator="flow")
    refused("does not exist", exemplar=tmp_path / "none.png")
    (tmp_path / "empty.png").write_bytes(b"")
    refused("is empty", exemplar=tmp_path / "empty.png")
    with pytest.raises(IdfError, match="another shape"):
        stylize(head_folder, tmp_path / "q", ExemplarConfig(
            mode="independent", exemplar=tmp_path / "x.png"), "exemplar", propagator="flow",
            views=KeyViewConfig(keys=2))


def test_a_full_disk(head_folder, tmp_path, painter, monkeypatch):
    real = files.os.replace
    count = [0]

    def full(a, b):
        if str(b).endswith(".png"):
            count[0] += 1
            if count[0] == 5:
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(a, b)

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(IdfError, match="disk is full"):
        stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    assert len({a[0] for a in painter.asked}) == 3
    assert not list(Path(tmp_path / "o").rglob(".*.part*"))


def test_a_damaged_key_is_styled_again(head_folder, tmp_path, painter):
    painter.fail_at = 2
    with pytest.raises(KeyboardInterrupt):
        stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    (tmp_path / "o" / "keys_out" / "train_main_r_0.png").write_bytes(b"half")
    stylize(head_folder, tmp_path / "o", views=KeyViewConfig(keys=3), propagator="flow")
    assert sorted(a[0] for a in painter.asked).count("train_main/r_0") == 2


def test_views_of_a_dataset(head_folder):
    data = Dataset.open(head_folder)
    assert [f.name for f in in_order(data.frames)] == [f"train_main/r_{k}" for k in range(12)]
    views = DatasetViews(data, ExactScene(), resolution=32, background="gray")
    view = views[3]
    assert view.rgb.shape == (32, 32, 3) and len(views) == 12 and view is views[3]
    assert (view.rgb[view.mask == 0] == 128).all()
    assert np.isfinite(view.depth[view.mask > 0.99]).all()
    assert np.isnan(view.depth[view.mask == 0]).all()
    with pytest.raises(IdfError, match="background is unknown"):
        DatasetViews(data, background="plaid")


def test_depth_that_lies_too_deep_is_found_out(head_folder):
    """The sources themselves say so: with the right depth they agree best."""
    class Deep(ExactScene):
        def render_full(self, camera, expression=None, background=None):
            made = super().render_full(camera)
            return replace(made, depth=made.depth + np.float32(0.03))

    data = Dataset.open(head_folder)
    deep = DatasetViews(data, Deep())
    before = deep[2].depth
    assert deep.settle_depth() == pytest.approx(0.03, abs=0.012)
    solid = np.isfinite(before)
    np.testing.assert_allclose((before - deep[2].depth)[solid], deep.depth_offset, atol=1e-5)
    assert abs(DatasetViews(data, ExactScene()).settle_depth()) < 0.012
    assert DatasetViews(data).settle_depth() == 0


def test_a_bundled_head_needs_no_consent_and_swaps_keep_theirs(tmp_path):
    from idf_helpers.provenance import Consent
    from idf_helpers.runtime.runs import RunFolder
    frames = samples.dataset("head_turntable").frames[:4]
    with RunFolder(tmp_path / "swap", stage="swap", backend="uv", config={}, inputs={}) as run:
        for f in frames:
            write_image(run.path / f"{f.name}.png", f.image()[::8, ::8])
        from idf_helpers.data.transforms import write_transforms
        write_transforms(run.path, [replace(f, camera=f.camera.resized(40, 40), split="train")
                                    for f in frames])
        record = Consent("Both agreed to this.", "statement", "a" * 64, "b" * 64, "2026-01-01")
        record.write(run.path)
        run.finish({}, consent=record.digest, source_type="compositeWithTrainedAlgorithmicMedia")
    out = stylize(tmp_path / "swap", tmp_path / "o", PresetConfig(preset="jade"), "preset")
    said = verify(out.frames[0].path).fields
    assert said["consent"] == record.digest and "swapped" in said["made"]
    assert said["source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert (tmp_path / "o" / "consent.json").is_file()
