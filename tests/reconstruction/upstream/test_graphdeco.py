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
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.model_path import MODEL
from idf_helpers.reconstruction.upstream.graphdeco import train, upstream
from idf_helpers.runtime import cuda
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.datasets import make_dataset

# --- what is missing ------------------------------------------------------------------------------

def test_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("IDF_GRAPHDECO", raising=False)
    monkeypatch.setattr(cuda, "lacks_gpu", lambda: "no GPU")
    assert upstream.missing() == "no GPU"
    monkeypatch.setattr(cuda, "lacks_gpu", lambda: None)
    assert "IDF_GRAPHDECO" in upstream.missing() and "research" in upstream.missing()
    monkeypatch.setenv("IDF_GRAPHDECO", str(tmp_path))
    assert "no train.py" in upstream.missing()
    (tmp_path / "train.py").write_text("")
    there = {"torchvision", "plyfile", "tqdm"}
    monkeypatch.setattr(cuda, "find_package", lambda name: name if name in there else None)
    assert "diff_gaussian_rasterization and simple_knn" in upstream.missing()
    there |= {"diff_gaussian_rasterization", "simple_knn"}
    there.remove("plyfile")
    assert "pip install plyfile" in upstream.missing()
    there.add("plyfile")
    assert upstream.missing() is None
    (tmp_path / "scene").mkdir()
    reader = tmp_path / upstream.READER
    reader.write_text("Image.fromarray(np.array(arr*255.0, dtype=np.byte), 'RGB')")
    for takes, said in ((False, True), (True, False)):
        monkeypatch.setattr(upstream, "_takes_signed_bytes", lambda takes=takes: takes)
        assert ("np.uint8 in place of np.byte" in (upstream.missing() or "")) is said
        assert "\n" not in (upstream.missing() or "")


def test_whether_pillow_takes_signed_bytes():
    from PIL import __version__

    assert upstream._takes_signed_bytes() is (int(__version__.split(".")[0]) < 12)


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


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A clone with stubs as scripts; a GPU and its modules are said to be here."""
    from idf_helpers.reconstruction.splats.ply import write_ply
    from tests.fixtures.gaussians import cloud

    source = tmp_path / "clone"
    source.mkdir()
    monkeypatch.setenv("IDF_GRAPHDECO", str(source))
    (source / "train.py").write_text(STUB)
    (source / "render.py").write_text(
        "import sys, pathlib\nm = sys.argv[sys.argv.index('-m') + 1]\n"
        "pathlib.Path(m, 'rendered').write_text(' '.join(sys.argv[1:]))")
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


CONFIG = SplatConfig(iterations=8, resolution=16, sh_degree=2, background="white")


def calls(out):
    return [json.loads(x) for x in
            (out / "graphdeco/model/calls.jsonl").read_text().splitlines()]


def test_train_and_import(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", size=(32, 32), alpha=False))
    out, seen = tmp_path / "out", []
    train.LOOK_S, look = 0.0, train.LOOK_S
    try:
        scene = train_splats(data, out, CONFIG, backend="graphdeco", progress=seen.append)
    finally:
        train.LOOK_S = look
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
    assert [p.iteration for p in seen][-1] == 8
    assert seen[-1].preview(data.train[0].camera).shape == (32, 32, 3)
    with RunFolder(out, stage="splats", backend="graphdeco", config=CONFIG,
                   inputs=data.fingerprint()) as run:
        assert any("LPIPS" in e["kind"] for e in run.events()) and run.finished


def test_the_dataset_as_it_reads_it(stub, tmp_path):
    root = make_dataset(tmp_path / "data", size=(32, 32))
    for path in root.glob("*/*.png"):  # a silhouette with room for a start, its rim half covered
        rgba = media.read_image(path)
        rgba[..., 3] = 0
        rgba[4:28, 4:28, 3] = 128
        rgba[6:26, 6:26, 3] = 255
        media.write_image(path, rgba)
    data = Dataset.open(root)
    train_splats(data, tmp_path / "out", CONFIG, backend="graphdeco")
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
        train_splats(data, tmp_path / "out", CONFIG, backend="graphdeco")
    assert error.value.found == "stopped" and "goes on" in error.value.do
    train_splats(data, tmp_path / "out", CONFIG, backend="graphdeco")
    first, second = calls(tmp_path / "out")
    assert first["start_checkpoint"] is None and second["start_checkpoint"].endswith("chkpnt2.pth")


def test_a_full_memory_halves_the_pictures_once(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    (stub / "fail").write_text("torch.OutOfMemoryError: CUDA out of memory.")
    scene = train_splats(data, tmp_path / "out", CONFIG, backend="graphdeco")
    assert scene.training["halved"] and calls(tmp_path / "out")[-1]["r"] == 2
    assert "memory was full" in read_json(tmp_path / "out/run.json")["why"]
    (stub / "fail").write_text("always: torch.OutOfMemoryError: CUDA out of memory.")
    with pytest.raises(IdfError, match="memory is too small for graphdeco") as error:
        train_splats(data, tmp_path / "again", CONFIG, backend="graphdeco")
    assert "8 x 6 pixels" in error.value.found


def test_what_it_cannot_do_is_said_first(stub, tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))

    def fails(match, config=CONFIG, data=data):
        with pytest.raises(IdfError, match=match):
            train_splats(data, tmp_path / "out", config, backend="graphdeco")
        assert not (tmp_path / "out").exists()

    fails("counts in iterations", replace(CONFIG, iterations=None, budget_s=5.0))
    clear = Dataset.open(make_dataset(tmp_path / "clear"))
    fails("no random background", replace(CONFIG, background="random"), clear)
    off = make_dataset(tmp_path / "off", alpha=False, fl_x=30.0, cx=5.0)
    fails("one centered camera", data=Dataset.open(off))


def test_auto_never_takes_it(stub, monkeypatch):
    monkeypatch.setattr(cuda, "lacks_gsplat", lambda: "no gsplat")
    chosen, why = STAGES["splats"].choose()
    assert chosen.name == "cpu" and "graphdeco is for research only" in why
    assert STAGES["splats"].find("graphdeco").missing() is None
    import shutil
    shutil.rmtree(stub)
    assert "no train.py" in STAGES["splats"].find("graphdeco").missing()
