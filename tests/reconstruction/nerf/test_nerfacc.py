"""The nerfacc path against a stand-in with its signatures: no GPU is needed."""

import importlib.util
import inspect
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.nerf.vanilla import nerfacc_sampler
from idf_helpers.reconstruction.nerf.vanilla.config import VanillaConfig
from idf_helpers.reconstruction.nerf.vanilla.train import VanillaTrainer
from idf_helpers.reconstruction.nerf.vanilla.volume import Rendered
from idf_helpers.reconstruction.trainer import train_loop
from tests.fixtures.ball_scene import BallDataset
from tests.reconstruction.nerf.tiny_vanilla import TINY

from . import fake_nerfacc


@pytest.fixture(scope="module")
def views():
    return TrainingViews.load(BallDataset().train, 32)


def test_without_it_the_error_says_what_is_missing(views):
    if importlib.util.find_spec("nerfacc") and torch.cuda.is_available():
        pytest.skip("it is here")
    with pytest.raises(IdfError, match="nerfacc"):
        VanillaTrainer(views, TINY, VanillaConfig(nerfacc=True, device="cpu", iterations=1))


def test_it_trains_and_renders(views, monkeypatch):
    monkeypatch.setitem(sys.modules, "nerfacc", fake_nerfacc)
    monkeypatch.setattr(nerfacc_sampler, "lacks_nerfacc", lambda: None)
    options = replace(TINY, N_importance=0, precrop_iters=0)
    trainer = VanillaTrainer(views, options, VanillaConfig(nerfacc=True, device="cpu",
                                                           iterations=60))
    first = np.mean([trainer.step() for _ in range(8)])
    train_loop(trainer)
    assert trainer.mse < 0.8 * first and trainer.sampler.estimator.updates == [0, 16, 32, 48]
    scene = trainer.scene()
    assert scene.sampler is trainer.sampler
    full = scene.render_full(views.cameras[0].resized(16, 16))
    assert full.rgb.shape == (16, 16, 3) and np.isfinite(full.rgb).all()
    assert full.alpha[8, 8] > full.alpha[0, 0]
    seen = full.depth[np.isfinite(full.depth)]
    assert ((seen > trainer.near) & (seen < trainer.far)).all()


def test_what_it_found_out_goes_on_with_a_checkpoint(views, monkeypatch):
    monkeypatch.setitem(sys.modules, "nerfacc", fake_nerfacc)
    monkeypatch.setattr(nerfacc_sampler, "lacks_nerfacc", lambda: None)

    def trainer():
        return VanillaTrainer(views, TINY, VanillaConfig(nerfacc=True, device="cpu",
                                                          iterations=5))

    first, second = trainer(), trainer()
    first.sampler.estimator.binaries[0, 1:3] = False
    second.restore(first.state())
    assert torch.equal(second.sampler.estimator.binaries, first.sampler.estimator.binaries)


def test_a_batch_that_meets_only_empty_cells(views, monkeypatch):
    """It teaches nothing, and is no error."""
    monkeypatch.setitem(sys.modules, "nerfacc", fake_nerfacc)
    monkeypatch.setattr(nerfacc_sampler, "lacks_nerfacc", lambda: None)
    trainer = VanillaTrainer(views, TINY, VanillaConfig(nerfacc=True, device="cpu",
                                                          iterations=5))
    white = Rendered(torch.ones(TINY.N_rand, 3), *[torch.zeros(TINY.N_rand)] * 3, None)
    monkeypatch.setattr(trainer, "_render", lambda *a: white)
    before = [p.clone() for p in trainer.field.parameters()]
    assert trainer.step() > 0 and trainer.iteration == 1
    assert all(map(torch.equal, before, trainer.field.parameters()))


def test_stand_in_has_the_signatures_of_the_real_one():
    if importlib.util.find_spec("nerfacc") is None:
        pytest.skip("nerfacc is not installed")
    import nerfacc

    for name in ("sampling", "update_every_n_steps"):
        real = inspect.signature(getattr(nerfacc.OccGridEstimator, name))
        ours = inspect.signature(getattr(fake_nerfacc.OccGridEstimator, name))
        assert list(real.parameters) == list(ours.parameters)
    assert list(inspect.signature(nerfacc.rendering).parameters) == \
        list(inspect.signature(fake_nerfacc.rendering).parameters)
