"""Where the field lies, and pictures or cameras that leave it no place."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from idf_helpers.data.cameras import Camera
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.nerf.bounds import carve, find_bounds
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.nerf.train import fit
from tests.fixtures.ball_scene import CENTER, RADIUS, BallDataset


def load(frames):
    return TrainingViews.load(frames, 48)


def test_the_box_holds_the_ball():
    bounds = find_bounds(load(BallDataset().train))
    assert (bounds.low < CENTER - RADIUS).all() and (bounds.high > CENTER + RADIUS).all()
    assert 0 < bounds.near < 4 - RADIUS and 4 + RADIUS < bounds.far < 8


def test_the_hull_is_little_more_than_the_ball():
    cells = 40
    voxel = 2 / cells
    hull = carve(load(BallDataset().train), CENTER - 1, voxel, (cells + 1,) * 3)
    at = CENTER - 1 + voxel * np.argwhere(hull)
    distance = np.linalg.norm(at - CENTER, axis=1)
    ball = 4 / 3 * np.pi * RADIUS**3 / voxel**3
    assert ball * 0.98 < (distance < RADIUS + voxel).sum() and hull.sum() < 2.2 * ball


def test_opaque_pictures_are_bounded_by_their_cameras():
    bounds = find_bounds(load(BallDataset(alpha=False).train))
    assert np.allclose((bounds.low + bounds.high) / 2, CENTER, atol=0.05)


@dataclass
class Blank:
    camera: Camera
    value: int = 0

    def image(self):
        return np.full((48, 48, 4), self.value, np.uint8)


class Corner(Blank):
    """A spot in the picture's upper left corner, or its lower right one."""

    def image(self):
        picture = np.zeros((48, 48, 4), np.uint8)
        picture[self.value:self.value + 8, self.value:self.value + 8] = 255
        return picture


def test_empty_alpha_is_told():
    frames = [Blank(f.camera.resized(48, 48)) for f in BallDataset().train]
    with pytest.raises(IdfError, match="alpha is empty"):
        find_bounds(load(frames))


def test_silhouettes_without_a_common_volume_are_told():
    frames = [Corner(f.camera.resized(48, 48), 40 * (i % 2)) for i, f in
              enumerate(BallDataset().train)]
    with pytest.raises(IdfError, match="leave no room"):
        find_bounds(load(frames))


def test_cameras_inside_the_object_are_told_by_name():
    frames = [Blank(f.camera.resized(48, 48), 255) for f in BallDataset().train]
    inside = Camera.look_at(CENTER + [0.1, 0, 0], CENTER, [0, 0, 1], 0.36, 48, 48)
    frames[3] = Blank(inside, 255)
    with pytest.raises(IdfError, match="inside the object") as error:
        find_bounds(load(frames))
    assert "training views 3" in str(error.value)


@pytest.mark.parametrize("change", [
    {"budget_s": 3.0}, {"iterations": 0}, {"resolution": 4}, {"grid": 8}, {"sh_degree": 3},
    {"rate": float("nan")}, {"tv_color": -1.0}, {"background": "blue"},
    {"levels": (0.5, 0.1)}, {"rays": 1}, {"max_memory_mb": 1}])
def test_bad_settings(change):
    with pytest.raises(IdfError):
        fit(BallDataset(), replace(VoxelConfig(iterations=10, resolution=32), **change))


def test_random_background_needs_alpha():
    with pytest.raises(IdfError, match="alpha"):
        fit(BallDataset(alpha=False), VoxelConfig(iterations=5, background="random"))
