"""`idf eval` of restyled views: a loop with its splats, a run without depth, what it refuses."""

import json
import shutil

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.cli.main import main
from idf_helpers.evaluation import evaluate
from idf_helpers.perceptual import Lpips
from idf_helpers.reconstruction.splats.model_path import MODEL
from idf_helpers.runtime.files import write_json
from idf_helpers.stylization.config import ServerConfig
from idf_helpers.stylization.dataset import stylize
from idf_helpers.stylization.stylists.preset import PresetConfig
from tests.fixtures.lpips import write_lpips


@pytest.fixture(scope="module")
def looped(head_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("looped")
    main(["loop", str(head_folder), "--out", str(out), "--stylist", "preset", "--preset", "bronze",
          "--splat_iterations", "60", "--splat_resolution", "64"])
    return out


@pytest.fixture
def lpips(tmp_path, monkeypatch):
    """Weights of random numbers in place of the pinned ones."""
    write_lpips(tmp_path / "weights")
    monkeypatch.setattr("idf_helpers.evaluation.missing", lambda model: None)
    monkeypatch.setattr("idf_helpers.evaluation.Lpips", lambda: Lpips(tmp_path / "weights"))


def test_a_loop_beside_what_it_was_made_of(looped, lpips, tmp_path, capsys):
    main(["eval", str(looped), "--json", str(tmp_path / "all.json")])
    said = capsys.readouterr().out
    assert "short LPIPS" in said and "iter1: restyled" in said and "not measured" not in said
    before, styled, splats = json.loads((tmp_path / "all.json").read_text())
    assert [r["pictures"] for r in (before, styled, splats)] == [
        "iter1: as they were", "iter1: restyled", "iter1: their splats"]
    assert before["sharpness"] == 1 and splats["sharpness"] < styled["sharpness"]
    for row in (before, styled, splats):
        assert 0 < row["short_rmse"] < 0.2 and 0 < row["long_lpips"] < 1
        assert row["short_degrees"] == pytest.approx(30, abs=0.5)
    one = evaluate(looped / "iter1", dataset=looped.parent / looped.name / "iter1" / "frames")
    assert one.rows[0]["pictures"] == "iter1: as they were"
    assert one.rows[0]["short RMSE"] == one.rows[1]["short RMSE"]  # compared with themselves


def test_what_is_missing_is_said(looped, head_folder, tmp_path, lpips, monkeypatch, painter):
    stylize(head_folder, tmp_path / "flat", "painter", ServerConfig(prompt="an elf"),
            propagator="flow")
    table = evaluate([tmp_path / "flat", looped])
    assert [r["run"] for r in table.rows] == [str(tmp_path / "flat")] * 2 + [str(looped)] * 3
    assert table.rows[0]["short RMSE"] is None and table.rows[1]["sharpness"] > 0
    assert any("no splats in this run" in note for note in table.notes)
    monkeypatch.setattr("idf_helpers.evaluation.missing", lambda model: "idf download lpips")
    without = evaluate(looped)
    assert without.rows[1]["short LPIPS"] is None and without.rows[1]["short RMSE"] > 0
    assert any("idf download lpips" in note for note in without.notes)


def test_encoders_are_asked(looped, lpips, monkeypatch):
    class Colors:
        kind = "dino"

        def __init__(self, folder):
            self.folder = folder

        def pictures(self, pictures):
            found = np.array([p.mean((0, 1)) for p in pictures])
            return found / np.linalg.norm(found, axis=1, keepdims=True)

    monkeypatch.setattr("idf_helpers.evaluation.Encoder", Colors)
    table = evaluate(looped, encoder="folder")
    assert table.rows[0].get("dino views") is None
    assert 0.9 < table.rows[1]["dino source"] < table.rows[1]["dino views"] <= 1
    assert any("clip text: no CLIP model named" in note for note in table.notes)
    with pytest.raises(IdfError, match="one kind"):
        evaluate(looped, encoder=["folder", "another"])


def test_any_reconstruction_that_gave_depth_is_found_again(looped, head_folder, tmp_path,
                                                           monkeypatch):
    """A model file, named from another folder than the one that is measured in."""
    shutil.copy(looped / "iter1" / "original" / MODEL, tmp_path / "head.ply")
    monkeypatch.chdir(tmp_path)
    stylize(head_folder, "flat", "preset", PresetConfig(preset="bronze"), depth="head.ply")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert evaluate(tmp_path / "flat").rows[1]["short RMSE"] > 0


def test_refused(looped, tmp_path, lpips):
    with pytest.raises(IdfError, match="leave it out"):
        evaluate(looped, resolution=64)
    with pytest.raises(IdfError, match="is for restyled views"):
        evaluate(looped / "iter1" / "model", encoder="folder")
    with pytest.raises(IdfError, match="1 restyled of 2"):
        evaluate([looped, looped / "iter1" / "model"])
    with pytest.raises(IdfError, match="does not exist"):
        evaluate(looped, encoder=tmp_path / "none")
    with pytest.raises(IdfError, match="is not what"):
        evaluate(looped, dataset="head_turntable")
    cut = shutil.copytree(looped / "iter1" / "frames", tmp_path / "cut")
    manifest = json.loads((cut / "run.json").read_text()) | {"status": "interrupted"}
    write_json(cut / "run.json", manifest)
    with pytest.raises(IdfError, match="not finished"):
        evaluate(cut)
