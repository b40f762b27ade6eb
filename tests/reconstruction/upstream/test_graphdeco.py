"""graphdeco's trainer: command lines and outputs, on a stub of its scripts.

None of its code is here, and no CUDA code is run.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.catalogue import STAGES
from idf_helpers.data import media
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.splats.model_path import MODEL
from idf_helpers.reconstruction.upstream.graphdeco import clone, program
from idf_helpers.reconstruction.upstream.graphdeco.config import GraphdecoConfig
from idf_helpers.reconstruction.upstream.graphdeco.program import GraphdecoProgram
from idf_helpers.runtime import cuda
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Reporter
from tests.fixtures.datasets import make_dataset
from tests.fixtures.gaussians import assert_equal, cloud

# --- what is missing ------------------------------------------------------------------------------

def test_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("IDF_GRAPHDECO", raising=False)
    monkeypatch.setattr(cuda, "lacks_gpu", lambda: "no GPU")
    assert clone.missing() == "no GPU"
    monkeypatch.setattr(cuda, "lacks_gpu", lambda: None)
    assert "IDF_GRAPHDECO" in clone.missing() and "research" in clone.missing()
    monkeypatch.setenv("IDF_GRAPHDECO", str(tmp_path))
    assert "no train.py" in clone.missing()
    (tmp_path / "train.py").write_text("")
    there = {"torchvision", "plyfile", "tqdm"}
    monkeypatch.setattr(cuda, "find_package", lambda name: name if name in there else None)
    assert "diff_gaussian_rasterization and simple_knn" in clone.missing()
    there |= {"diff_gaussian_rasterization", "simple_knn"}
    there.remove("plyfile")
    assert "pip install plyfile" in clone.missing()
    there.add("plyfile")
    assert clone.missing() is None
    (tmp_path / "scene").mkdir()
    reader = tmp_path / clone.READER
    reader.write_text("Image.fromarray(np.array(arr*255.0, dtype=np.byte), 'RGB')")
    for takes, said in ((False, True), (True, False)):
        monkeypatch.setattr(clone, "_takes_signed_bytes", lambda takes=takes: takes)
        assert ("np.uint8 in place of np.byte" in (clone.missing() or "")) is said
        assert "\n" not in (clone.missing() or "")


def test_whether_pillow_takes_signed_bytes():
    from PIL import __version__

    assert clone._takes_signed_bytes() is (int(__version__.split(".")[0]) < 12)


# --- running --------------------------------------------------------------------------------------

STUB = '''
import argparse, json, pathlib, shutil, sys
p = argparse.ArgumentParser()
for flag in ("--eval", "--disable_viewer", "--white_background"):
    p.add_argument(flag, action="store_true")
for flag in ("--iterations", "--sh_degree", "--position_lr_max_steps", "--densify_until_iter",
             "-r"):
    p.add_argument(flag, type=int)
for flag in ("--save_iterations", "--checkpoint_iterations", "--test_iterations"):
    p.add_argument(flag, nargs="+", type=int)
p.add_argument("--lambda_dssim", type=float)
p.add_argument("--start_checkpoint")
p.add_argument("-s"), p.add_argument("-m")
a = p.parse_args()
data, model = pathlib.Path(a.s), pathlib.Path(a.m)
model.mkdir(parents=True, exist_ok=True)
with open(model / "calls.jsonl", "a") as f:
    f.write(json.dumps(vars(a)) + "\\n")
here = pathlib.Path(__file__).parent
if (here / "fail").exists():
    words = (here / "fail").read_text()
    if a.r == 1 or "always" in words:
        sys.exit(words)
for n in a.save_iterations:
    sys.stderr.write(f"\\rTraining progress:  10%|# | {n}/{a.iterations} [00:01<00:09]")
    sys.stderr.flush()
    folder = model / f"point_cloud/iteration_{n}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(here / "model.ply", folder / "point_cloud.ply")
    (model / f"chkpnt{n}.pth").write_text("")
    if (here / "stop").exists() and n < a.iterations:
        (here / "stop").unlink()
        sys.exit("stopped")
print("Training complete.")
'''


@pytest.mark.parametrize("after", ["", ", Depth Loss=0.0000000"])
def test_the_loss_is_read_in_old_and_new_bars(after):
    """Newer versions of train.py print the loss of the depth behind it, 0 without depths."""
    bar = f"Training progress:   3%|3 | 1000/30000 [00:10<05:00, 99.9it/s, Loss=0.0311234{after}]"
    assert program.GraphdecoProgram._point(bar) == (1000, 0.0311234)
    assert program.GraphdecoProgram._point("Training progress:   0%| | 0/30000 [00:00<?]") is None


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A clone with stubs as scripts; a GPU and its modules are said to be here."""
    from idf_helpers.reconstruction.splats.ply import write_ply

    source = tmp_path / "clone"
    source.mkdir()
    monkeypatch.setenv("IDF_GRAPHDECO", str(source))
    (source / "train.py").write_text(STUB)
    (source / "render.py").write_text(
        "import sys, pathlib\nm = pathlib.Path(sys.argv[sys.argv.index('-m') + 1])\n"
        "(m / 'rendered').write_text(' '.join(sys.argv[1:]))\n"
        "n = max(int(p.name.split('_')[1]) for p in m.glob('point_cloud/iteration_*'))\n"
        "out = m / f'test/ours_{n}/renders'\nout.mkdir(parents=True, exist_ok=True)\n"
        "(out / '00000.png').write_text(str(n))\n(out / '00001.png').write_text(str(n))")
    (source / "metrics.py").write_text("raise SystemExit('it would fetch weights')")
    write_ply(cloud(80, 2), source / "model.ply")
    monkeypatch.setattr(cuda, "lacks_gpu", lambda: None)
    monkeypatch.setattr(cuda, "find_package", lambda name: name)
    from idf_helpers.reconstruction.splats.graphdeco_rasterizer import GraphdecoRasterizer
    from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
    monkeypatch.setattr(GraphdecoRasterizer, "cuda", False)
    monkeypatch.setattr(GraphdecoRasterizer, "forward",
                        lambda self, *a, **k: CpuRasterizer().forward(*a, **k))
    return source


