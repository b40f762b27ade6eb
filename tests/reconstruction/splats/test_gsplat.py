"""Training with gsplat: schedule, checkpoints, memory, with a stand-in for the CUDA package.

The stand-in has the signatures of gsplat 1.5.3 and draws by the reference, on the CPU; no CUDA code
is run. Where gsplat is installed, its signatures are compared with the stand-in's.
"""

import importlib.util
import inspect
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from idf_helpers import Dataset, IdfError
from idf_helpers.data.training_views import TrainingViews, composite
from idf_helpers.kernels.loss import PhotometricLoss
from idf_helpers.kernels.threads import run_on_threads
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.methods import METHODS
from idf_helpers.reconstruction.splats import gsplat_train
from idf_helpers.reconstruction.splats.cpu_method import CpuSplats
from idf_helpers.reconstruction.splats.gsplat_config import GsplatConfig
from idf_helpers.reconstruction.splats.gsplat_method import GsplatSplats
from idf_helpers.reconstruction.splats.gsplat_rasterizer import GsplatRasterizer
from idf_helpers.reconstruction.splats.gsplat_train import GsplatTrainer, fit_gsplat
from idf_helpers.reconstruction.splats.model_path import MODEL
from idf_helpers.reconstruction.splats.splat_method import AS_POINTS
from idf_helpers.reconstruction.splats.torch_loss import PictureLoss, photometric_loss
from idf_helpers.reconstruction.stage import choose_method
from idf_helpers.runtime import cuda
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.ball_scene import BallDataset
from tests.fixtures.datasets import make_dataset

from . import fake_cuda

CONFIG = GsplatConfig(iterations=60, resolution=16, sh_degree=1, seed=3, initial=40,
                      max_gaussians=70)
RATES = dict(gsplat_train.RATES)  # as they are without the fixture


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    for name, module in fake_cuda.gsplat_module().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(gsplat_train, "SAVE_EVERY", 10)
    fast = {"means": 1.6e-3, "sh0": 2e-2, "shN": 1e-3}  # for 60 steps
    monkeypatch.setattr(gsplat_train, "RATES", gsplat_train.RATES | fast)
    fake_cuda.calls.clear()
    fake_cuda.calls.fail = 0
    yield fake_cuda.calls
    fake_cuda.calls.fail = 0


def rasterizer():
    return GsplatRasterizer(device="cpu")


def trainer(config=CONFIG):
    views = TrainingViews.load(BallDataset().train, config.resolution)
    return GsplatTrainer(views, config, rasterizer())


def held_out(scene) -> float:
    """PSNR of a view that was not trained on, over white, dB."""
    frame = BallDataset().test[0]
    picture = scene.render(frame.camera.fitted(16), background=(1, 1, 1))
    target = TrainingViews.load([frame], 16).target(0, np.ones(3)).transpose(1, 2, 0)
    return -10 * np.log10(((picture - target) ** 2).mean())


def same(a, b):
    for (name, x), y in zip(a.arrays().items(), b.arrays().values(), strict=True):
        np.testing.assert_array_equal(x, y, name)


