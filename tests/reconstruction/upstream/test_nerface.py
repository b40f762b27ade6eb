"""NeRFace from a clone: the stand-in here; the real code where IDF_NERFACE names it."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.catalogue import STAGES
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import read_image
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.upstream.nerface import clone as module
from idf_helpers.reconstruction.upstream.nerface.clone import NerfaceClone
from idf_helpers.reconstruction.upstream.nerface.config import NerfaceConfig
from idf_helpers.reconstruction.upstream.nerface.loader import LazyFrames, SamplingMaps
from idf_helpers.reconstruction.upstream.nerface.program import NerfaceProgram
from idf_helpers.reconstruction.upstream.nerface.scene import NerfaceScene
from idf_helpers.runtime.progress import Reporter
from idf_helpers.scene import Expressive, Scene
from tests.fixtures.talking import write_talking

from .nerface_clone import write_clone

ENV = NerfaceClone.env
TINY = NerfaceConfig(rays=32, coarse=4, fine=4, iterations=40, resolution=16)


class Seen(Reporter):
    """Keeps what it is given."""

    def __init__(self):
        self.iterations, self.notes = [], []

    def training(self, progress):
        self.iterations.append(progress.iteration)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def data(tmp_path):
    return Dataset.open(write_talking(tmp_path / "data", train=5, test=2, size=24, length=10))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    # what the stand-in does not import need not be installed
    monkeypatch.setattr(module, "RUNTIME", {"torch": "torch", "yaml": "pyyaml"})
    monkeypatch.setenv(ENV, str(write_clone(tmp_path / "clone")))
    return tmp_path / "clone"


def test_trained_rendered_and_resumed_from_a_clone(data, clone, tmp_path, monkeypatch):
    before = {p: p.read_bytes() for p in clone.rglob("*.py")}
    out = tmp_path / "run"
    monkeypatch.setenv("STAND_IN_FAILS", "20")
    with pytest.raises(IdfError, match="training failed") as e:
        reconstruct(data, out, "avatar:nerface", TINY)
    assert "told to fail" in e.value.found
    monkeypatch.delenv("STAND_IN_FAILS")
    seen = Seen()
    scene = reconstruct(data, out, "avatar:nerface", TINY, reporter=seen)
    # it went on from the checkpoint of step 18
    assert seen.iterations[0] == 20 and seen.iterations[-1] == 40
    assert any("CC BY-NC-SA" in line for line in seen.notes)
    assert any("changed in the copy: nerf/load_flame.py" in line for line in seen.notes)
    assert isinstance(scene, Scene) and not isinstance(scene, Expressive)
    assert len(repr(scene)) < 100
    m = json.loads((out / "metrics.json").read_text())
    assert m["views"] == 2 and m["iterations"] == 40 and 3 < m["psnr"] < 40
    assert len(list((out / "renders").glob("*.png"))) == 2 and (out / "held_out.jpg").is_file()
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["source_type"] == "trainedAlgorithmicMedia" and manifest["license"]
    # the checkpoint renders any camera and expression
    light = scene.render(scene.cameras[0], np.ones(10, np.float32))
    assert light.shape == (24, 24, 3) and np.ptp(light) < 1  # one color, see the stand-in
    assert light.mean() == pytest.approx(np.mean([f.image().mean() / 255 for f in data.train]),
                                         abs=0.08)
    dark, same = scene.render_each(scene.cameras[0], [np.zeros(10), np.ones(10)])
    np.testing.assert_array_equal(same, light)
    np.testing.assert_allclose(dark, light / 2, atol=0.01)
    assert isinstance(load(out), NerfaceScene)
    assert {p: p.read_bytes() for p in clone.rglob("*.py")} == before, "the clone was touched"


def test_another_version_and_a_budget_are_refused(data, clone, tmp_path):
    path = clone / "nerface_code" / "nerf-pytorch" / "eval_transformed_rays.py"
    path.write_text(path.read_text().replace("ablate = 'view_dir'", "ablate = 'off'"))
    with pytest.raises(IdfError, match="another version"):
        reconstruct(data, tmp_path / "run", "avatar:nerface", TINY)
    assert not (tmp_path / "run").exists()
    with pytest.raises(IdfError, match="counts in iterations"):
        reconstruct(data, tmp_path / "run", "avatar:nerface", NerfaceConfig(budget_s=5))


def test_the_steps_one_by_one_give_the_same(data, clone, tmp_path):
    whole = reconstruct(data, tmp_path / "whole", "avatar:nerface", TINY)
    out = tmp_path / "steps"
    p = NerfaceProgram.open(data, out, TINY)
    assert str(clone) in p.check() and "CC BY-NC-SA" in p.check() and not out.exists()
    with pytest.raises(IdfError, match="`train` of NeRFace comes first"):
        p.render()
    assert {f.name for f in p.prepare()} == {"source.json", "00050.png", "index_map.npy"}
    assert all(f.is_file() for f in p.prepare()) and len(p.changes) > 3
    first, seen = p.train(iterations=12)[0], Seen()
    assert first.name == "checkpoint00011.ckpt" and len(p.render()) == 2
    p = NerfaceProgram.open(data, out, TINY)  # another process goes on
    p.train(reporter=seen)
    assert seen.iterations == list(range(13, 41)) and p.model() != first
    pictures, (rows,) = p.render(), p.metrics()
    assert [f.is_file() for f in pictures] == [True, True]
    assert len(json.loads(rows.read_text())) == 2
    # and `reconstruct` ends what the steps began
    seen = Seen()
    reconstruct(data, out, "avatar:nerface", TINY, reporter=seen)
    assert seen.iterations == []
    mine, other = (json.loads((f / "metrics.json").read_text()) for f in (out, tmp_path / "whole"))
    assert mine["psnr"] == other["psnr"] and mine["ssim"] == other["ssim"]
    for a, b in zip(pictures, sorted((whole.folder / "renders").glob("*.png")), strict=True):
        np.testing.assert_array_equal(read_image(a), read_image(b))


def test_the_last_frames_are_held_out(data, clone, tmp_path):
    program = NerfaceProgram.open(data, tmp_path / "run", replace(TINY, holdout_last=3))
    source = json.loads(program.prepare()[0].read_text())
    split = Dataset.open(source["dataset"])
    assert [len(split.train), len(split.test), len(program.data.test)] == [4, 3, 3]


def test_of_some_frames_only_those_are_rendered(data, clone, tmp_path):
    some = replace(data, splits={"train": data.train[:3], "val": (), "test": data.test[:1]})
    program = NerfaceProgram.open(some, tmp_path / "run", TINY)
    program.train(iterations=4)
    assert len(program.render()) == 1 and program.measured().means()["psnr"] > 3


def test_without_a_clone_it_says_how_to_get_one(data, tmp_path, monkeypatch):
    monkeypatch.delenv(ENV, raising=False)
    lack = STAGES["avatar"].find("nerface").missing()
    assert "git clone" in lack and "CC BY-NC-SA" in lack
    assert STAGES["avatar"].choose()[0].name != "nerface"
    monkeypatch.setenv(ENV, str(tmp_path))
    assert "is missing" in NerfaceClone.here().missing()
    with pytest.raises(IdfError, match="cannot run here"):
        reconstruct(data, tmp_path / "run", "avatar:nerface", TINY)
    with pytest.raises(IdfError, match="cannot run here"):
        NerfaceProgram.open(data, tmp_path / "run", TINY).check()


def test_lazy_frames_and_sampling_maps():
    pictures = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)
    frames = LazyFrames(pictures)
    assert len(frames) == 6 and frames.shape == (6, 4, 5, 3)
    some = frames[np.array([4, 2])]
    assert len(some) == 2
    np.testing.assert_allclose(some[1].numpy(), pictures[2] / 255, atol=1e-6)
    maps = SamplingMaps(np.array([[1, 3, 0, 5]]), 4, 5)
    p = maps[0].reshape(4, 5)
    assert p.sum() == pytest.approx(1) and p[1, 0] == pytest.approx(9 * p[0, 0])


def test_settings_out_of_range():
    with pytest.raises(IdfError, match="rays"):
        NerfaceConfig(rays=0).checked()
    with pytest.raises(IdfError, match="far"):
        NerfaceConfig(near=0.5, far=0.3).checked()


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} names no clone")
def test_the_real_code_runs_for_a_few_iterations(data, tmp_path):
    scene = reconstruct(data, tmp_path / "run", "avatar:nerface",
                        replace(TINY, iterations=4, rays=16))
    picture = scene.render(scene.cameras[0].fitted(16))
    assert picture.shape == (16, 16, 3) and np.isfinite(picture).all()
