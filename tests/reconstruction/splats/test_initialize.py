"""First Gaussians: inside the silhouettes, colored by the views, spaced by their neighbors."""

import math

import cv2
import numpy as np
import pytest

from idf_helpers.data.cameras import Camera
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.initialize import initial_gaussians, visual_hull

CENTER, RADIUS = np.array([0.3, -0.2, 0.5]), 0.6


def ball_views(count=12, size=48, alpha=True):
    """Views of a ball of radius 0.6, left half red, right half green in the picture."""
    cameras, pixels = [], []
    for i in range(count):
        yaw, pitch = 2 * math.pi * i / count, 0.5 * math.sin(i)
        d = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch),
                      math.sin(pitch)])
        camera = Camera.look_at(CENTER + 4 * d, CENTER, [0, 0, 1], 0.5, size, size)
        r = camera.fx * RADIUS / math.sqrt(16 - RADIUS**2)
        mask = np.zeros((size, size), np.uint8)
        y, x = np.mgrid[:size, :size] + 0.5 - size / 2
        mask[x**2 + y**2 < r**2] = 255
        image = np.zeros((4, size, size), np.uint8)
        image[0, :, : size // 2] = mask[:, : size // 2]
        image[1, :, size // 2 :] = mask[:, size // 2 :]
        image[3] = mask
        cameras.append(camera)
        pixels.append(image if alpha else image[:3].copy())
    return TrainingViews(cameras, pixels)


def test_hull_is_the_ball():
    means, colors = visual_hull(ball_views(), 2000, np.random.default_rng(0))
    distance = np.linalg.norm(means - CENTER, axis=1)
    assert len(means) == 2000
    assert distance.max() < 1.25 * RADIUS  # a hull of 12 views bulges a little
    # as many points far out as a full ball has: it is not a shell and not a core
    assert np.median(distance) == pytest.approx(RADIUS * 0.5 ** (1 / 3), rel=0.08)
    # each point is red in half of the views, green in the others
    np.testing.assert_allclose(colors.mean(axis=0), [0.5, 0.5, 0], atol=0.05)


def test_gaussians_are_as_wide_as_their_spacing():
    views = ball_views()
    g = initial_gaussians(views, 1000, 1, np.random.default_rng(0))
    assert g.sh.shape == (1000, 4, 3) and (g.sh[:, 1:] == 0).all()
    assert g.opacities == pytest.approx(0.1, abs=1e-6)
    spacing = (4 / 3 * math.pi * RADIUS**3 / 1000) ** (1 / 3)
    assert np.exp(g.log_scales).mean() == pytest.approx(0.7 * spacing, rel=0.3)
    assert (g.quats == [1, 0, 0, 0]).all()


def test_without_alpha_a_cube_round_the_center():
    views = ball_views(alpha=False)
    g = initial_gaussians(views, 500, 0, np.random.default_rng(0))
    radius = views.scene.radius
    assert radius == pytest.approx(4 * math.tan(0.25), rel=1e-6)
    assert np.abs(g.means - CENTER).max() <= radius * 1.001
    np.testing.assert_allclose(g.means.mean(0), CENTER, atol=0.1)


def test_seed_decides():
    a, b, c = (initial_gaussians(ball_views(6), 100, 0, np.random.default_rng(s)).means
               for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_points_are_taken_as_given():
    points = np.random.default_rng(0).random((50, 6))
    g = initial_gaussians(ball_views(3), 10, 0, np.random.default_rng(0), points)
    np.testing.assert_allclose(g.means, points[:, :3], rtol=1e-6)
    np.testing.assert_allclose(0.5 + 0.28209479 * g.sh[:, 0], points[:, 3:], atol=1e-5)


def test_of_too_many_points_a_random_part_is_taken():
    points = np.random.default_rng(0).random((500, 6)).astype(np.float32)
    g = initial_gaussians(ball_views(3), 10, 0, np.random.default_rng(0), points, limit=60)
    assert len(g) == 60 == len(np.unique(g.means[:, 0]))
    assert np.isin(g.means[:, 0], points[:, 0]).all() and g.means[:, 0].max() > 0.8
    same = initial_gaussians(ball_views(3), 10, 0, np.random.default_rng(0), points, limit=60)
    np.testing.assert_array_equal(g.means, same.means)


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.zeros((9, 2)), np.full((9, 3), np.nan)])
def test_useless_points(points):
    with pytest.raises(IdfError, match="points"):
        initial_gaussians(ball_views(3), 10, 0, np.random.default_rng(0), points)


def test_coinciding_points_have_a_width():
    g = initial_gaussians(ball_views(3), 10, 0, np.random.default_rng(0), np.zeros((9, 3)))
    assert np.isfinite(g.log_scales).all()


def test_empty_silhouettes():
    views = ball_views(4)
    for p in views.pixels:
        p[:] = 0
    with pytest.raises(IdfError, match="silhouettes"):
        visual_hull(views, 100, np.random.default_rng(0))


# --- the pictures themselves ----------------------------------------------------------------------

class StubFrame:
    def __init__(self, image, camera):
        self._image, self.camera = image, camera

    def image(self):
        return self._image


def test_load_averages_areas_without_the_hidden_color():
    image = np.zeros((8, 8, 4), np.uint8)
    image[..., 1] = 255  # transparent pixels are green and must not be seen
    image[:4, :4] = (200, 0, 0, 255)
    image[0, 4:6, 3] = 0
    camera = Camera.from_fov(np.eye(4), 0.5, 8, 8)
    views = TrainingViews.load([StubFrame(image, camera)], 4)
    assert views.pixels[0].shape == (4, 4, 4) and views.cameras[0].width == 4
    assert views.pixels[0][:, 0, 0].tolist() == [200, 0, 0, 255]
    assert (views.pixels[0][:, 3, 3] == 0).all()
    blue = views.target(0, np.array([0, 0, 1], np.float32))
    np.testing.assert_allclose(blue[:, 0, 0], [200 / 255, 0, 0], atol=1e-6)
    np.testing.assert_allclose(blue[:, 3, 3], [0, 0, 1], atol=1e-6)


def test_target_over_white_equals_blending_before_the_reduction():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 20, 4), np.uint8)
    image[..., 3] = np.where(image[..., 3] > 128, 255, 0)
    camera = Camera.from_fov(np.eye(4), 0.5, 20, 20)
    target = TrainingViews.load([StubFrame(image, camera)], 10).target(0, np.ones(3, np.float32))
    alpha = image[..., 3:] / 255.0
    blended = (image[..., :3] / 255.0 * alpha + 1 - alpha).astype(np.float32)
    expected = cv2.resize(blended, (10, 10), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(target.transpose(1, 2, 0), expected, atol=1.01 / 255)


def test_pictures_with_and_without_alpha_together():
    camera = Camera.from_fov(np.eye(4), 0.5, 4, 4)
    beside = Camera.from_fov(np.eye(4) + np.eye(4, k=3), 0.5, 4, 4)
    frames = [StubFrame(np.zeros((4, 4, 3), np.uint8), camera),
              StubFrame(np.zeros((4, 4, 4), np.uint8), beside)]
    views = TrainingViews.load(frames, None)
    assert [p.shape[0] for p in views.pixels] == [4, 4] and (views.pixels[0][3] == 255).all()


def test_no_pictures():
    with pytest.raises(IdfError, match="no picture"):
        TrainingViews.load([], 64)


def test_cameras_in_one_place():
    frames = [StubFrame(np.zeros((4, 4, 3), np.uint8), Camera.from_fov(np.eye(4), 0.5, 4, 4))] * 3
    with pytest.raises(IdfError, match="stand in one place"):
        TrainingViews.load(frames, None)
    assert len(TrainingViews.load(frames[:1], None)) == 1  # one picture makes no such claim


def test_more_pictures_than_memory_are_refused_before_the_first_is_read():
    class Huge:
        def __init__(self, i):
            self.camera = Camera.from_fov(np.eye(4) + i * np.eye(4, k=3), 0.5, 16000, 12000)

        def image(self):
            raise AssertionError("was read")

    with pytest.raises(IdfError, match="more memory than is free"):
        TrainingViews.load([Huge(i) for i in range(2000)], None)