def test_the_loss_is_that_of_the_cpu():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3, 21, 30)).astype(np.float32)
    want = PhotometricLoss(21, 30)(x, y)
    render = torch.tensor(x, requires_grad=True)
    loss, mse = photometric_loss(render, torch.tensor(y))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(want.loss, rel=1e-5)
    assert float(mse) == pytest.approx(want.mse, rel=1e-5)
    np.testing.assert_allclose(render.grad, want.gradient, atol=1e-7)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_loss_against_stored_pictures(device, channels):
    """On CUDA the recorded one, twice in a row with other values."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    rng = np.random.default_rng(1)
    device = torch.device(device)
    compare = PictureLoss(0.2, device, [(channels, 24, 33), (channels, 24, 33)])
    assert len(compare._recorded) == (device.type == "cuda")
    for _ in range(2):
        x, behind = rng.random((3, 24, 33), np.float32), rng.random(3, np.float32)
        pixels = rng.integers(0, 256, (channels, 24, 33), np.uint8)
        if channels == 4:
            pixels[:3] = np.minimum(pixels[:3], pixels[3])
        over = np.empty((3, 24, 33), np.float32)
        run_on_threads(composite, pixels, behind, over)
        want = PhotometricLoss(24, 33)(x, over)
        picture = torch.tensor(x.transpose(1, 2, 0), device=device, requires_grad=True)
        loss, mse = compare(picture.permute(2, 0, 1), torch.tensor(pixels, device=device),
                            torch.tensor(behind, device=device))
        loss.backward()
        assert float(loss.detach()) == pytest.approx(want.loss, rel=1e-5)
        assert float(mse) == pytest.approx(want.mse, rel=1e-5) and not mse.requires_grad
        np.testing.assert_allclose(picture.grad.cpu(), want.gradient.transpose(1, 2, 0), atol=1e-7)


@pytest.mark.parametrize("config", [
    replace(CONFIG, packed=True), replace(CONFIG, strategy="mcmc")])
def test_it_learns_the_ball(calls, config):
    start, seen = held_out(trainer(config).scene()), []
    scene = fit_gsplat(BallDataset(), config, rasterizer=rasterizer(), progress=seen.append)
    assert seen[-1].iteration == 60 and 5 < seen[-1].psnr_train < 40
    assert 40 < seen[-1].count <= 70 and scene.training["iterations"] == 60
    calls = [c for c in calls if c["render_mode"] == "RGB"]
    assert len(calls) >= 60 and all(c["packed"] is config.packed for c in calls)
    assert {c["sh_degree"] for c in calls[:60]} == {0, 1}  # the degree rises
    assert held_out(scene) > start + 2
    assert scene.background == (1.0, 1.0, 1.0)


def test_gsplats_own_settings_go_in_proportion():
    t = trainer()
    s = t.strategy  # 60 of 30 000 steps
    assert (s.refine_start_iter, s.refine_stop_iter) == (1, 30)
    assert (s.reset_every, s.refine_every) == (6, 1)
    assert isinstance(s, fake_cuda.DefaultStrategy) and s.grow_grad2d == 0.0002
    full = trainer(GsplatConfig(resolution=16, initial=40))
    assert full.total == 30_000 and full.strategy == fake_cuda.DefaultStrategy()
    assert trainer(replace(CONFIG, absgrad=True)).strategy.grow_grad2d == 0.0008
    mcmc = trainer(replace(CONFIG, strategy="mcmc"))
    assert mcmc.strategy.cap_max == 70 and mcmc.config.regularizers() == (0.01, 0.01)
    assert float(mcmc.params["opacities"].detach().sigmoid()[0]) == pytest.approx(0.5)
    rates = [a.param_groups[0]["lr"] for a in full.adams.values()]
    assert rates[1:] == [5e-3, 1e-3, 5e-2, 2e-2, 1e-3]
    assert list(RATES.values()) == [1.6e-4, 5e-3, 1e-3, 5e-2, 2.5e-3, 2.5e-3 / 20]
    twice = trainer(GsplatConfig(resolution=16, initial=40, rate=2.0))
    assert [a.param_groups[0]["lr"] for a in twice.adams.values()] == [2 * r for r in rates]
    t.iteration = 60
    assert t._set_rates() == pytest.approx(0.01 * t.rates["means"])


def test_the_random_generator_of_the_caller_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit_gsplat(BallDataset(), replace(CONFIG, iterations=5), rasterizer=rasterizer())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("strategy", ["default", "mcmc"])
def test_stopped_anywhere_it_ends_the_same(tmp_path, strategy, monkeypatch):
    config = replace(CONFIG, iterations=24, strategy=strategy)
    monkeypatch.setattr(gsplat_train, "SAVE_EVERY", 5)
    want = fit_gsplat(BallDataset(), config, rasterizer=rasterizer()).gaussians
    stops = iter([3, 8, 16])
    stop = next(stops)

    def interrupt(p):
        nonlocal stop
        if p.iteration >= stop:
            stop = next(stops, 10**9)
            raise KeyboardInterrupt

    for _ in range(4):
        with RunFolder(tmp_path / "run", stage="splats", backend="x", config={}, inputs={}) as run:
            try:
                got = fit_gsplat(BallDataset(), config, run=run, rasterizer=rasterizer(),
                                 progress=interrupt, progress_every_s=0)
            except KeyboardInterrupt:
                assert run.latest_checkpoint()[1]["iteration"] % 5 == 0
    assert stop == 10**9
    same(got.gaussians, want)


@pytest.mark.parametrize(("later", "steps"), [(0.05, 17), (0.2, 11)])
def test_a_budget_is_kept(monkeypatch, later, steps):
    """A step takes 0.05 s of a made-up clock, `later` once the number of steps is planned."""
    monkeypatch.setattr(gsplat_train, "WARM_UP", 2)
    monkeypatch.setattr(gsplat_train, "MEASURED", 5)
    t = trainer(replace(CONFIG, iterations=None, budget_s=1.0))
    now = iter(np.cumsum([0.05 if k <= 13 else later for k in range(99)]))
    monkeypatch.setattr(gsplat_train, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    while not t.done:
        t.step()
    # 0.35 s for 7 steps; 0.8 · 0.65 s / 0.05 s are 10.4 more
    assert t.total == 17 and t.strategy.refine_stop_iter == round(17 * 15 / 30)
    assert t.iteration == steps and t.fraction == 1.0  # the clock ends a run that has slowed down


def test_nan_goes_back_three_times(monkeypatch):
    monkeypatch.setattr(gsplat_train, "LOOK_EVERY", 5)
    t = trainer()
    for _ in range(10):
        t.step()
    good = t.gaussians()
    for k in range(1, 4):
        t.params["sh0" if k < 3 else "means"].data[:] = float("nan")
        while t.rollbacks < k:  # seen in the loss after 5 steps, or when the state is to be kept
            t.step()
            assert t.iteration <= 20
        assert (t.iteration, t.rollbacks, t.rate_factor) == (10, k, 0.5**k)
        same(t.gaussians(), good)
    t.params["sh0"].data[:] = float("nan")
    with pytest.raises(IdfError, match="diverged"):
        for _ in range(5):
            t.step()


def test_a_full_memory_halves_the_work_once(calls):
    t = trainer()
    for _ in range(15):
        t.step()
    count = len(t.params["means"])
    assert count > 50
    calls.fail = 1
    t.step()
    assert t.halved and t.packed and t.cap == count // 2 and t.iteration == 10
    assert len(t.params["means"]) == t.cap
    for _ in range(20):
        t.step()
    assert calls[-1]["packed"] and len(t.params["means"]) == t.cap
    restored = trainer()
    restored.restore(t.state())
    assert restored.cap == t.cap and restored.packed and restored.halved
    calls.fail = 1
    with pytest.raises(IdfError, match="memory is too small for this training") as error:
        t.step()
    assert f"{t.cap} Gaussians, 16 x 16 pixels" in error.value.found


@pytest.mark.parametrize("wrong", [
    {"strategy": "best"}, {"initial": 3}, {"initial": 200, "max_gaussians": 100},
    {"opacity_reg": -1.0}, {"rate": 0.0}, {"rate": float("nan")},
    {"absgrad": True, "strategy": "mcmc"}])
def test_wrong_settings(wrong):
    with pytest.raises(IdfError):
        GsplatConfig(**wrong).checked()


@pytest.fixture
def here(monkeypatch):
    """A machine where gsplat can run."""
    found = METHODS["splats"].find("gsplat")
    monkeypatch.setitem(METHODS["splats"].entries, "gsplat", replace(found, missing=lambda: None))
    monkeypatch.setattr(GsplatRasterizer, "cuda", False)


def test_as_a_method_of_reconstruct(tmp_path, here):
    """From the table to the finished run folder; where nothing lacks, auto takes it."""
    assert choose_method("splats")[0].name == "gsplat"
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    config = replace(CONFIG, iterations=6, resolution=24)
    scene = reconstruct(data, tmp_path / "out", "splats:gsplat", config)
    assert scene.rasterizer.name == "gsplat" and (tmp_path / "out" / MODEL).is_file()
    manifest = read_json(tmp_path / "out/run.json")
    assert manifest["backend"] == "gsplat" and manifest["config"]["initial"] == 40
    assert manifest["metrics"]["iterations"] == 6 and manifest["config"]["resolution"] == 24
    assert manifest["notes"] == []
    with pytest.raises(IdfError, match="another run"):
        reconstruct(data, tmp_path / "out", "splats:gsplat", replace(config, packed=True))
    assert not GsplatConfig().packed


def test_of_an_earlier_model_it_takes_places_and_colors(tmp_path, here):
    data = Dataset.open(make_dataset(tmp_path / "data", alpha=False))
    config = replace(CONFIG, iterations=1, resolution=24)
    first = reconstruct(data, tmp_path / "first", "splats:gsplat", config)
    reconstruct(data, tmp_path / "out", "splats:gsplat",
                replace(config, start=tmp_path / "first", initial=20, max_gaussians=30))
    manifest = read_json(tmp_path / "out/run.json")
    assert AS_POINTS in manifest["notes"] and AS_POINTS in manifest["why"]
    assert len(manifest["config"]["start"]) == 64, "known by what it is, not by where"
    assert manifest["metrics"]["num_gaussians"] <= 30 < len(first.gaussians)


def test_what_it_does_not_read_is_refused_by_name():
    method = GsplatSplats("gsplat")
    with pytest.raises(IdfError, match="`rounds`"):
        method.config_from({"rounds": 10})
    with pytest.raises(IdfError, match="takes other settings"):
        method.checked(CpuSplats("cpu").config_from({}))
    assert method.config_from({"rate": 2.0}).rate == 2.0


# --- what a machine lacks -------------------------------------------------------------------------

@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that has everything; the tests take things away."""
    home = tmp_path / "cuda"
    (home / "bin").mkdir(parents=True)
    monkeypatch.setenv("CUDA_HOME", str(home))
    monkeypatch.setattr(cuda, "gpu_count", lambda: 1)
    monkeypatch.setattr(cuda, "torch_cuda", lambda: "12.8")
    monkeypatch.setattr(cuda, "nvcc_version", lambda nvcc: "12.6")
    monkeypatch.setattr(cuda, "find_host_compiler", lambda: "c++")
    nvcc = home / "bin" / ("nvcc.exe" if sys.platform == "win32" else "nvcc")
    nvcc.write_text("")
    (tmp_path / "gsplat").mkdir()
    sys.modules["gsplat"].__spec__.origin = str(tmp_path / "gsplat/__init__.py")
    return nvcc


