"""Run folders of an earlier version: read back, exported, measured; a resume says what changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from idf_helpers import (
    ExportConfig,
    IdfError,
    SplatConfig,
    evaluate,
    evaluation,
    export,
    load,
    reconstruct,
    verify,
)
from idf_helpers.data import samples
from idf_helpers.perceptual import Lpips
from idf_helpers.runtime.runs import FORMAT, _identity, latest_run, read_manifest
from tests.fixtures.lpips import write_lpips

LANDED = Path(__file__).parent / "fixtures" / "landed"


@pytest.fixture
def landed(tmp_path):
    """landed(name) -> a copy of that run, whose inputs are the bundled head."""
    def copy(name):
        folder = shutil.copytree(LANDED / name, tmp_path / name)
        manifest = json.loads((folder / "run.json").read_text())
        manifest["inputs"]["folder"] = str(samples.path(Path(manifest["inputs"]["folder"]).name))
        (folder / "run.json").write_text(json.dumps(manifest))
        return folder
    return copy


@pytest.mark.parametrize("name, count", [("splats", 60), ("avatar", 60), ("nerf", None),
                                         ("vanilla", None)])
def test_a_scene_is_read_back_and_renders(landed, name, count):
    scene = load(landed(name))
    picture = scene.render(scene.cameras[0].fitted(32))
    assert picture.shape == (32, 32, 3) and np.isfinite(picture).all()
    assert picture.std() > 0.01  # the head, not a blank page
    if count:
        gaussians = scene.avatar.gaussians if name == "avatar" else scene.gaussians
        assert len(gaussians) == count


@pytest.mark.parametrize("name", ["splats", "nerf", "avatar"])
def test_it_measures_as_it_did_then(landed, name, tmp_path, monkeypatch):
    folder = landed(name)
    then = json.loads((folder / "metrics.json").read_text())
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))  # without the weights of LPIPS
    mean = evaluate(folder).rows[-1]
    assert mean["view"] == "mean" and mean["psnr"] == then["psnr"] and mean["ssim"] == then["ssim"]
    assert "lpips" not in mean and "LPIPS: lpips (" in evaluate(folder).notes[0]


@pytest.mark.parametrize("name", ["splats", "nerf", "avatar"])
def test_lpips_stands_beside_where_its_weights_are(landed, tmp_path, monkeypatch, name):
    folder = landed(name)
    write_lpips(tmp_path / "weights")
    monkeypatch.setattr(evaluation, "missing", lambda model: None)
    monkeypatch.setattr(evaluation, "Lpips", lambda: Lpips(tmp_path / "weights"))
    table = evaluate(folder, resolution=64)
    *views, mean = [r for r in table.rows if r.get("model", "avatar") == "avatar"]
    assert mean["view"] == "mean" and not table.notes
    assert mean["lpips"] == pytest.approx(np.mean([v["lpips"] for v in views]), abs=1e-4)
    assert min(v["lpips"] for v in views) > 0
    small = evaluate(folder, resolution=16).rows  # too small for it
    assert "lpips" not in small[-1] or small[-1]["lpips"] is None


@pytest.mark.parametrize("name, formats", [("splats", ["ply", "splat", "html"]),
                                           ("nerf", ["png"]), ("avatar", ["html"])])
def test_what_is_exported_carries_the_mark_of_its_run(landed, tmp_path, name, formats):
    folder = landed(name)
    for suffix in formats:
        out = tmp_path / f"out.{suffix}"
        export(folder, out, config=ExportConfig(resolution=32))
        verdict = verify(out)
        assert verdict.synthetic and verdict.fields["run_id"] == read_manifest(folder)["run_id"]


def test_the_stages_are_found_under_todays_names(landed):
    folder = landed("stylize")
    assert json.loads((folder / "run.json").read_text())["stage"] == "stylise"
    assert read_manifest(folder)["stage"] == "stylize"
    assert latest_run(folder.parent, "stylize") == folder


def test_a_resume_says_what_changed(landed):
    folder = landed("splats")
    data = samples.dataset("head_turntable")
    with pytest.raises(IdfError, match="holds another run") as error:
        reconstruct(data, folder, "splats:cpu", SplatConfig(iterations=31, resolution=48))
    assert "made by an earlier version" in error.value.found
    assert "iterations '30', now '31'" in error.value.found


def test_a_finished_run_is_found_again_though_its_config_knew_fewer_fields(tmp_path):
    data, config = samples.dataset("head_turntable"), SplatConfig(iterations=2, resolution=16,
                                                                  initial=50, max_gaussians=60)
    reconstruct(data, tmp_path / "run", "splats:cpu", config)
    path = tmp_path / "run" / "run.json"
    manifest = json.loads(path.read_text())
    del manifest["config"]["rounds"], manifest["config"]["sh_steps"]
    manifest["identity"] = _identity(manifest)  # as a version wrote it that had neither
    path.write_text(json.dumps(manifest))
    model = next((tmp_path / "run").glob("*.ply"))
    stamp = model.stat().st_mtime_ns
    reconstruct(data, tmp_path / "run", "splats:cpu", config)
    assert model.stat().st_mtime_ns == stamp
    with pytest.raises(IdfError, match="holds another run") as error:
        reconstruct(data, tmp_path / "run", "splats:cpu", replace(config, rounds=3))
    assert error.value.found == "rounds '16', now '3'"


def test_a_run_of_a_newer_version_is_not_guessed_at(landed):
    folder = landed("splats")
    manifest = json.loads((folder / "run.json").read_text()) | {"format": FORMAT + 1}
    (folder / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(IdfError, match="newer version"):
        load(folder)
