"""The one function: what it leaves, what it refuses, what a second call does."""

import dataclasses

import numpy as np
import pytest

from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.provenance import verify
from idf_helpers.reconstruction import (
    choose_method,
    load,
    mark_of_model,
    method_of,
    reconstruct,
    run_folder_of,
)
from idf_helpers.reconstruction.config import CountedConfig, TrainingConfig
from idf_helpers.reconstruction.method import background_of
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Reporter
from idf_helpers.runtime.runs import read_manifest
from idf_helpers.scene import HasGaussians, HasNormals, Scene

from ..conftest import make_dataset

TINY = SplatConfig(iterations=8, resolution=24, initial=64, max_gaussians=64)


class Listener(Reporter):
    def __init__(self):
        self.trained, self.notes = [], []

    def training(self, progress):
        self.trained.append(progress)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("reconstruct") / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """(folder, scene, what the reporter heard) of a tiny training of splats."""
    out, listener = tmp_path_factory.mktemp("run") / "splats", Listener()
    return out, reconstruct(str(data), out, "splats:cpu", TINY, reporter=listener), listener


def test_it_leaves_model_measures_and_pictures_all_marked(run):
    out, scene, listener = run
    metrics = read_json(out / "metrics.json")
    assert metrics["iterations"] == 8 and metrics["num_gaussians"] == len(scene.gaussians)
    assert len(read_json(out / "per_view.json")) == metrics["views"] == 2
    for name in ("point_cloud.ply", "held_out.jpg"):
        assert verify(out / name).synthetic, name
    assert listener.trained[-1].fraction == 1 and listener.trained[-1].unit == "Gaussians"
    manifest = read_manifest(out)
    assert manifest["why"] == "cpu: asked for" and manifest["config"]["initial"] == 64


def test_a_second_call_reads_back_and_other_settings_are_refused(run, data):
    out, scene, _ = run
    listener, stamp = Listener(), (out / "point_cloud.ply").stat().st_mtime_ns
    again = reconstruct(Dataset.open(data), out, "splats:cpu", TINY, reporter=listener)
    np.testing.assert_array_equal(again.gaussians.means, scene.gaussians.means)
    assert not listener.trained and (out / "point_cloud.ply").stat().st_mtime_ns == stamp
    with pytest.raises(IdfError, match="holds another run") as error:
        reconstruct(data, out, "splats:cpu", dataclasses.replace(TINY, rounds=5))
    assert "rounds" in error.value.found


def test_a_run_that_lost_its_model_is_trained_again(run, data, tmp_path):
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(run[0], out)
    (out / "point_cloud.ply").unlink()
    listener = Listener()
    reconstruct(data, out, "splats:cpu", TINY, reporter=listener)
    assert listener.trained and (out / "point_cloud.ply").is_file()


def test_reading_back_by_folder_and_by_file(run):
    out, scene, _ = run
    for path in (out, out / "point_cloud.ply"):
        found = load(path)
        assert isinstance(found, Scene) and isinstance(found, HasGaussians)
        assert not isinstance(found, HasNormals)
        assert mark_of_model(path).run_id == read_manifest(out)["run_id"]
        camera = found.cameras[0].fitted(24)
        np.testing.assert_array_equal(found.render(camera), scene.render(camera))
    assert run_folder_of(out / "point_cloud.ply") == out
    assert method_of(read_manifest(out), out).name == "cpu"


def test_settings_of_another_method_are_refused(data, tmp_path):
    with pytest.raises(IdfError, match="takes other settings") as error:
        reconstruct(data, tmp_path / "a", "splats:cpu", VoxelConfig())
    assert "SplatConfig" in error.value.do
    assert not (tmp_path / "a").exists()
    method = choose_method("splats:cpu")[0].load()
    with pytest.raises(IdfError, match="does not read `tv_color`"):
        method.config_from({"tv_color": 1.0})
    with pytest.raises(IdfError, match="does not read `ronds`") as error:
        method.config_from({"ronds": 9})
    assert "did you mean `rounds`" in error.value.do
    assert method.config_from({"rounds": 9}).rounds == 9


def test_unknown_methods(data, tmp_path):
    for method, words in (("splots", "no reconstruction"), ("splats:cpv", "no splats method")):
        with pytest.raises(IdfError, match=words):
            reconstruct(data, tmp_path / "a", method)


def test_amounts():
    assert TrainingConfig(iterations=3).budget is None and TrainingConfig().budget == 120
    assert CountedConfig().steps == 30_000 and CountedConfig(iterations=7).steps == 7
    for bad in (TrainingConfig(iterations=3, budget_s=2.0), TrainingConfig(iterations=0),
                TrainingConfig(budget_s=0.0), TrainingConfig(resolution=8),
                CountedConfig(budget_s=5.0)):
        with pytest.raises(IdfError) as error:
            bad.checked()
        assert error.value.do


def test_a_damaged_background_is_said(tmp_path):
    assert background_of(tmp_path, {}) == (1, 1, 1)
    for value in ([1, 2, 3], "white", [0.1, 0.2], [None] * 3):
        with pytest.raises(IdfError, match="damaged"):
            background_of(tmp_path, {"background": value})