def test_each_lack_has_its_line(machine, monkeypatch, tmp_path):
    assert cuda.lacks_gsplat() is None

    def says(*words):
        line = cuda.lacks_gsplat()
        assert all(w in line for w in words) and "\n" not in line

    with monkeypatch.context() as m:
        m.setattr(cuda, "gpu_count", lambda: 0)
        says("no NVIDIA GPU", "nvidia-smi")
    with monkeypatch.context() as m:
        m.setattr(cuda, "torch_cuda", lambda: None)
        says("torch is without CUDA", "pip install")
    with monkeypatch.context() as m:
        m.delitem(sys.modules, "gsplat")
        if importlib.util.find_spec("gsplat") is None:
            says("gsplat is not installed", "pip install")
    with monkeypatch.context() as m:
        m.setattr(cuda, "nvcc_version", lambda nvcc: "11.8")
        says("nvcc is of CUDA 11.8, torch of CUDA 12.8", "cuda-toolkit=12.8")
    with monkeypatch.context() as m:
        m.setattr(cuda, "find_host_compiler", lambda: None)
        says("C++ compiler is missing")
    machine.unlink()
    says("nvcc is missing in CUDA_HOME=", "CUDA_HOME", "docs.gsplat.studio")
    (tmp_path / "gsplat/csrc.cpython-311.so").write_text("")  # a compiled wheel needs no nvcc
    assert cuda.lacks_gsplat() is None


