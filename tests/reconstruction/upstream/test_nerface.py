"""NeRFace from a clone: the stand-in here; the real code where IDF_NERFACE names it."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.catalogue import STAGES
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.avatar.config import AvatarConfig, NerfaceConfig
from idf_helpers.reconstruction.avatar.run import load_scene
from idf_helpers.reconstruction.upstream.nerface import upstream as module
from idf_helpers.reconstruction.upstream.nerface.loader import LazyFrames, SamplingMaps
from idf_helpers.reconstruction.upstream.nerface.run import train_upstream
from idf_helpers.reconstruction.upstream.nerface.upstream import ENV, Upstream
from tests.fixtures.talking import write_talking

from .nerface_clone import write_clone

TINY = NerfaceConfig(rays=32, coarse=4, fine=4)


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
    config, out, said = AvatarConfig(iterations=40, resolution=16), tmp_path / "run", []
    monkeypatch.setenv("STAND_IN_FAILS", "20")
    with pytest.raises(IdfError, match="training failed") as e:
        train_upstream(data, out, config, options=TINY)
    assert "told to fail" in e.value.found
    monkeypatch.delenv("STAND_IN_FAILS")
    seen = []
    scene = train_upstream(data, out, config, options=TINY, say=said.append,
                           progress=lambda p: seen.append(p.iteration))
    assert seen[0] == 20 and seen[-1] == 40  # it went on from the checkpoint of step 18
    assert any("CC BY-NC-SA" in line for line in said)
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
    assert type(load_scene(out)).__name__ == "UpstreamScene"
    assert {p: p.read_bytes() for p in clone.rglob("*.py")} == before, "the clone was touched"


def test_another_version_and_a_budget_are_refused(data, clone, tmp_path):
    path = clone / "nerface_code" / "nerf-pytorch" / "eval_transformed_rays.py"
    path.write_text(path.read_text().replace("ablate = 'view_dir'", "ablate = 'off'"))
    with pytest.raises(IdfError, match="another version"):
        train_upstream(data, tmp_path / "run", AvatarConfig(iterations=5, resolution=16))
    assert not (tmp_path / "run").exists()
    with pytest.raises(IdfError, match="counts in iterations"):
        train_upstream(data, tmp_path / "run", AvatarConfig(budget_s=5))


def test_without_a_clone_it_says_how_to_get_one(data, tmp_path, monkeypatch):
    monkeypatch.delenv(ENV, raising=False)
    lack = STAGES["avatar"].find("nerface").missing()
    assert "git clone" in lack and "CC BY-NC-SA" in lack
    assert STAGES["avatar"].choose()[0].name != "nerface"
    monkeypatch.setenv(ENV, str(tmp_path))
    assert "is missing" in Upstream.here().missing()
    with pytest.raises(IdfError, match="cannot run here"):
        train_upstream(data, tmp_path / "run", AvatarConfig(iterations=5))


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
    scene = train_upstream(data, tmp_path / "run", AvatarConfig(iterations=4, resolution=16),
                           options=replace(TINY, rays=16))
    picture = scene.render(scene.cameras[0].fitted(16))
    assert picture.shape == (16, 16, 3) and np.isfinite(picture).all()
