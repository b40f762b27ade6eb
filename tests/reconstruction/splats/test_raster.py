"""The CPU rasterizer against the double-precision reference, and its corner cases."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numba
import numpy as np
import pytest
import torch

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from idf_helpers.reconstruction.splats.reference import render_reference
from tests.fixtures.gaussians import cloud, relative, view

NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh")


def compare(g, camera, lanes, degree=None, background=(0.2, 0.5, 0.9), with_depth=True):
    """Errors against the reference: picture maxima and relative L2 of the five gradients."""
    rng = np.random.default_rng(1)
    params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True)
              for k, v in g.arrays().items()}
    rgb, alpha, depth = render_reference(params, camera, background, degree)
    d_rgb = rng.normal(size=rgb.shape).astype(np.float32)
    d_alpha = rng.normal(size=alpha.shape).astype(np.float32)
    d_depth = rng.normal(size=alpha.shape).astype(np.float32) if with_depth else None
    loss = (rgb * torch.tensor(d_rgb)).sum() + (alpha * torch.tensor(d_alpha)).sum()
    if with_depth:
        solid = ~torch.isnan(depth)
        loss = loss + (depth[solid] * torch.tensor(d_depth)[solid]).sum()
    loss.backward()
    rasterizer = CpuRasterizer(lanes=lanes)
    picture = rasterizer.forward(g, camera, background, degree, train=True)
    found = rasterizer.backward(d_rgb, d_alpha, d_depth).arrays()
    np.testing.assert_array_equal(np.isnan(picture.depth), np.isnan(depth.detach().numpy()))
    pictures = {"rgb": np.abs(picture.rgb - rgb.detach().numpy()).max(),
                "alpha": np.abs(picture.alpha - alpha.detach().numpy()).max(),
                "depth": np.nanmax(np.abs(picture.depth - depth.detach().numpy()))}
    return pictures, {k: relative(found[k], params[k].grad.numpy()) for k in NAMES}


@pytest.mark.parametrize("degree, lanes", [(0, None), (1, 8), (2, 16), (3, 8), (3, 16)])
def test_picture_and_all_gradients_match_the_reference(degree, lanes):
    g = cloud(300)
    g.sh = g.sh[:, :(degree + 1) ** 2].copy()
    pictures, gradients = compare(g, view(), lanes)
    assert max(pictures.values()) < 1e-4, pictures
    assert max(gradients.values()) < 1e-3, gradients


def test_gradients_without_depth_and_with_fewer_harmonics_than_stored():
    pictures, gradients = compare(cloud(300), view(), None, degree=1, with_depth=False)
    assert max(pictures.values()) < 1e-4 and max(gradients.values()) < 1e-3


def test_gaussians_all_round_the_camera_match_the_reference():
    """Many lie outside the view, where J is evaluated at the clamped position."""
    g = cloud(400, spread=4.0, seed=3)
    camera = view()
    uv, z = camera.project(g.means)
    outside = (z > 0.05) & (np.abs(uv[:, 0] / camera.width - 0.5) > 0.8)
    assert outside.sum() > 20
    pictures, gradients = compare(g, camera, None)
    assert max(pictures.values()) < 2e-4 and max(gradients.values()) < 1e-3


def test_large_gaussians_on_many_tiles_match_the_reference():
    """Boxes of more tiles than the hit bits hold."""
    g = cloud(12, seed=5)
    g.log_scales += 1.5
    pictures, gradients = compare(g, view(208, 130), None)
    assert max(pictures.values()) < 1e-4 and max(gradients.values()) < 1e-3


@pytest.mark.parametrize("step, x, y", [(2, 1, 0), (4, 2, 3), (3, 0, 1)])
def test_every_nth_pixel_is_drawn_as_in_the_full_picture(step, x, y):
    """And its gradients are those of a loss that sees these pixels alone."""
    g, full, background = cloud(300), view(99, 70), (0.2, 0.5, 0.9)
    g.log_scales -= 1.0  # thin ones, to which the dilation matters
    few, dilation = full.every(step, x, y), 0.3 / step**2
    whole, part = CpuRasterizer(), CpuRasterizer()
    picture = whole.forward(g, full, background, train=True)
    found = part.forward(g, few, background, train=True, dilation=dilation)
    at = np.s_[..., y::step, x::step]
    for name in ("rgb", "alpha", "depth"):
        np.testing.assert_allclose(getattr(found, name), getattr(picture, name)[at], atol=1e-4)
    wrong = part.forward(g, few, background).rgb
    assert np.abs(wrong - picture.rgb[at]).max() > 0.05, "of pixels that are wider"
    part.forward(g, few, background, train=True, dilation=dilation)
    d_rgb = np.zeros_like(picture.rgb)
    d_rgb[at] = np.random.default_rng(1).normal(size=found.rgb.shape)
    expected = {k: v.copy() for k, v in whole.backward(d_rgb).arrays().items()}
    for name, value in part.backward(np.ascontiguousarray(d_rgb[at])).arrays().items():
        assert relative(value, expected[name]) < 1e-3, name
    params = {k: torch.tensor(v) for k, v in g.arrays().items()}
    reference = render_reference(params, few, background, dilation=dilation)[0].numpy()
    np.testing.assert_allclose(found.rgb, reference, atol=1e-4)


def run(g, camera, lanes=None, seed=2, depth=True):
    """Picture and gradients, copied."""
    rng = np.random.default_rng(seed)
    shape = (camera.height, camera.width)
    rasterizer = CpuRasterizer(lanes=lanes)
    picture = rasterizer.forward(g, camera, (0.1, 0.6, 1.0), train=True)
    found = rasterizer.backward(rng.normal(size=(3, *shape)), rng.normal(size=shape),
                                rng.normal(size=shape) if depth else None)
    return ([picture.rgb, picture.alpha, picture.depth]
            + [a.copy() for a in (*found.arrays().values(), found.screen, found.visible)])


def test_both_vector_widths_give_the_same_numbers():
    g, camera = cloud(500, seed=4), view(97, 70)
    for a, b in zip(run(g, camera, 16), run(g, camera, 8), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5 * (1 + np.nanmax(np.abs(b))))


def test_the_number_of_threads_does_not_change_a_bit():
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    g, camera = cloud(3000, seed=6), view(200, 150)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = run(g, camera)
        numba.set_num_threads(2)
        many = [run(g, camera) for _ in range(3)]
    finally:
        numba.set_num_threads(before)
    for found in many:
        for a, b in zip(one, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_python_threads_may_draw_at_the_same_time():
    g, camera = cloud(800, seed=7), view(100, 80)
    alone = run(g, camera)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: run(g, camera), range(6)))
    for found in together:
        for a, b in zip(alone, found, strict=True):
            np.testing.assert_array_equal(a, b)


def behind(g):
    g.means = g.means + np.float32(20) * np.asarray(-view().forward, np.float32)


def faint(g):
    g.opacity_logits[:] = np.log(0.9 / 254)  # opacity 0.0035 < 1/255


def not_numbers(g):
    g.means[::3], g.log_scales[1::3], g.quats[2::3] = np.nan, np.inf, np.nan


def test_what_is_infinitely_far_to_a_side_is_not_drawn_on_one_tile_either():
    g = cloud(12)
    g.means[:6, 0], g.means[6:, 0] = np.inf, -np.inf
    rasterizer = CpuRasterizer()
    rgb = rasterizer.forward(g, view(16, 16), train=True).rgb
    gradients = rasterizer.backward(np.ones_like(rgb))
    assert not gradients.visible.any()
    assert not any(a.any() for a in gradients.arrays().values())


@pytest.mark.parametrize("spoil", [behind, faint, not_numbers])
def test_what_cannot_be_seen_leaves_the_background_and_no_gradient(spoil):
    g = cloud(60)
    spoil(g)
    rgb, alpha, depth, *gradients = run(g, view())
    np.testing.assert_array_equal(rgb, np.broadcast_to(
        np.float32([0.1, 0.6, 1.0])[:, None, None], rgb.shape))
    assert not alpha.any() and np.isnan(depth).all()
    assert not any(a.any() for a in gradients)


def test_an_empty_scene_is_the_background():
    rgb, alpha, depth, *gradients = run(cloud(0), view())
    assert (rgb[1] == np.float32(0.6)).all() and not alpha.any() and np.isnan(depth).all()
    assert gradients[0].shape == (0, 3) and gradients[4].shape == (0, 16, 3)


def test_one_gaussian_over_everything():
    g = cloud(1, degree=0)
    g.means[:], g.log_scales[:], g.opacity_logits[:] = 0, 4.0, 8.0
    g.sh[:] = (0.2 - 0.5) / 0.28209479
    rgb, alpha, depth, *gradients = run(g, view(150, 100))
    np.testing.assert_allclose(alpha, 0.99, atol=1e-4)  # limited everywhere
    np.testing.assert_allclose(rgb[2], 0.99 * 0.2 + 0.01 * 1.0, atol=1e-4)
    np.testing.assert_allclose(depth, np.linalg.norm(view().position), rtol=1e-4)
    assert not gradients[3].any() and gradients[4].any()  # the limit stops dL/dopacity


@pytest.mark.parametrize("log_scale", [-100.0, 12.0, 40.0, 88.0])
def test_absurd_sizes_stay_finite(log_scale):
    g = cloud(40)
    g.log_scales[::2, 0] = log_scale
    g.log_scales[::4] = log_scale
    rgb, alpha, _, *gradients = run(g, view())
    assert np.isfinite(rgb).all() and (alpha >= 0).all() and (alpha <= 1).all()
    assert all(np.isfinite(a).all() for a in gradients)


def test_a_zero_quaternion_is_no_rotation():
    g = cloud(30)
    g.quats[:] = 0
    upright = g[:]
    upright.quats = np.tile(np.float32([1, 0, 0, 0]), (30, 1))
    a, b = run(g, view()), run(upright, view())
    np.testing.assert_array_equal(a[0], b[0])
    assert not a[5].any() and all(np.isfinite(x).all() for x in a[3:])


def test_nothing_nearer_than_the_near_plane():
    g, camera = cloud(80), view()
    z = camera.project(g.means)[1]
    rasterizer = CpuRasterizer(near=float(np.median(z)))
    rasterizer.forward(g, camera, train=True)
    visible = rasterizer.backward(np.ones((3, camera.height, camera.width))).visible
    assert visible.any() and (z[visible] >= np.median(z)).all()


def test_a_quick_render_equals_the_training_picture():
    g, camera = cloud(200), view()
    rasterizer = CpuRasterizer()
    quick = rasterizer.forward(g, camera, (1, 1, 1))
    with pytest.raises(RuntimeError):
        rasterizer.backward(np.ones_like(quick.rgb))
    slow = rasterizer.forward(g, camera, (1, 1, 1), train=True)
    np.testing.assert_array_equal(quick.rgb, slow.rgb)


def test_bad_shapes_are_one_clear_error():
    g = cloud(5)
    rasterizer = CpuRasterizer()
    rasterizer.forward(g, view(), train=True)
    with pytest.raises(IdfError, match="d_rgb"):
        rasterizer.backward(np.ones((3, 4, 4)))
    with pytest.raises(IdfError, match="quats"):
        rasterizer.forward(replace(g, quats=g.quats[:, :3]), view())
    with pytest.raises(IdfError):
        CpuRasterizer(lanes=1)


def test_finite_differences():
    """Central differences in a random direction; Gaussians so wide that no pixel is cut off."""
    g = cloud(4, seed=9)
    g.means, g.log_scales = g.means * np.float32(0.3), g.log_scales * np.float32(0.2) + 1
    g.opacity_logits = np.clip(g.opacity_logits, 0, 1)
    camera, rasterizer = view(40, 30), CpuRasterizer()
    weights = np.random.default_rng(0).normal(size=(3, 30, 40))

    def loss(g, train=False):
        out = rasterizer.forward(g, camera, (0.3, 0.3, 0.3), train=train)
        assert not np.isnan(out.depth).any()
        alpha, depth = out.alpha.astype(np.float64), out.depth.astype(np.float64)
        return (out.rgb * weights).sum() + (alpha**2).sum() + depth.sum(), out.alpha

    _, alpha = loss(g, train=True)
    found = rasterizer.backward(weights, 2 * alpha, np.ones_like(alpha)).arrays()
    found = {k: a.copy() for k, a in found.items()}
    rng = np.random.default_rng(10)
    for name in NAMES:
        values = g.arrays()[name]
        step = rng.normal(size=values.shape).astype(np.float32) * np.float32(2e-3)
        moved = [loss(replace(g, **{name: values + sign * step}))[0] for sign in (1, -1)]
        expected = float(moved[0] - moved[1]) / 2
        along = float((found[name] * step).sum())
        assert along == pytest.approx(expected, rel=1e-2, abs=2e-4), name
