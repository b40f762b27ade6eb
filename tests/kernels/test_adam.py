"""Adam against torch's, and its rule for Gaussians that are out of the picture."""

import numpy as np
import torch

from idf_helpers.kernels.adam import Adam
from idf_helpers.reconstruction.splats.gaussians import Gaussians

RATES = {"means": 1e-3, "log_scales": 8e-3, "quats": 2e-3, "opacity_logits": 0.04, "sh": 5e-3}


def random_gaussians(rng, n=17, k=4):
    shapes = {"means": (n, 3), "log_scales": (n, 3), "quats": (n, 4), "opacity_logits": (n,),
              "sh": (n, k, 3)}
    return Gaussians(**{name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()})


def gradients_like(rng, g):
    return Gaussians(**{k: rng.normal(size=a.shape).astype(np.float32)
                        for k, a in g.arrays().items()})


def test_equals_torch():
    rng = np.random.default_rng(0)
    g = random_gaussians(rng)
    tensors = {k: torch.tensor(a.copy(), requires_grad=True) for k, a in g.arrays().items()}
    reference = torch.optim.Adam([{"params": [t], "lr": RATES[k]} for k, t in tensors.items()],
                                 betas=(0.9, 0.999), eps=1e-15)
    adam = Adam(g)
    for step in range(1, 21):
        gradients = gradients_like(rng, g)
        for name, t in tensors.items():
            t.grad = torch.tensor(getattr(gradients, name))
        reference.step()
        adam.step(g, gradients, np.ones(len(g), bool), RATES, step, 4)
    for name, t in tensors.items():
        np.testing.assert_allclose(getattr(g, name), t.detach().numpy(), rtol=2e-5, atol=2e-6)


def test_unseen_rows_stay_with_their_moments():
    rng = np.random.default_rng(1)
    g = random_gaussians(rng)
    adam = Adam(g)
    everyone = np.ones(len(g), bool)
    adam.step(g, gradients_like(rng, g), everyone, RATES, 1, 4)
    before = {k: a.copy() for k, a in g.arrays().items()}
    moments = {k: a.copy() for k, a in adam.first.items()}
    visible = np.arange(len(g)) % 3 == 0
    adam.step(g, gradients_like(rng, g), visible, RATES, 2, 4)
    for name, a in g.arrays().items():
        assert np.array_equal(a[~visible], before[name][~visible])
        assert np.array_equal(adam.first[name][~visible], moments[name][~visible])
        assert (a[visible] != before[name][visible]).all()


def test_color_coefficients_above_the_active_degree_stay():
    rng = np.random.default_rng(2)
    g = random_gaussians(rng)
    before = g.sh.copy()
    Adam(g).step(g, gradients_like(rng, g), np.ones(len(g), bool), RATES, 1, 1)
    assert (g.sh[:, 0] != before[:, 0]).all()
    assert np.array_equal(g.sh[:, 1:], before[:, 1:])
