"""The packed layout, and the step that is backward pass and Adam in one, against the two apart."""

import numba
import numpy as np
import pytest

from idf_helpers.kernels.adam import Adam
from idf_helpers.reconstruction.splats.in_training import GaussiansInTraining
from idf_helpers.reconstruction.splats.packed import pack, unpack
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from tests.fixtures.gaussians import cloud, view

RATES = {"means": 1e-3, "log_scales": 8e-3, "quats": 2e-3, "opacity_logits": 0.04, "sh": 5e-3}
BACKGROUND = np.float32([0.2, 0.5, 0.9])


def losses(steps, camera):
    rng = np.random.default_rng(0)
    return rng.normal(size=(steps, 3, camera.height, camera.width)).astype(np.float32)


def trained(g, degree, lanes=None, steps=6):
    """Parameters and moments after some steps by random gradients, and the last step's outcome."""
    camera = view(97, 70)
    model = GaussiansInTraining(CpuRasterizer(lanes=lanes), g)
    for k, d_rgb in enumerate(losses(steps, camera)):
        model.forward(camera, BACKGROUND, degree)
        screen, visible = model.step(d_rgb, RATES, k + 1, degree)
    return model.copies() | {"screen": screen.copy(), "visible": visible}


@pytest.mark.parametrize("n", [0, 1, 16, 37])
@pytest.mark.parametrize("degree", [0, 3])
def test_packed_and_back_is_the_same(n, degree):
    g = cloud(n, degree=degree).arrays()
    packed = pack(g)
    assert packed.values.shape == (-(-n // 16), 11 + 3 * (degree + 1) ** 2, 16)
    assert len(packed) == n and (not n or packed.values.ctypes.data % 64 == 0)
    for name, array in unpack(packed.values, n).items():
        np.testing.assert_array_equal(array, g[name])


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("degree", [0, 1, 3])
def test_a_step_is_the_backward_pass_and_adam(lanes, degree):
    g, camera = cloud(333, spread=1.5), view(97, 70)
    found = trained(g[:], degree, lanes)
    rasterizer = CpuRasterizer(lanes=lanes)
    plain = type(g)(**{k: a.copy() for k, a in g.arrays().items()})
    adam, seen = Adam(plain), np.zeros(len(g), bool)
    for k, d_rgb in enumerate(losses(6, camera)):
        rasterizer.forward(plain, camera, BACKGROUND, degree, train=True)
        gradients = rasterizer.backward(d_rgb)
        adam.step(plain, gradients, gradients.visible, RATES, k + 1, (degree + 1) ** 2)
        seen |= gradients.visible
    assert seen.any() and not seen.all()
    np.testing.assert_array_equal(found["visible"], gradients.visible)
    np.testing.assert_allclose(found["screen"], gradients.screen, rtol=2e-3, atol=1e-4)
    for name in RATES:
        start, here = g.arrays()[name], plain.arrays()[name]
        moved, expected = found[f"gaussians.{name}"] - start, here - start
        assert np.abs(expected).max() > 2 * RATES[name]
        # the sign of a gradient of nothing but rounding decides where a step of Adam goes
        off = np.abs(moved - expected) > 0.02 * RATES[name]
        assert off.mean() < 2e-3, (name, off.mean())
        np.testing.assert_array_equal(found[f"gaussians.{name}"][~seen], start[~seen])
        assert not found[f"first.{name}"][~seen].any()
    used = (degree + 1) ** 2
    np.testing.assert_array_equal(found["gaussians.sh"][:, used:], g.sh[:, used:])


def test_threads_and_repeats_give_the_same_bits():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    before, g = numba.get_num_threads(), cloud(2000, seed=6)
    try:
        found = []
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            found.append(trained(g[:], 2))
    finally:
        numba.set_num_threads(before)
    for other in found[1:]:
        for name, array in found[0].items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_what_is_changed_in_the_plain_form_counts():
    g, camera = cloud(50), view()
    model = GaussiansInTraining(CpuRasterizer(), g)
    first = model.forward(camera, BACKGROUND, 3).copy()
    model.gaussians.sh[:] += 0.3
    assert np.abs(model.forward(camera, BACKGROUND, 3) - first).max() > 0.02
    model.adam.second["means"][:] = 7
    model.forward(camera, BACKGROUND, 3)
    assert (model.copies()["second.means"] == 7).all()
    model.gaussians = model.gaussians[:20]
    model.adam.first = {k: a[:20] for k, a in model.adam.first.items()}
    model.adam.second = {k: a[:20] for k, a in model.adam.second.items()}
    model.forward(camera, BACKGROUND, 3)
    assert len(model) == 20 and model.not_finite() is None
    model.gaussians.quats[3, 1] = np.nan
    assert model.not_finite() == "quats"
    model.forward(camera, BACKGROUND, 3)
    assert model.not_finite() == "quats"


def test_a_step_needs_a_picture_of_its_own():
    g, camera, rasterizer = cloud(20), view(), CpuRasterizer()
    model = GaussiansInTraining(rasterizer, g)
    d_rgb = losses(1, camera)[0]
    model.forward(camera, BACKGROUND, 3)
    model.step(d_rgb, RATES, 1, 3)
    with pytest.raises(RuntimeError):
        model.step(d_rgb, RATES, 2, 3)
    with pytest.raises(RuntimeError):
        rasterizer.backward(d_rgb)


def test_no_gradient_moves_nothing():
    """v = 0: no division by it."""
    g, camera = cloud(40), view()
    before = {k: a.copy() for k, a in g.arrays().items()}
    model = GaussiansInTraining(CpuRasterizer(), g)
    model.forward(camera, BACKGROUND, 3)
    model.step(np.zeros((3, camera.height, camera.width), np.float32), RATES, 1, 3)
    for name, array in model.gaussians.arrays().items():
        np.testing.assert_array_equal(array, before[name])
