"""Every rasterizer draws the same scene as the reference, and gives the same gradients.

Pictures within IMAGE at every pixel, gradients within GRADIENT in relative L2. The scene keeps
opacities below 0.95, for gsplat limits alpha to 0.999 and the others to 0.99.

diff-gaussian-rasterization draws a Gaussian only in the tiles that the square of half side
ceil(3 sigma) touches, up to exp(-9/2) = 1.1 % of a color less; the reference is told to do so too.
"""

import sys

import numpy as np
import pytest
import torch

from idf_helpers.reconstruction.splats.graphdeco_rasterizer import NEAR, GraphdecoRasterizer
from idf_helpers.reconstruction.splats.gsplat_rasterizer import GsplatRasterizer
from idf_helpers.reconstruction.splats.rasterizers import RASTERIZERS
from idf_helpers.reconstruction.splats.reference import render_reference
from tests.fixtures.gaussians import cloud, relative, view

from . import fake_cuda

IMAGE, DEPTH, GRADIENT = 2e-3, 5e-3, 5e-3
TILE = 16  # of diff-gaussian-rasterization, pixels


def scene(degree=3):
    g = cloud(150, degree)
    g.opacity_logits[:] = np.clip(g.opacity_logits, -4, 2.9)
    return g


def agree(rasterizer, g, camera, degree=None, background=(0.2, 0.5, 0.9), tile=None):
    """Asserts that pictures, gradients and screen gradients are those of the reference."""
    rng = np.random.default_rng(1)
    params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True)
              for k, v in g.arrays().items()}
    shift = torch.zeros(len(g), 2, dtype=torch.float64, requires_grad=True)
    rgb, alpha, depth = render_reference(params, camera, background, degree,
                                         getattr(rasterizer, "near", 0.05), shift, tile)
    d_rgb = rng.normal(size=rgb.shape).astype(np.float32)
    d_alpha, d_depth = (rng.normal(size=alpha.shape).astype(np.float32) for _ in range(2))
    solid = ~torch.isnan(depth)
    ((rgb * torch.tensor(d_rgb)).sum() + (alpha * torch.tensor(d_alpha)).sum()
     + (depth[solid] * torch.tensor(d_depth)[solid]).sum()).backward()

    picture = rasterizer.forward(g, camera, background, degree, train=True)
    assert rasterizer.last is picture and picture.rgb.dtype == np.float32
    np.testing.assert_allclose(picture.rgb, rgb.detach(), atol=IMAGE)
    np.testing.assert_allclose(picture.alpha, alpha.detach(), atol=IMAGE)
    both = solid.numpy() & ~np.isnan(picture.depth)
    assert (both == solid.numpy()).mean() > 0.999
    np.testing.assert_allclose(picture.depth[both], depth.detach().numpy()[both], rtol=DEPTH)
    found = rasterizer.backward(d_rgb, d_alpha, d_depth)
    for name, array in found.arrays().items():
        assert relative(array, params[name].grad.numpy()) < GRADIENT, name
    assert relative(found.screen, shift.grad.abs().sum(1).numpy()) < GRADIENT
    assert found.visible[np.abs(params["opacity_logits"].grad.numpy()) > 1e-6].all()
    plain = rasterizer.forward(g, camera, background, degree)
    np.testing.assert_allclose(plain.rgb, picture.rgb, atol=1e-5)
    assert rasterizer.last is None
    with pytest.raises(RuntimeError, match="forward"):
        rasterizer.backward(d_rgb)


@pytest.mark.parametrize("name", RASTERIZERS.names())
@pytest.mark.parametrize("degree", [0, 2, 3])
def test_registered_rasterizers(name, degree):
    backend = RASTERIZERS.find(name)
    if lack := backend.missing():
        pytest.skip(f"{name} cannot run here: {lack}")
    agree(backend.load()(), scene(3), view(), degree, tile=TILE if name == "graphdeco" else None)


@pytest.mark.parametrize(("degree", "channel", "rows", "column", "drawn"), [
    (0, 0, slice(34, 39), 48, (0.4088590443, 0.3703415692, 0.3586876094, 0.3750903904,
                               0.4102790356)),
    (2, 1, slice(34, 38), 48, (0.4936135411, 0.4851477444, 0.4584370255, 0.4176400304)),
    (2, 1, slice(5, 6), 16, (0.5428431034,)),
    (3, 0, slice(33, 38), 48, (0.7123076916, 0.6136607528, 0.5420849919, 0.5214018226,
                               0.5460399389))])