def test_a_gpu_that_torch_cannot_use():
    if torch.cuda.is_available():
        pytest.skip("it can use this one")
    with pytest.raises(IdfError, match="torch cannot use this machine's GPU"):
        GsplatRasterizer()


class Failing:
    """In sys.modules: importing a name from it fails as a compilation does."""

    def __getattr__(self, name):
        raise RuntimeError("Error building extension 'gsplat_cuda': [1/9] nvcc\n"
                           "x.cu(7): error: no such thing\nninja: stopped")


def test_kernels_that_do_not_compile(monkeypatch):
    from idf_helpers.reconstruction.splats.gsplat_rasterizer import compile_kernels

    monkeypatch.setitem(sys.modules, "gsplat.cuda", SimpleNamespace())
    for backend, found in ((Failing(), "x.cu(7): error: no such thing"),
                           (SimpleNamespace(_C=None), "gsplat found no CUDA toolkit")):
        monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)
        with pytest.raises(IdfError, match="kernels cannot be used") as error:
            compile_kernels()
        assert error.value.found == found
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", SimpleNamespace(_C=object()))
    compile_kernels()


def test_nvccs_version(tmp_path):
    program = tmp_path / "nvcc.py"
    program.write_text("print('Cuda compilation tools, release 12.8, V12.8.93')")
    if sys.platform != "win32":
        nvcc = tmp_path / "nvcc"
        nvcc.write_text(f"#!/bin/sh\nexec {sys.executable} {program}\n")
        nvcc.chmod(0o755)
        assert cuda.nvcc_version(nvcc) == "12.8"
    assert cuda.nvcc_version(tmp_path / "none") == ""


def test_torchs_version_is_read_without_importing_it():
    assert cuda.torch_cuda() == torch.version.cuda
    assert (cuda.lacks_gpu() is None) == torch.cuda.is_available()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_do_not_count(monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert cuda.gpu_count() == 0


# --- the stand-in is like the real one ------------------------------------------------------------

def test_the_installed_gsplat_has_the_same_signatures(monkeypatch):
    for name in fake_cuda.gsplat_module():
        monkeypatch.delitem(sys.modules, name)
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    for real, fake in ((gsplat.rasterization, fake_cuda.rasterization),
                       *((getattr(getattr(gsplat, c), m), getattr(getattr(fake_cuda, c), m))
                         for c in ("DefaultStrategy", "MCMCStrategy")
                         for m in ("initialize_state", "step_post_backward"))):
        given, ours = inspect.signature(real).parameters, inspect.signature(fake).parameters
        assert set(ours) <= set(given), real.__qualname__  # later versions add some
        for name in ours:
            if name in ("rolling_shutter", "tile_size"):  # an enum; None since 1.6
                continue
            assert given[name].default == ours[name].default, name
