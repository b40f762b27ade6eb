"""The paper's network against nerf-pytorch's own numbers, its configs and its checkpoints."""

import os
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.nerf.vanilla import checkpoint
from idf_helpers.reconstruction.nerf.vanilla.config import VanillaConfig
from idf_helpers.reconstruction.nerf.vanilla.network import NeRF, encode
from idf_helpers.reconstruction.nerf.vanilla.options import (
    IGNORED,
    PAPER,
    NerfOptions,
    read_options,
)
from idf_helpers.reconstruction.nerf.vanilla.train import VanillaTrainer
from idf_helpers.reconstruction.nerf.vanilla.volume import camera_rays, composite, sample_pdf
from idf_helpers.reconstruction.trainer import train_loop
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.ball_scene import BallDataset
from tests.reconstruction.nerf.tiny_vanilla import TINY, upstream_tar

from . import golden

LEGO = """expname = blender_paper_lego
basedir = ./logs
dataset_type = blender
no_batching = True
# a comment

use_viewdirs = True
white_bkgd = True
lrate_decay = 500
N_samples: 64
N_importance = 128   # behind a value
N_rand = 1024
precrop_iters = 500
precrop_frac = 0.5
half_res
raw_noise_std = 1e0
"""


# --- equal to nerf-pytorch ------------------------------------------------------------------------

@pytest.fixture(scope="module")
def expected():
    return np.load(golden.FILE)


@pytest.mark.parametrize("views", [True, False])
def test_network_rendering_and_sampling_are_nerf_pytorchs(expected, views):
    k = int(views)
    channels, channels_views = 3 + 6 * golden.MULTIRES, 3 + 6 * golden.MULTIRES_VIEWS
    network = NeRF(golden.DEPTH, golden.WIDTH, channels, 5, channels_views if views else 0, views)
    shapes = {name: tuple(v.shape) for name, v in network.state_dict().items()}
    assert sorted(shapes) == list(expected[f"keys_{k}"])
    network.load_state_dict({n: torch.tensor(v) for n, v in golden.weights(shapes).items()})
    points, directions, z = (torch.tensor(a) for a in golden.inputs())
    x = encode(points, golden.MULTIRES)
    if views:
        spread = encode(directions, golden.MULTIRES_VIEWS)[:, None].expand(*points.shape[:2], -1)
        x = torch.cat([x, spread], -1)
    with torch.no_grad():
        raw = network(x)
    assert np.abs(raw.numpy() - expected[f"raw_{k}"]).max() <= 1e-5
    for white in (True, False):
        out, weights = composite(5 * raw[..., :4], z, 2 * directions, white)
        w = f"{k}{int(white)}"
        for name, value in (("rgb", out.rgb), ("acc", out.alpha), ("weights", weights),
                            ("disp", out.disparity), ("depth", out.depth * out.alpha)):
            assert np.allclose(value.numpy(), expected[f"{name}_{w}"], atol=1e-5, equal_nan=True)
    u = torch.linspace(0, 1, 7).expand(len(z), 7)
    found = sample_pdf(0.5 * (z[:, 1:] + z[:, :-1]), weights[:, 1:-1], u)
    assert np.abs(found.numpy() - expected[f"samples_{k}"]).max() <= 1e-4


# --- config files ---------------------------------------------------------------------------------

def test_config_files_are_read_as_they_are(tmp_path):
    path = tmp_path / "lego.txt"
    path.write_text(LEGO)
    o, notes = read_options(path)
    assert notes == ["of lego.txt without effect here: basedir"]
    assert (o.N_samples, o.N_importance, o.N_rand, o.precrop_iters) == (64, 128, 1024, 500)
    assert o.half_res and o.use_viewdirs and o.white_bkgd and o.no_batching
    assert o.raw_noise_std == 1.0 and o.lrate_decay == 500 and o.expname == "blender_paper_lego"
    assert replace(o, expname="nerf", half_res=False, raw_noise_std=0.0) == PAPER
    assert o.netwidth == 256 and o.testskip == 8 and NerfOptions().N_rand == 4096  # its defaults