def test_the_reference_cuts_as_diff_gaussian_rasterization_did(degree, channel, rows, column,
                                                               drawn):
    """Pixels that it drew on an NVIDIA H200, where a reference that cuts nothing is off most."""
    params = {k: torch.tensor(v) for k, v in scene().arrays().items()}
    rgb, whole = (render_reference(params, view(), (0.2, 0.5, 0.9), degree, NEAR, None, tile)[0]
                  [channel, rows, column].numpy() for tile in (TILE, None))
    np.testing.assert_allclose(rgb, drawn, atol=2e-5)
    assert np.abs(whole - drawn).min() > 2e-3


@pytest.fixture
def gsplat(monkeypatch):
    for name, module in fake_cuda.gsplat_module().items():
        monkeypatch.setitem(sys.modules, name, module)
    fake_cuda.calls.clear()
    yield fake_cuda.calls
    fake_cuda.calls.fail = 0


@pytest.fixture
def dgr(monkeypatch, tmp_path):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    for name, module in fake_cuda.dgr_module().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("packed", [False, True])
def test_what_gsplat_is_told(gsplat, packed):
    """The stand-in draws by the reference what it is told in gsplat's conventions."""
    rasterizer = GsplatRasterizer(packed=packed, device="cpu")
    for degree in (1, 3):
        agree(rasterizer, scene(), view(), degree)
    assert all(c["packed"] is packed and c["rasterize_mode"] == "classic" for c in gsplat)
    GsplatRasterizer(antialiased=True, device="cpu").forward(scene(), view())
    assert gsplat[-1]["rasterize_mode"] == "antialiased" and gsplat[-1]["sh_degree"] == 3


def test_what_diff_gaussian_rasterization_is_told(dgr):
    for degree in (0, 3):
        agree(GraphdecoRasterizer(device="cpu"), scene(), view(), degree)


def test_an_older_diff_gaussian_rasterization(dgr, monkeypatch):
    """12 settings and two outputs, as at 59f5f77."""
    import diff_gaussian_rasterization as module

    fields = fake_cuda.GaussianRasterizationSettings._fields[:-1]
    from collections import namedtuple
    monkeypatch.setattr(module, "GaussianRasterizationSettings", namedtuple("S", fields))

    class Two(fake_cuda.GaussianRasterizer):
        def forward(self, *a, **k):
            return super().forward(*a, **k)[:2]

    monkeypatch.setattr(module, "GaussianRasterizer", Two)
    agree(GraphdecoRasterizer(device="cpu"), scene(), view(), 2)


def test_an_empty_scene_and_one_behind_the_camera(gsplat, dgr):
    camera = view()
    behind = scene()
    behind.means[:] = camera.position - 5 * camera.forward + 0.01 * behind.means
    for rasterizer in (GsplatRasterizer(device="cpu"), GraphdecoRasterizer(device="cpu"),
                       RASTERIZERS.load("reference")()):
        for g in (scene()[:0], behind):
            picture = rasterizer.forward(g, camera, (0.1, 0.2, 0.3), train=True)
            np.testing.assert_allclose(picture.rgb[:, 3, 4], (0.1, 0.2, 0.3), atol=1e-6)
            assert picture.alpha.max() == 0 and np.isnan(picture.depth).all()
            gradients = rasterizer.backward(np.ones_like(picture.rgb))
            assert all((a == 0).all() and len(a) == len(g) for a in gradients.arrays().values())
            assert not gradients.screen.any() and len(gradients.visible) == len(g)


def test_a_full_memory_is_met_by_packed_mode_once(gsplat):
    from idf_helpers import IdfError

    rasterizer = GsplatRasterizer(device="cpu")
    gsplat.fail = 1
    picture = rasterizer.forward(scene(), view())
    assert rasterizer.packed and [c["packed"] for c in gsplat] == [False, True]
    np.testing.assert_allclose(picture.rgb, GsplatRasterizer(packed=True, device="cpu").forward(
        scene(), view()).rgb)
    gsplat.fail = 2
    with pytest.raises(IdfError, match="memory is too small") as error:
        GsplatRasterizer(device="cpu").forward(scene(), view())
    assert "150 Gaussians, 61 x 45 pixels" in error.value.found
    assert gsplat.fail == 0  # no third try


def test_wrong_arguments(gsplat):
    from idf_helpers import IdfError

    rasterizer = GsplatRasterizer(device="cpu")
    rasterizer.forward(scene(), view(), train=True)
    with pytest.raises(IdfError, match="d_rgb"):
        rasterizer.backward(np.zeros((3, 4, 4)))
    with pytest.raises(IdfError, match="cannot be drawn"):
        rasterizer.forward(scene(), view(), sh_degree=-1)
    with pytest.raises(IdfError, match="near plane"):
        GsplatRasterizer(near=0, device="cpu")
