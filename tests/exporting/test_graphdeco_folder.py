"""graphdeco's folder: written as its tools read it, read as its trainer leaves it."""

import json
from argparse import Namespace
from dataclasses import replace

import numpy as np
import plyfile
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.cli.main import main
from idf_helpers.data import media
from idf_helpers.evaluation import evaluate_run
from idf_helpers.exporting import Model, export
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.provenance import verify
from idf_helpers.reconstruction import load as load_scene
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.graphdeco_folder import GraphdecoFolder, read_arguments
from idf_helpers.reconstruction.splats.model_path import MODEL
from idf_helpers.reconstruction.splats.model_path import find_model as model_file
from idf_helpers.reconstruction.splats.ply import read_ply, write_ply
from idf_helpers.runtime.files import read_json
from tests.fixtures.datasets import make_dataset
from tests.fixtures.gaussians import assert_equal, random_gaussians

TINY = SplatConfig(iterations=5, resolution=24, initial=100, max_gaussians=200,
                   background="white")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(dataset folder, run folder, exported tree)"""
    root = tmp_path_factory.mktemp("tree")
    make_dataset(root / "data", alpha=False)
    reconstruct(Dataset.open(root / "data"), root / "run", "splats:cpu", TINY)
    export(Model.open(root / "run"), root / "tree", "graphdeco")
    return root / "data", root / "run", root / "tree"


def test_the_layout_and_what_their_tools_take_from_it(made):
    data, run, tree = made
    # render.py evals this text with Namespace in scope
    arguments = eval((tree / "cfg_args").read_text(), {"Namespace": Namespace})
    assert arguments.source_path == str(data.resolve()) and arguments.sh_degree == 3
    assert arguments.eval is True and arguments.white_background is True
    assert arguments.resolution == 24 and arguments.model_path == str(tree.resolve())
    model = tree / "point_cloud/iteration_5/point_cloud.ply"
    assert_equal(read_ply(model), read_ply(run / MODEL))
    assert len(plyfile.PlyData.read(model)["vertex"].properties) == 62
    start = plyfile.PlyData.read(tree / "input.ply")["vertex"]
    assert [p.name for p in start.properties] == ["x", "y", "z", "nx", "ny", "nz", "red", "green",
                                                  "blue"]
    assert len(start) == 100 and start["red"].dtype == np.uint8
    assert verify(model).synthetic


def test_a_run_whose_numbers_go_by_its_pictures(made, tmp_path):
    data, run, _ = made
    for name, config in (("new", SplatConfig(iterations=1, resolution=24, max_gaussians=400)),
                         ("on", replace(TINY, iterations=1, initial=None, start=run))):
        reconstruct(Dataset.open(data), tmp_path / name, "splats:cpu", config)
        export(Model.open(tmp_path / name), tmp_path / f"{name}_tree", "graphdeco")
    def first(name): return plyfile.PlyData.read(tmp_path / f"{name}_tree/input.ply")["vertex"]
    assert len(first("new")) == 100
    np.testing.assert_allclose(first("on")["x"], read_ply(tmp_path / "on" / MODEL).means[:, 0])


def test_cameras_test_first(made):
    data, _, tree = made
    rows = read_json(tree / "cameras.json")
    frames = Dataset.open(data)
    assert [r["img_name"] for r in rows] == [f.name.split("/")[1] for f in
                                             (*frames.test, *frames.train)]
    assert [r["id"] for r in rows] == list(range(8))
    c = frames.test[0].camera
    np.testing.assert_allclose(rows[0]["position"], c.position)
    # columns: the camera's right, down and forward in the world
    np.testing.assert_allclose(np.array(rows[0]["rotation"]).T,
                               [c.c2w[:3, 0], -c.up, c.forward], atol=1e-12)


def test_test_views_and_metrics(made):
    data, run, tree = made
    names = ["00000.png", "00001.png"]
    for part in ("renders", "gt"):
        folder = tree / "test/ours_5" / part
        assert sorted(p.name for p in folder.iterdir()) == names
    assert verify(tree / "test/ours_5/renders/00000.png").synthetic
    assert not verify(tree / "test/ours_5/gt/00000.png").synthetic  # a photograph, for all we know
    gt = media.read_image(tree / "test/ours_5/gt/00000.png")
    assert (gt == Dataset.open(data).test[0].image()).all()
    results, views = read_json(tree / "results.json"), read_json(tree / "per_view.json")
    assert set(results) == set(views) == {"ours_5"} and set(results["ours_5"]) == {"SSIM", "PSNR"}
    a, b = (media.read_image(tree / "test/ours_5" / p / names[1]) / 255 for p in ("renders", "gt"))
    assert views["ours_5"]["PSNR"][names[1]] == pytest.approx(-10 * np.log10(((a - b) ** 2).mean()),
                                                              abs=1e-4)
    assert results["ours_5"]["PSNR"] == pytest.approx(
        np.mean(list(views["ours_5"]["PSNR"].values())))
    assert results["ours_5"]["PSNR"] == pytest.approx(read_json(run / "metrics.json")["psnr"],
                                                      abs=0.02)


def test_the_tree_is_read_evaluated_rendered_and_exported(made, tmp_path, capsys):
    _, run, tree = made
    assert evaluate_run(tree)[-1]["psnr"] == pytest.approx(evaluate_run(run)[-1]["psnr"], abs=1e-3)
    main(["render", str(tree), "--out", str(tmp_path / "r"), "--views", "2", "--resolution", "32"])
    assert len(list((tmp_path / "r").glob("*.png"))) == 2
    main(["export", str(tree), "--out", str(tmp_path / "a.splat")])
    main(["export", str(tmp_path / "a.splat"), "--out", str(tmp_path / "b.ply")])
    a, b = read_ply(tmp_path / "b.ply"), load_scene(tmp_path / "a.splat").gaussians
    np.testing.assert_allclose(a.means, b.means)
    assert verify(tmp_path / "b.ply").fields["run_id"] == verify(tree / "point_cloud/iteration_5"
                                                                 / MODEL).fields["run_id"]
    assert Model.open(tree).iterations == 5 and Model.open(tree).trained_at == 24


def test_upstreams_own_folder_newest_iteration_black_background(made, tmp_path):
    data, run, _ = made
    g = read_ply(run / MODEL)
    for n in (7000, 30000, 900):
        write_ply(g[:n // 500], tmp_path / f"point_cloud/iteration_{n}/point_cloud.ply")
    (tmp_path / "point_cloud/iteration_x").mkdir()
    text = (f"Namespace(data_device='cuda', depths='', eval=True, images='images', "
            f"model_path='./output/a', resolution=-1, sh_degree=3, source_path={str(data)!r}, "
            "train_test_exp=False, white_background=False)")
    (tmp_path / "cfg_args").write_text(text)
    tree = GraphdecoFolder.find(tmp_path)
    assert tree.iteration == 30000 and tree.background == (0, 0, 0) and tree.source == data
    assert model_file(tmp_path) == tree.model
    assert load_scene(tmp_path).background == (0, 0, 0)
    assert len(load_scene(tmp_path).gaussians) == 60
    assert evaluate_run(tmp_path)[-1]["view"] == "mean"
    (tmp_path / "cfg_args").unlink()
    with pytest.raises(IdfError, match="does not name the dataset"):
        evaluate_run(tmp_path)


@pytest.mark.parametrize(("r", "longer"), [
    (-1, 1600), (1, 3200), (4, 800), (512, 512), (True, 1600), ("x", 1600), (0, 1600),
    (float("nan"), 1600)])
def test_their_resolution_flag(tmp_path, r, longer):
    assert GraphdecoFolder(tmp_path, 1, {"resolution": r}).resolution(3200, 1600) == longer


@pytest.mark.parametrize("text", [
    "", "Namespace(", "__import__('os').system('touch pwned')", "Namespace(a=__import__('os'))",
    "Namespace(**{'a': 1})", "Namespace('a')", "Other(a=1)", "[1]", "(" * 5000, "Namespace(a=1)\n;",
    "Namespace(a=1)" + " " * 70000, "Namespace(a='\0')", "Namespace(a={[]: 1})"])
def test_arguments_are_never_executed(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cfg_args").write_text(text)
    with pytest.raises(IdfError, match="not a list of arguments"):
        read_arguments(tmp_path / "cfg_args")
    assert not (tmp_path / "pwned").exists()


def test_a_model_without_its_dataset_still_makes_a_folder(made, tmp_path):
    write_ply(random_gaussians(20), tmp_path / "a.ply")
    main(["export", str(tmp_path / "a.ply"), "--format", "graphdeco", "--out", str(tmp_path / "t")])
    assert Model.open(tmp_path / "t").iterations == 0
    assert not (tmp_path / "t/test").exists() and not (tmp_path / "t/results.json").exists()
    assert read_arguments(tmp_path / "t/cfg_args")["source_path"] == ""


def test_nothing_half_written_and_nothing_overwritten(made, tmp_path, monkeypatch):
    _, run, tree = made
    with pytest.raises(IdfError, match="not an empty folder"):
        export(Model.open(run), tree, "graphdeco")
    monkeypatch.setattr("idf_helpers.exporting.graphdeco_folder.write_json",
                        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(IdfError, match="disk is full"):
        export(Model.open(run), tmp_path / "new", "graphdeco")
    assert list(tmp_path.iterdir()) == []


def test_clean_and_crop_on_export_say_what_went(made, tmp_path, capsys):
    _, run, _ = made
    model = Model.open(run).trimmed(ExportConfig(crop=(0.9,)))
    assert 0 < len(model.scene.gaussians) < len(Model.open(run).scene.gaussians)
    assert "outside the crop" in model.report[0] and "dB before" in model.report[1]
    orphan = replace(Model.open(run), source=tmp_path / "gone")
    with pytest.raises(IdfError, match="needs the pictures"):
        orphan.trimmed(ExportConfig(clean=True))
    for wrong in ("0", "1 2"):
        with pytest.raises(SystemExit):
            main(["export", str(run), "--out", str(tmp_path / "a.ply"), "--crop", *wrong.split()])
        assert "neither a sphere nor a box" in capsys.readouterr().err
    main(["export", str(run), "--out", str(tmp_path / "a.ply"), "--crop", "-9", "9", "-9", "9",
          "-0.1", "9"])
    assert "Gaussians removed" in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text())["num_gaussians"] > len(
        read_ply(tmp_path / "a.ply"))
