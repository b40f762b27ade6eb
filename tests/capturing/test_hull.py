"""What the masks of all frames agree on."""

from functools import cache

import numpy as np
import pytest

from idf_helpers.capturing.cameras import Cameras, Frames
from idf_helpers.capturing.hull import agreed
from idf_helpers.capturing.look import write_mask
from idf_helpers.capturing.neck import Neck
from idf_helpers.capturing.place import ORIGIN
from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.data.media import read_image, write_image

SIDE, BUST = 240, 9.0
K1 = 0.05


@cache
def cameras(count=12):
    """A ring round the head, a little above it."""
    out = []
    for yaw in np.linspace(0, 2 * np.pi, count, endpoint=False):
        position = ORIGIN + (4 * np.sin(yaw), -4 * np.cos(yaw), 0.6)
        out.append(Camera(look_at_matrix(position, ORIGIN, (0, 0, 1)), 250.0, 250.0, SIDE / 2,
                          SIDE / 2, SIDE, SIDE))
    return tuple(out)


@cache
def solid(k, distorted=False):
    """(H, W) height of the first point of a ball on a wide cylinder that each pixel sees, NaN
    beside them."""
    camera = cameras()[k]
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(40000, 3))
    ball = ORIGIN + 0.8 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    turn, height = rng.uniform(0, 2 * np.pi, 60000), rng.uniform(-2.0, -0.7, 60000)
    radius = np.where(rng.random(60000) < 0.3, 1.1 * np.sqrt(rng.random(60000)), 1.1)
    height = np.where(radius < 1.1, -0.7, height)
    trunk = ORIGIN + np.stack([radius * np.cos(turn), radius * np.sin(turn), height], 1)
    points = np.concatenate([ball, trunk])
    uv, z = camera.project(points)
    if distorted:
        d = (uv - SIDE / 2) / 250.0
        uv = SIDE / 2 + 250.0 * d * (1 + K1 * (d * d).sum(1, keepdims=True))
    order = np.argsort(-z)
    x, y = np.floor(uv[order] / 2).astype(int).T
    good = (x >= 0) & (y >= 0) & (x < SIDE // 2) & (y < SIDE // 2)
    out = np.full((SIDE // 2, SIDE // 2), np.nan)
    out[y[good], x[good]] = points[order[good], 2]
    return out.repeat(2, 0).repeat(2, 1)


@pytest.fixture
def footage(tmp_path):
    def made(distorted=False, spoil=None):
        views = cameras()
        (tmp_path / "persons").mkdir()
        files = []
        for k in range(len(views)):
            mask = np.isfinite(solid(k, distorted)).astype(np.float32)
            files.append(tmp_path / "persons" / f"f_{k}.png")
            write_mask(files[-1], spoil(k, mask) if spoil else mask)
            write_image(tmp_path / f"f_{k}.png", np.zeros((SIDE, SIDE, 3), np.uint8))
        frames = Frames(np.arange(len(views)), tuple(tmp_path / f.name for f in files),
                        tuple(files), np.full((len(views), 468, 3), np.nan, np.float32), SIDE,
                        SIDE, "camera")
        found = Cameras("colmap", views, (K1, 0.0, 0.0, 0.0) if distorted else None, 0.5)
        return frames, found
    return made


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def masks_of(frames):
    return [read_image(m)[..., 0] > 127 for m in frames.masks]


def test_a_piece_of_the_room_is_dropped(footage, tmp_path):
    def spoil(k, mask):
        if k % 4 == 1:
            mask[10:50, 150:190] = 1
        return mask

    frames, found = footage(spoil=spoil)
    cleaned, alike = agreed(frames, found, tmp_path / "agreed", None)
    assert alike
    for k, mask in enumerate(masks_of(cleaned)):
        true = np.isfinite(solid(k))
        assert not mask[10:50, 150:190][~true[10:50, 150:190]].any()
        assert overlap(mask[:150], true[:150]) > 0.97


@pytest.mark.parametrize("distorted", [False, True])
def test_a_bust_ends_at_one_plane_in_all_views(footage, tmp_path, distorted):
    frames, found = footage(distorted)
    cleaned, alike = agreed(frames, found, tmp_path / "agreed", BUST)
    assert alike
    for k, mask in enumerate(masks_of(cleaned)):
        height = solid(k, distorted)
        assert overlap(mask, np.nan_to_num(height, nan=-9) > Neck.level(BUST)) > 0.95


def test_masks_that_do_not_agree_stay_as_they_are(footage, tmp_path):
    frames, found = footage(spoil=lambda k, mask: np.roll(mask, 90 * (k % 3 - 1), 1))
    same, alike = agreed(frames, found, tmp_path / "agreed", None)
    assert not alike and same is frames


def test_a_frame_without_a_camera_keeps_its_mask(footage, tmp_path):
    frames, found = footage()
    views = list(found.cameras)
    views[3] = None
    cleaned, alike = agreed(frames, Cameras("colmap", tuple(views), None, 0.5),
                            tmp_path / "agreed", None)
    assert alike and cleaned.masks[3] == frames.masks[3]
    assert cleaned.masks[2] != frames.masks[2]