CONFIG = GraphdecoConfig(iterations=8, resolution=16, sh_degree=2, background="white")


def calls(out):
    return [json.loads(x) for x in
            (out / "graphdeco/model/calls.jsonl").read_text().splitlines()]


class Seen(Reporter):
    """Keeps what it is given."""

    def __init__(self):
        self.progress, self.notes = [], []

    def training(self, progress):
        self.progress.append(progress)

    def note(self, text):
        self.notes.append(text)


def test_train_and_import(stub, tmp_path, monkeypatch):
    data = Dataset.open(make_dataset(tmp_path / "data", size=(32, 32), alpha=False))
    out, seen = tmp_path / "out", Seen()
    monkeypatch.setattr(program, "LOOK_S", 0.0)
    scene = reconstruct(data, out, "splats:graphdeco", CONFIG, reporter=seen)
    call, = calls(out)
    assert call["s"] == str(out / "graphdeco/data") and call["m"] == str(out / "graphdeco/model")
    assert call["eval"] and call["disable_viewer"] and call["white_background"] and call["r"] == 1
    assert (call["iterations"], call["position_lr_max_steps"], call["densify_until_iter"]) \
        == (8, 8, 4) and call["sh_degree"] == 2 and call["lambda_dssim"] == 0.2
    assert call["save_iterations"] == call["checkpoint_iterations"] == [2, 4, 6, 8]
    assert call["start_checkpoint"] is None
    assert (out / "graphdeco/model/rendered").read_text().endswith("--skip_train --quiet")
    assert len(scene.gaussians) and scene.background == (1.0, 1.0, 1.0)
    assert (out / MODEL).is_file() and read_json(out / "metrics.json")["iterations"] == 8
    from idf_helpers import provenance
    assert provenance.verify(out / MODEL).fields["made"] == "Gaussian splats"
    assert [p.iteration for p in seen.progress] == [2, 4, 6, 8]
    assert seen.progress[-1].preview(data.train[0].camera).shape == (32, 32, 3)
    assert "research and evaluation only" in seen.notes[0]
    manifest = read_json(out / "run.json")
    assert manifest["status"] == "finished"
    assert any("LPIPS" in note for note in manifest["notes"]), "its metrics.py fetches weights"