@pytest.mark.parametrize("line, words", [
    ("N_sample = 64", "did you mean `N_samples`"), ("learning_rate = 1\nfoo = 2", "foo"),
    ("N_rand = many", "not a whole number"), ("white_bkgd = maybe", "True or False"),
    ("N_samples = 1", "out of range"), ("N_rand = 1\nN_rand = 2", "twice"),
    ("dataset_type = colmap", "dataset_type"), ("lrate = nan", "out of range")])
def test_bad_configs_name_what_is_wrong(tmp_path, line, words):
    path = tmp_path / "config.txt"
    name = line.split(" ")[0]
    path.write_text("\n".join(x for x in LEGO.splitlines() if not x.startswith(name)) + "\n" + line)
    with pytest.raises(IdfError) as error:
        read_options(path)
    assert words in str(error.value)


def test_missing_config_and_ndc(tmp_path):
    with pytest.raises(IdfError, match="does not exist"):
        read_options(tmp_path / "none.txt")
    path = tmp_path / "fern.txt"
    path.write_text("dataset_type = llff\nfactor = 8\n")
    with pytest.raises(IdfError, match="normalized device"):
        VanillaConfig(config=path).options()
    path.write_text("dataset_type = llff\nno_ndc = True\n")
    assert VanillaConfig(config=path).options()[0].no_ndc


