"""Gaussians as ellipses, rays through a field, and small trainings side by side."""

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.contact_sheet import PAPER
from idf_helpers.data.dataset import Dataset
from idf_helpers.notebook.figures import experiments
from idf_helpers.notebook.figures.depths import depth_picture
from idf_helpers.notebook.figures.growing import (
    ellipses,
    growing_picture,
    inside_picture,
    on_screen,
)
from idf_helpers.notebook.figures.rays import RaySamples, ray_picture
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.nerf.train import fit
from idf_helpers.runtime.progress import Reporter
from tests.fixtures.ball_scene import write_ball
from tests.fixtures.gaussians import random_gaussians, view


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return Dataset.open(write_ball(tmp_path_factory.mktemp("ball"), ("train", "test")))


def test_a_projected_covariance_is_that_of_projected_points():
    g, camera = random_gaussians(6), view()
    g.log_scales[:] = np.log(np.random.default_rng(1).uniform(0.002, 0.01, (6, 3)))
    centers, covariance, z = on_screen(g, camera)
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(0)
    for i in np.flatnonzero(z > 0.5):
        local = rng.standard_normal((40_000, 3)) * np.exp(g.log_scales[i])
        cloud = g.means[i] + local @ Rotation.from_quat(
            g.quats[i, [1, 2, 3, 0]]).as_matrix().T
        pixels, _ = camera.project(cloud)
        assert np.allclose(pixels.mean(0), centers[i], atol=0.05)
        found = np.cov(pixels.T)
        assert np.abs(found - covariance[i]).max() < 0.05 * np.abs(covariance[i]).max()
    assert (z > 0.5).sum() >= 3


def test_near_ellipses_are_drawn_over_far_ones():
    g, camera = random_gaussians(2, degree=0), view(64, 64)
    g.means[:] = camera.position + camera.forward * np.array([[2.0], [3.0]])
    g.log_scales[:], g.opacity_logits[:] = np.log(0.2), 4.0
    g.sh[:] = 0
    g.sh[0, 0, 0], g.sh[1, 0, 2] = 2.0, 2.0  # red before blue
    picture = ellipses(g, camera)
    middle = picture[32, 32].astype(int)
    assert middle[0] > middle[2] + 50
    g.opacity_logits[0] = -9  # not seen: not drawn
    middle = ellipses(g, camera)[32, 32].astype(int)
    assert middle[2] > middle[0] + 50


def test_gaussians_grow_into_a_picture(data):
    seen = []

    class Seen(Reporter):
        def step(self, what, fraction, details=""):
            seen.append(fraction)

    sheet = growing_picture(data, (0, 5, 40), 60, Seen())
    assert sheet.shape[1] > 3 * 60 and sheet.dtype == np.uint8 and seen[-1] == 1.0
    drawn = sheet[:, -60:].astype(int)  # after the last step: something in all three rows
    for row in np.array_split(drawn, 3):
        assert (np.abs(row - PAPER).max(-1) > 30).mean() > 0.05


def test_a_rays_samples_add_up_to_the_pixel(data):
    scene = fit(data, VoxelConfig(iterations=60, resolution=32))
    camera = data.test[0].camera.fitted(32)
    full = scene.render_full(camera, None, (0.2, 0.4, 0.6))
    origin, rays = camera.rays()
    checked = 0
    for row, column in ((16, 16), (12, 18), (20, 15)):
        if full.alpha[row, column] < 0.9:
            continue
        checked += 1
        s = RaySamples.of(scene, origin, rays[row, column], 0.5, 8.0, 4000)
        assert np.allclose(s.passed[1:], np.cumprod(1 - s.alpha)[:-1])
        total = s.weights.sum()
        color = s.weights @ s.colors + (1 - total) * np.array([0.2, 0.4, 0.6])
        assert abs(total - full.alpha[row, column]) < 0.08
        assert np.abs(color - full.rgb[row, column]).max() < 0.08
    assert checked
    picture = ray_picture(scene, data, (0.5, 0.5), 48)
    assert picture.dtype == np.uint8 and picture.shape[1] == 1050 and picture.std() > 20


def test_variants_side_by_side(data, monkeypatch):
    sheet = experiments.try_splats(data, {"all": {}, "two views": {"views": 2}}, 8, Reporter())
    fields = experiments.try_fields(data, {"coarse": {"grid": 16}}, 8, Reporter())
    assert sheet.shape[0] > 1.4 * fields.shape[0] and sheet.std() > 10
    with pytest.raises(IdfError, match="unknown setting"):
        experiments.try_splats(data, {"x": {"colour": 1}}, 8, Reporter())
    with pytest.raises(IdfError, match="number of views"):
        experiments.try_splats(data, {"x": {"views": 1}}, 8, Reporter())
    assert [f.name for f in experiments.some(data.train, 2)] == [data.train[0].name,
                                                                data.train[-1].name]


def test_depth_is_bright_where_it_is_near():
    depth = np.array([[1.0, 2.0, np.nan]])
    near, far, none = depth_picture(depth)[0].astype(int)
    assert near.sum() > far.sum() + 200 and (none == PAPER).all()
    assert (depth_picture(np.full((2, 2), np.nan)) == PAPER).all()


def test_a_trained_head_beside_its_gaussians(data):
    from idf_helpers.reconstruction.splats.config import SplatConfig
    from idf_helpers.reconstruction.splats.train import fit as fit_splats

    scene = fit_splats(data, SplatConfig(iterations=10, resolution=32, initial=200,
                                         max_gaussians=300))
    assert inside_picture(scene, data, 60).shape[1] == 180
