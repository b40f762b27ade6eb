"""The fused surface of a ball of Gaussians, whose true depth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.data.cameras import Camera
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.fused_surface import FusedSurface
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.reconstruction.surface_views import SceneSurface, surface_views

RADIUS, DISTANCE = 0.5, 3.0


def ball(count: int = 3000, opacity: float = 1.5, radius: float = RADIUS) -> Gaussians:
    """Flat round Gaussians that lie on a sphere."""
    k = np.arange(count) + 0.5
    z, angle = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    normal = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z],
                      axis=1)
    # the quaternion that turns z to the normal
    quats = np.concatenate([1 + normal[:, 2:], -normal[:, 1:2], normal[:, :1],
                            np.zeros((count, 1))], axis=1)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    wide = np.log(radius * np.sqrt(4 * np.pi / count) * 0.6)
    return Gaussians(*(np.asarray(a, np.float32) for a in (
        radius * normal, np.tile([wide, wide, wide - 3], (count, 1)), quats,
        np.full(count, opacity), np.zeros((count, 1, 3)))))


def cameras(count: int = 12, size: int = 64) -> list[Camera]:
    angles = 2 * np.pi * np.arange(count) / count
    return [Camera.look_at((DISTANCE * np.cos(a), DISTANCE * np.sin(a), 0.4), (0, 0, 0), (0, 0, 1),
                           0.5, size, size) for a in angles]


def outline_radius(scene: GaussianScene) -> float:
    """Radius of the ball that covers as much of a picture as the splats do, blur included: what
    training fits to the pictures, and where the surface is meant to be."""
    camera = scene.cameras[0]
    shown = (scene.render_full(camera).alpha >= 0.5).sum()
    radii = np.linspace(0.8, 1.2, 81) * RADIUS
    covered = [np.isfinite(true_depth(camera, r)).sum() for r in radii]
    return float(radii[np.argmin(np.abs(np.array(covered) - shown))])


def true_depth(camera: Camera, radius: float = RADIUS) -> np.ndarray:
    o, d = camera.rays()
    d = d / np.linalg.norm(d, axis=-1, keepdims=True)
    half = -(d @ o)
    root = half**2 - (o @ o - radius**2)
    t = half - np.sqrt(np.where(root > 0, root, np.nan))
    return t * (d @ camera.forward)


@pytest.fixture(scope="module")
def scene():
    return GaussianScene(ball(), cameras=cameras())


def test_first_crossing_is_nearer_to_the_surface_than_the_mean(scene):
    """The mean is drawn inwards by what shines through, and blind to a slant."""
    camera = scene.cameras[1]
    true = true_depth(camera)
    errors = [np.nanmedian(np.abs(d - true))
              for d in (scene.first_crossing(camera), scene.render_full(camera).depth)]
    assert errors[0] < 0.4 * errors[1]


def test_fused_depth_and_normals_are_those_of_the_ball(scene):
    between = cameras(24, 80)[3]  # a view that was not fused
    view = surface_views(scene, [between])[0]
    radius = outline_radius(scene)
    true = true_depth(between, radius)
    off = np.abs(view.depth - true)[np.isfinite(true) & np.isfinite(view.depth)] / (2 * radius)
    assert np.median(off) < 0.005 and np.percentile(off, 90) < 0.02
    assert (np.isfinite(view.depth) == np.isfinite(true)).mean() > 0.99
    o, d = between.rays()
    place = o + d * (true / (d @ between.forward))[..., None]
    normal = (place / radius) @ between.c2w[:3, :3]
    seen = (view.normal**2).sum(-1) > 0.5
    cosine = (view.normal * normal).sum(-1)[seen & np.isfinite(true)]
    assert np.median(cosine) > 0.99
    assert view.confidence[seen].mean() > 0.7
    assert (view.confidence[~np.isfinite(view.depth)] == 0).all()


def test_the_surface_moves_out_to_the_outlines(scene):
    """Blurred by a pixel, a ball looks larger than the places of its Gaussians."""
    fused = FusedSurface.of(scene)
    assert fused.offset > 0
    camera = scene.cameras[0]
    covered = np.isfinite(fused.depth(camera)).sum()
    bare = np.isfinite(fused.depth(camera, 0.0)).sum()
    shown = (scene.render_full(camera).alpha >= 0.5).sum()
    assert abs(int(covered) - int(shown)) < abs(int(bare) - int(shown))


def test_a_floater_is_outvoted_and_gets_no_confidence(scene):
    g, extra = scene.gaussians, ball(1, 6.0)
    speck = replace(extra, means=np.array([[1.2, 0, 0.1]], np.float32),
                    log_scales=np.full((1, 3), np.log(0.03), np.float32))
    both = Gaussians(*(np.concatenate([a, b]) for a, b in zip(
        g.arrays().values(), speck.arrays().values(), strict=True)))
    found = SceneSurface(GaussianScene(both, cameras=scene.cameras)).fused
    # a false depth in front of the ball, as a single view may have it
    camera = scene.cameras[0]
    true = found.depth(camera)
    seen = np.isfinite(true)
    wrong = np.where(seen, true - 0.3, np.nan).astype(np.float32)
    assert found.confidence(camera, wrong)[seen].mean() < \
        0.3 * found.confidence(camera, true)[seen].mean()


def test_nothing_to_fuse_is_said(scene):
    with pytest.raises(IdfError, match="no cameras"):
        FusedSurface.of(GaussianScene(ball(10)))
    faint = GaussianScene(ball(50, -8.0), cameras=cameras(3))
    with pytest.raises(IdfError, match="no surface"):
        FusedSurface.of(faint)


def test_surface_does_not_depend_on_threads(scene):
    import numba

    camera, before = scene.cameras[2], numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = FusedSurface.of(scene).depth(camera)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, FusedSurface.of(scene).depth(camera))
