"""Stand-ins for graphdeco's and NeRFace's clones: the same command lines, the same files, real
training; stopped and gone on with; and the notebooks' steps on them."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data.media import read_image
from idf_helpers.exporting.model import Model
from idf_helpers.notebook.originals import training as cells
from idf_helpers.notebook.splat_viewer import SplatViewer
from idf_helpers.reconstruction.splats.graphdeco_folder import GraphdecoFolder
from idf_helpers.reconstruction.upstream.graphdeco.config import GraphdecoConfig
from idf_helpers.reconstruction.upstream.graphdeco.program import GraphdecoProgram
from idf_helpers.reconstruction.upstream.graphdeco.stand_in import GraphdecoStandIn
from idf_helpers.reconstruction.upstream.nerface.scene import NerfaceScene
from idf_helpers.runtime.files import read_json
from tests.fixtures.datasets import make_dataset
from tests.fixtures.talking import write_talking

CONFIG = GraphdecoConfig(iterations=40, resolution=24, background="white")


@pytest.fixture(autouse=True)
def no_clone(monkeypatch):
    for name in ("IDF_GRAPHDECO", "IDF_NERFACE", "IDF_FAST"):  # the last one shortens a stand-in
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def views(tmp_path):
    return Dataset.open(make_dataset(tmp_path / "data", size=(32, 32), alpha=False))


@pytest.fixture
def frames(tmp_path):
    return Dataset.open(write_talking(tmp_path / "data", train=6, test=2, size=24, length=10))


def test_graphdeco_is_trained_in_parts_rendered_and_measured(views, tmp_path):
    clone = GraphdecoStandIn.write(tmp_path / "clone")
    assert {f.name for f in clone.source.iterdir()} == {"train.py", "render.py", "metrics.py"}
    p, lines = GraphdecoProgram.open(views, tmp_path / "run", CONFIG, clone), []
    p.watch = lines.append
    assert "stand-in" in p.check()
    p.train(iterations=20)
    first = p.losses()
    assert first[:, 0].tolist() == [10, 20] and (first[:, 1] > 0).all()
    p.train()
    commands = [line for line in lines if line.startswith("$ ")]
    assert len(commands) == 2 and "--start_checkpoint" not in commands[0]
    assert commands[1].endswith("model/chkpnt20.pth") and "from step 20" in "".join(lines)
    model = p.folder / "model"
    folder = GraphdecoFolder.find(model)
    assert folder.iteration == 40 and folder.background == (1, 1, 1)
    assert folder.source == p.folder / "data" and folder.resolution(*views.size) == 32
    renders = p.render()
    assert len(renders) == len(views.test) and read_image(renders[0]).shape == (24, 24, 3)
    originals = sorted((renders[0].parent.parent / "gt").iterdir())
    assert [f.name for f in originals] == [f.name for f in renders]
    results, per_view = map(read_json, p.metrics())
    assert set(results["ours_40"]) == {"PSNR", "SSIM"} == set(per_view["ours_40"])
    assert results["ours_40"]["PSNR"] == pytest.approx(
        np.mean(list(per_view["ours_40"]["PSNR"].values())))
    assert len(Model.open(model).scene.cameras) == len(views.train) + len(views.test)
    assert p.losses()[:, 0].tolist() == [10, 20, 30, 40]


def test_what_a_stand_in_trained_is_not_gone_on_with_by_a_clone(views, tmp_path):
    GraphdecoProgram.open(views, tmp_path / "run", CONFIG,
                          GraphdecoStandIn.write(tmp_path / "clone")).prepare()
    real = GraphdecoProgram.open(views, tmp_path / "run", CONFIG)
    with pytest.raises(IdfError, match="holds another run"), real._entered():
        pass


def test_a_stopped_training_goes_on_from_its_last_checkpoint(views, tmp_path):
    clone = GraphdecoStandIn.write(tmp_path / "clone")
    p, lines = GraphdecoProgram.open(views, tmp_path / "run", CONFIG, clone), []

    def stop(line):
        if "] Saving Gaussians" in line and "[ITER 2]" not in line:  # one checkpoint is written
            raise KeyboardInterrupt

    p.watch = stop
    with pytest.raises(KeyboardInterrupt):
        p.train()
    assert read_json(tmp_path / "run" / "run.json")["status"] == "interrupted"
    p = GraphdecoProgram.open(views, tmp_path / "run", CONFIG, clone)  # another process
    p.watch = lines.append
    p.train()
    assert "chkpnt" in lines[0] and "from step 0" not in "".join(lines)
    assert p.training["iterations"] == 40 and p.losses()[-1, 0] == 40


def test_an_interrupt_does_not_wait_for_what_a_script_left_behind(tmp_path):
    """A data loader's workers keep the script's output open after it was ended."""
    (tmp_path / "left.py").write_text(
        "import pathlib, time\n"
        "for _ in range(600):\n    if pathlib.Path('until').exists(): break\n    time.sleep(0.1)\n"
        "pathlib.Path('ended').write_text('')\n")
    (tmp_path / "train.py").write_text(
        "import subprocess, sys, time\nsubprocess.Popen([sys.executable, 'left.py'])\n"
        "print('training', flush=True)\ntime.sleep(600)\n")

    def stop(line):
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            GraphdecoStandIn(tmp_path).run("train.py", [], take=stop)
        assert not (tmp_path / "ended").exists()
    finally:
        (tmp_path / "until").write_text("")


def test_the_cells_of_notebook_02(views, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("IDF_FAST", "1")
    monkeypatch.setattr(cells.GraphdecoSteps, "stand_in_iterations", 80)
    steps = cells.GraphdecoSteps(views, tmp_path / "runs", resolution=24)
    said = steps.check().data
    assert "research and evaluation only" in said and "a stand-in runs below" in said
    assert "CUDA-ready GPU with Compute Capability 7.0+" in said and "--recursive" in said
    steps.prepare()
    assert "data/points3d.ply" in capsys.readouterr().out
    steps.train(8)
    assert (steps.done, steps.total) == (8, 20)
    again = cells.GraphdecoSteps(views, tmp_path / "runs", resolution=24)
    assert again.done == 8, "another kernel goes on with it"
    again.train()
    again.train()
    assert again.done == 20 and len([
        x for x in again.program.log.read_text().splitlines() if "Training complete" in x]) == 2
    picture = read_image(again.held_out().data)
    assert picture.std() > 5 and "dB PSNR after 20" in capsys.readouterr().out
    assert isinstance(again.view(), SplatViewer)


def test_a_clone_that_lacks_something_is_not_replaced(views, tmp_path):
    steps = cells.GraphdecoSteps(views, tmp_path / "runs", clone=tmp_path, iterations=7)
    said = steps.check().data
    assert not steps.stand_in and "no train.py" in said and "wait until nothing is missing" in said
    assert steps.total == 7 and not (tmp_path / "runs" / "stand-in-graphdeco").exists()
    with pytest.raises(IdfError, match="cannot run here"):
        steps.prepare()


def test_the_cells_of_notebook_04(frames, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cells.NerfaceSteps, "stand_in_iterations", 40)
    steps = cells.NerfaceSteps(frames, tmp_path / "runs", resolution=24)
    said = steps.check().data
    assert "CC BY-NC-SA 4.0" in said and "torchsearchsorted" in said
    steps.prepare()
    assert "data/index_map.npy" in capsys.readouterr().out
    steps.train(20)
    steps.train()
    assert steps.done == 40 and steps.program.model().name == "checkpoint00039.ckpt"
    assert "from step 20" in steps.program.log.read_text()
    assert steps.program.losses()[[0, -1], 0].tolist() == [1, 40]
    assert read_image(steps.held_out().data).std() > 5
    asked = []
    render = NerfaceScene.render_each
    monkeypatch.setattr(NerfaceScene, "render_each",
                        lambda scene, *a: asked.append(a) or render(scene, *a))
    assert read_image(steps.edit(e3=0.5).data).std() > 5
    (_, (rest, moved)), = asked
    neutral = steps.program.scene().neutral
    assert rest is None and np.flatnonzero(moved != neutral).tolist() == [3] and moved[3] == 0.5
    with pytest.raises(IdfError, match="no value `nothing`"):
        steps.edit(nothing=1.0)


def test_a_config_of_other_length_is_another_run(views, tmp_path):
    a, b = (cells.GraphdecoSteps(views, tmp_path / "runs", iterations=n) for n in (10, 20))
    assert a.program.folder != b.program.folder
    assert replace(a.program.config, iterations=20) == b.program.config
