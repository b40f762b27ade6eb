"""The splat stage: any kind of dataset in, a run folder out, and scenes read back."""

import json

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data.cameras_file import read_cameras
from idf_helpers.evaluation import evaluate
from idf_helpers.provenance.lineage import mark_of
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.splats import memory
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.model_path import MODEL, find_model
from idf_helpers.runtime.files import read_json
from tests.fixtures.datasets import make_dataset

TINY = SplatConfig(iterations=5, resolution=24, initial=100, max_gaussians=200)


@pytest.fixture(scope="module")
def opaque(tmp_path_factory):
    """(dataset, run folder, scene) of pictures without alpha."""
    root = tmp_path_factory.mktemp("opaque")
    data = Dataset.open(make_dataset(root / "data", alpha=False))
    return data, root / "out", reconstruct(data, root / "out", "splats:cpu", TINY)


def test_pictures_without_alpha_have_no_masked_psnr(opaque):
    _, out, _ = opaque
    metrics = read_json(out / "metrics.json")
    assert metrics["psnr_masked"] is None and metrics["psnr"] > 5 and metrics["iterations"] == 5
    views = read_json(out / "per_view.json")
    assert [v["view"] for v in views] == ["test/r_0", "test/r_1"]
    assert all(v["psnr_masked"] is None and v["psnr"] > 5 for v in views)
    assert "mean" in str(evaluate(out))


def test_the_scene_comes_back_with_its_cameras_and_background(opaque):
    data, out, scene = opaque
    again = load(out)
    assert again.background == scene.background
    for a, b in zip(again.cameras, data.cameras, strict=True):
        np.testing.assert_allclose(a.c2w, b.c2w, atol=1e-9)
        assert (a.fx, a.fy, a.width, a.height) == (b.fx, b.fy, b.width, b.height)
    camera = data.test[0].camera
    np.testing.assert_array_equal(scene.render(camera), again.render(camera))


def test_memory_is_told_and_refused_before_a_training(opaque, monkeypatch, tmp_path):
    data, _, _ = opaque
    cameras = [f.camera.resized(800, 800) for f in data.train]
    free = [4.0]
    monkeypatch.setattr(memory, "memory_gb", lambda: (16.0, free[0]))
    assert memory.memory_note(cameras[:1], 1000, 3) is None
    note = memory.memory_note(cameras[:1] * 88, 200_000, 3)
    assert note == ("up to 200000 Gaussians, 88 pictures of 800x800: about 1.0 GB of memory, "
                    "4.0 GB are free")
    free[0] = 0.9
    with pytest.raises(IdfError, match="more memory than is free") as error:
        memory.memory_note(cameras[:1] * 88, 200_000, 3)
    assert "--max-gaussians" in error.value.do
    free[0] = 0.0
    with pytest.raises(IdfError, match="memory"):
        reconstruct(data, tmp_path / "out", "splats:cpu", TINY)


def test_cameras_that_are_none(tmp_path):
    for text in ("[]", "{}", '[{"width": 3}]', "[3]"):
        (tmp_path / "cameras.json").write_text(text)
        with pytest.raises(IdfError):
            read_cameras(tmp_path / "cameras.json")


def test_a_model_without_cameras_is_seen_from_the_front(opaque, tmp_path):
    (tmp_path / "a.ply").write_bytes((opaque[1] / MODEL).read_bytes())
    scene = load(tmp_path / "a.ply")
    camera = scene.cameras[0]
    assert camera.position[1] < scene.gaussians.means[:, 1].min()
    with pytest.raises(IdfError, match="neither a run folder nor a splat file"):
        find_model(tmp_path / "a.obj")


def test_marks_carry_on_what_the_dataset_says_of_itself(tmp_path):
    assert mark_of(tmp_path, "id", "splats").consent == ""
    manifest = {"stage": "swap", "source_type": "compositeSynthetic", "consent": "c" * 64,
                "run_id": "r", "config": {}, "inputs": {}}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    mark = mark_of(tmp_path, "id", "splats")
    assert mark.consent == "c" * 64 and mark.made == "splats of swapped views"
    for damaged in ("{", "[1]"):  # silence would lose the consent
        (tmp_path / "run.json").write_text(damaged)
        with pytest.raises(IdfError, match="run manifest"):
            mark_of(tmp_path, "id", "splats")