def test_the_steps_one_by_one_give_the_same(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", size=(32, 32), alpha=False))
    whole = reconstruct(data, tmp_path / "whole", "splats:graphdeco", CONFIG)
    out = tmp_path / "steps"
    p = GraphdecoProgram.open(data, out, CONFIG)
    assert str(stub) in p.check() and not out.exists(), "a look leaves nothing"
    with pytest.raises(IdfError, match="`train` of graphdeco comes first"):
        p.render()
    prepared = p.prepare()
    assert {f.name for f in prepared} >= {"points3d.ply", "transforms_train.json", "00000.png"}
    assert all(f.is_file() for f in prepared)
    model, = p.train(iterations=4)
    assert model.parent.name == "iteration_4" and p.training["iterations"] == 4
    assert [f.name for f in p.render()] == ["00000.png", "00001.png"]
    early = p.render()[0]
    assert early.read_text() == "4"
    # another process goes on
    p = GraphdecoProgram.open(data, out, CONFIG)
    assert p.training["iterations"] == 4
    p.train()
    assert p.model().parent.name == "iteration_8" and p.render()[0].read_text() == "8"
    with pytest.raises(IdfError, match="LPIPS"):
        p.metrics()
    first, second = calls(out)
    assert first["save_iterations"] == [2, 4] and first["position_lr_max_steps"] == 8
    assert second["start_checkpoint"].endswith("chkpnt4.pth")
    p.train()
    p.prepare()
    assert len(calls(out)) == 2, "what is done is not done again"
    with pytest.raises(IdfError, match="out of range"):
        p.train(iterations=9)
    with pytest.raises(IdfError, match="holds another run"):
        GraphdecoProgram.open(data, out, replace(CONFIG, seed=1)).prepare()
    # and `reconstruct` ends what the steps began
    scene = reconstruct(data, out, "splats:graphdeco", CONFIG)
    assert len(calls(out)) == 2 and (out / MODEL).is_file()
    assert_equal(scene.gaussians, whole.gaussians)
    mine, other = (read_json(f / "metrics.json") for f in (out, tmp_path / "whole"))
    assert mine["psnr"] == other["psnr"] and mine["iterations"] == 8


def test_started_again_it_forgets_the_steps(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    out = tmp_path / "out"
    GraphdecoProgram.open(data, out, CONFIG).train(iterations=4)
    reconstruct(data, out, "splats:graphdeco", CONFIG, resume=False)
    call, = calls(out)
    assert call["start_checkpoint"] is None and call["iterations"] == 8


def test_the_dataset_as_it_reads_it(stub, tmp_path):
    root = make_dataset(tmp_path / "data", size=(32, 32))
    for path in root.glob("*/*.png"):  # a silhouette with room for a start, its rim half covered
        rgba = media.read_image(path)
        rgba[..., 3] = 0
        rgba[4:28, 4:28, 3] = 128
        rgba[6:26, 6:26, 3] = 255
        media.write_image(path, rgba)
    data = Dataset.open(root)
    reconstruct(data, tmp_path / "out", "splats:graphdeco", CONFIG)
    folder = tmp_path / "out/graphdeco/data"
    for split, frames in (("train", data.train), ("test", data.test)):
        told = read_json(folder / f"transforms_{split}.json")
        assert told["camera_angle_x"] == pytest.approx(0.6) and len(told["frames"]) == len(frames)
        for row, frame in zip(told["frames"], frames, strict=True):
            np.testing.assert_allclose(row["transform_matrix"], frame.camera.c2w)
            picture = media.read_image(folder / (row["file_path"] + ".png"))
            assert picture.shape == (16, 16, 3)  # no alpha
            rgba = frame.image().astype(float)
            alpha = rgba[..., 3:] / 255
            want = (rgba[..., :3] * alpha + 255 * (1 - alpha)).reshape(16, 2, 16, 2, 3).mean((1, 3))
            np.testing.assert_allclose(picture, want, atol=2)
    plyfile = pytest.importorskip("plyfile")
    vertices = plyfile.PlyData.read(folder / "points3d.ply")["vertex"]
    assert {"x", "nx", "red"} <= {p.name for p in vertices.properties} and len(vertices) > 100
    from idf_helpers.data.cameras import scene_frame
    scene = scene_frame(data.cameras)
    points = np.stack([vertices[k] for k in "xyz"], 1)
    assert np.abs(points - scene.center).max() < 1.6 * scene.radius


def test_a_stopped_run_goes_on_from_its_last_quarter(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    (stub / "stop").write_text("")
    with pytest.raises(IdfError, match="train.py failed") as error:
        reconstruct(data, tmp_path / "out", "splats:graphdeco", CONFIG)
    assert error.value.found == "stopped" and "goes on" in error.value.do
    reconstruct(data, tmp_path / "out", "splats:graphdeco", CONFIG)
    first, second = calls(tmp_path / "out")
    assert first["start_checkpoint"] is None and second["start_checkpoint"].endswith("chkpnt2.pth")


def test_a_full_memory_halves_the_pictures_once(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    (stub / "fail").write_text("torch.OutOfMemoryError: CUDA out of memory.")
    scene = reconstruct(data, tmp_path / "out", "splats:graphdeco", CONFIG)
    assert scene.training["halved"] and calls(tmp_path / "out")[-1]["r"] == 2
    assert "memory was full" in read_json(tmp_path / "out/run.json")["why"]
    (stub / "fail").write_text("always: torch.OutOfMemoryError: CUDA out of memory.")
    with pytest.raises(IdfError, match="memory is too small for graphdeco") as error:
        reconstruct(data, tmp_path / "again", "splats:graphdeco", CONFIG)
    assert "8 x 6 pixels" in error.value.found


def test_what_it_cannot_do_is_said_first(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))

    def fails(match, config=CONFIG, data=data):
        with pytest.raises(IdfError, match=match):
            reconstruct(data, tmp_path / "out", "splats:graphdeco", config)
        assert not (tmp_path / "out").exists()

    fails("This method counts in iterations", replace(CONFIG, iterations=None, budget_s=5.0))
    clear = Dataset.open(make_dataset(tmp_path / "clear"))
    fails("`background` is unknown", replace(CONFIG, background="random"), clear)
    off = make_dataset(tmp_path / "off", alpha=False, fl_x=30.0, cx=5.0)
    fails("one centered camera", data=Dataset.open(off))


def test_auto_never_takes_it(stub, monkeypatch):
    gsplat = STAGES["splats"].find("gsplat")
    monkeypatch.setitem(STAGES["splats"].entries, "gsplat",
                        replace(gsplat, missing=lambda: "no gsplat"))
    chosen, why = STAGES["splats"].choose()
    assert chosen.name == "cpu" and "graphdeco is for research only" in why
    assert STAGES["splats"].find("graphdeco").missing() is None
    import shutil
    shutil.rmtree(stub)
    assert "no train.py" in STAGES["splats"].find("graphdeco").missing()