def test_the_identity_is_what_the_config_holds(tmp_path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text(LEGO)
    b.write_text(LEGO.replace("basedir = ./logs", "i_print = 7"))  # no effect, and elsewhere
    same = [VanillaConfig(config=p).identity() for p in (a, b)]
    assert same[0] == same[1]
    b.write_text(LEGO.replace("N_rand = 1024", "N_rand = 512"))
    assert VanillaConfig(config=b).identity() != same[0]


# --- training -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def views():
    return TrainingViews.load(BallDataset().train, 32)


def trainer_of(views, iterations=40, **changes) -> VanillaTrainer:
    return VanillaTrainer(views, replace(TINY, **changes),
                          VanillaConfig(device="cpu", iterations=iterations))


@pytest.mark.parametrize("batching", [True, False])
def test_it_learns_and_a_stop_changes_nothing(views, tmp_path, batching):
    whole = trainer_of(views, no_batching=not batching)
    train_loop(whole)
    assert whole.iteration == 40
    stopped = trainer_of(views, no_batching=not batching)

    def interrupt(progress):
        if progress.iteration == 27:
            raise KeyboardInterrupt

    def opened():
        return RunFolder(tmp_path, stage="nerf", backend="vanilla", config={}, inputs={})

    with pytest.raises(KeyboardInterrupt), opened() as run:
        train_loop(stopped, run, interrupt, 0)
    again = trainer_of(views, no_batching=not batching)
    with opened() as run:
        train_loop(again, run)
    a, b = whole.field.state_dict(), again.field.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns(views):
    trainer = trainer_of(views, 150, N_importance=0, precrop_iters=0)
    first = np.mean([trainer.step() for _ in range(10)])
    train_loop(trainer)
    assert trainer.mse < 0.6 * first
    full = trainer.scene().render_full(views.cameras[0].resized(12, 12))
    assert full.alpha[6, 6] > full.alpha[0, 0] + 0.2
    assert full.rgb[0, 0].mean() > full.rgb[6, 6].mean() + 0.1  # a dark ball over white


def test_nan_rolls_back(views):
    trainer = trainer_of(views)
    for _ in range(12):
        trainer.step()
    with torch.no_grad():
        trainer.field.fine.pts_linears[0].weight[:] = float("nan")
    trainer.step()
    assert trainer.rollbacks == 1 and trainer.iteration == 10
    train_loop(trainer)
    assert np.isfinite(trainer.mse)


@pytest.mark.parametrize("depths", [(3.0, 3.0), (5.0, 2.0), (None, 1.0), (7.5, 9.0)])
def test_near_and_far(views, depths):
    with pytest.raises(IdfError) as error:
        VanillaTrainer(views, TINY, VanillaConfig(near=depths[0], far=depths[1], iterations=1))
    assert "near" in str(error.value)


def test_depths_of_a_blender_config_are_nerf_pytorchs(views, tmp_path):
    path = tmp_path / "c.txt"
    path.write_text("dataset_type = blender\n")
    trainer = VanillaTrainer(views, TINY, VanillaConfig(config=path, iterations=1))
    assert (trainer.near, trainer.far) == (2.0, 6.0)
    assert trainer_of(views).near == trainer.bounds.near


def test_a_checkpoint_of_nerf_pytorch_goes_on(views, tmp_path):
    path = tmp_path / "001234.tar"
    field = upstream_tar(path)
    trainer = trainer_of(views, ft_path=str(path))
    assert trainer.start == 1234 and trainer.offset == 0.0  # rays through the pixels' corners
    assert torch.equal(trainer.field.fine.rgb_linear.weight, field.fine.rgb_linear.weight)
    trainer.step()
    checkpoint.save(tmp_path / "ours.tar", trainer.field, trainer.optimizer, trainer.global_step,
                    {"rays": "center"})
    data = torch.load(tmp_path / "ours.tar", weights_only=True)
    assert data["global_step"] == 1235 and set(data) > {"network_fn_state_dict"}
    assert trainer_of(views, ft_path=str(tmp_path / "ours.tar")).offset == 0.5
    for word, offset in (("centre", 0.5), ("corner", 0.0)):  # an earlier spelling
        checkpoint.save(tmp_path / "old.tar", trainer.field, trainer.optimizer, 3, {"rays": word})
        assert trainer_of(views, ft_path=str(tmp_path / "old.tar")).offset == offset


def test_a_checkpoint_of_another_network_is_told(views, tmp_path):
    path = tmp_path / "a.tar"
    upstream_tar(path, replace(TINY, netwidth=48))
    with pytest.raises(IdfError, match="another network") as error:
        trainer_of(views, ft_path=str(path))
    assert "pts_linears" in str(error.value) and "(48" in str(error.value)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(IdfError, match="not a nerf-pytorch checkpoint"):
        checkpoint.read(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(IdfError, match="cannot be read"):
        checkpoint.read(path)
    with pytest.raises(IdfError, match="does not exist"):
        checkpoint.read(tmp_path / "none.tar")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "evil.tar"
    torch.save({"global_step": Evil()}, path)
    with pytest.raises(IdfError, match="cannot be read"):
        checkpoint.read(path)


def test_rays_pass_centers_or_corners():
    camera = BallDataset().train[0].camera
    _, center = camera_rays(camera)
    _, unit = camera.rays()
    assert np.allclose(center / np.linalg.norm(center, axis=-1, keepdims=True), unit, atol=1e-6)
    assert np.allclose(center @ camera.forward, 1, atol=1e-6)
    _, corner = camera_rays(camera, 0.0)
    assert np.allclose((center - corner)[..., :] @ camera.c2w[:3, 0], 0.5 / camera.fx, atol=1e-6)


def test_every_option_of_nerf_pytorch_is_known():
    clone = os.environ.get("IDF_NERF_PYTORCH")
    if not clone:
        pytest.skip("IDF_NERF_PYTORCH does not name a clone of nerf-pytorch")
    import re
    from pathlib import Path

    text = Path(clone, "run_nerf.py").read_text()
    names = set(re.findall(r'add_argument\("--(\w+)"', text))
    assert names - {"config"} == {f.name for f in fields(NerfOptions)} | set(IGNORED)
    for config in Path(clone, "configs").glob("*.txt"):
        read_options(config)


def test_compiling_is_not_counted_and_changes_nothing(monkeypatch):
    views = TrainingViews.load(BallDataset().train, 16)
    monkeypatch.setattr(NeRF, "compile", lambda self: compiled.append(self))
    compiled, ends = [], []
    for wanted in (True, False):
        trainer = VanillaTrainer(views, TINY, VanillaConfig(device="cpu", compile=wanted,
                                                            iterations=3))
        assert (trainer.iteration, trainer.seconds) == (0, 0.0)
        train_loop(trainer)
        ends.append([p.detach() for p in trainer.field.parameters()])
    assert len(compiled) == 2 and all(map(torch.equal, *ends))
