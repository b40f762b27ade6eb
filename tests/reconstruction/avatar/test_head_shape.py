"""A whole head from frames of its front, and Gaussians that stay on it."""

import cv2
import numpy as np
import pytest

from idf_helpers.data import samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.training_views import TrainingViews
from idf_helpers.errors import IdfError
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.head_shape import HeadFrame, HeadShape
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.reconstruction.avatar.room import beside_head, matte
from idf_helpers.reconstruction.avatar.shape_prior import (
    CLOSED,
    DEPTHS,
    OPACITY,
    SHELL,
    SHOULDERS,
    ShapePrior,
)
from idf_helpers.reconstruction.avatar.train import Trainer, build_mattes
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from tests.fixtures.datasets import part_of_talking

# The bundled head, as `check_poses` finds it: world units a centimeter, its middle.
SCALE, POSITION = 0.00783, np.array([0.0, 0.0135, -0.0114])
TURNED = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the face looks to -y


@pytest.fixture(scope="module")
def views():
    data = samples.dataset("head_talking")
    source = FrameSource(data, data.train[::12], resolution=64)
    pixels = []
    for i in range(len(source)):
        picture = source.frame(i)
        alpha = matte(picture, source.background)
        pixels.append(np.ascontiguousarray(
            np.dstack([picture * (alpha[..., None] > 0), alpha]).transpose(2, 0, 1)))
    yield TrainingViews(source.cameras, pixels)
    source.close()


@pytest.fixture(scope="module")
def prior(views):
    frame = HeadFrame(SCALE, TURNED, POSITION, FaceModel.load().rest.astype(np.float64))
    return ShapePrior(HeadShape.fit(frame, views), np.stack([c.position for c in views.cameras]))


def test_the_head_is_whole_and_of_a_heads_depth(prior):
    """The face where its mesh is; a skull behind, which no frame shows."""
    shape = prior.shape
    face = shape.frame.face
    on_mesh, _ = shape.sample(face)
    assert np.abs(np.median(on_mesh)) < 0.5  # cm
    inside, _ = shape.sample(np.array([[0.0, 4, -6], [0, 4, 4], [0, 10, 0], [0, -9, 0]]))
    assert (inside < -0.5).all()
    outside, away = shape.sample(np.array([[0.0, 4, -12], [0, 4, 15], [13, 4, 0], [0, -9, 11]]))
    assert (outside > 0.5).all()
    assert away[0] @ (0, 0, -1) > 0.7 and away[2] @ (1, 0, 0) > 0.7


def test_a_background_that_holds_the_head_is_told(tmp_path):
    """The difference to it leaves nothing of a head that keeps nearly still."""
    folder = part_of_talking(tmp_path / "talk", slice(0, 60, 5), 3)
    first = sorted((folder / "train").iterdir())[0]
    (folder / "bg" / "00050.png").write_bytes(first.read_bytes())
    config = AvatarConfig(iterations=2, resolution=48, initial=50, max_gaussians=60,
                          check_poses=False)
    with pytest.raises(IdfError, match="miss most of it") as error:
        reconstruct(folder, tmp_path / "out", "avatar", config)
    assert "without the person" in error.value.do
    assert not (tmp_path / "out").exists()


def test_no_frame_sees_the_start_beside_the_outline(prior, views):
    g = prior.start(views, 2000, 0, np.random.default_rng(0))
    for camera, pixels in zip(views.cameras, views.pixels, strict=True):
        uv, _ = camera.project(g.means)
        j, i = uv[((uv >= 0) & (uv < 64)).all(axis=1)].astype(int).T
        assert beside_head(pixels[3])[i, j].mean() < 0.02


def test_what_no_frame_shows_has_the_color_of_hair_and_skin(prior, views):
    g = prior.start(views, 4000, 0, np.random.default_rng(0))
    level, depth = prior.shape.on_average(prior.shape.frame.to_head(g.means))
    color = 0.5 + 0.28209 * g.sh[:, 0]
    rear = color[(depth < -6) & (level > 3)].mean(axis=0)
    cheek = color[(depth > 6) & (level > -4) & (level < 2)].mean(axis=0)
    nape = color[(depth < -4) & (level < -5) & (level > -8)].mean(axis=0)
    assert rear.max() < 0.4  # dark brown
    assert cheek.min() > 0.4 and np.abs(nape - cheek).max() < 0.25


def test_the_start_has_no_gaps_below_skin_that_frames_show(prior, views):
    """Hair at the rear shows through gaps: as streaks on a cheek, from its side."""
    g = prior.start(views, 4000, 0, np.random.default_rng(0))
    distance, _ = prior.shape.sample(prior.shape.frame.to_head(g.means))
    inner = distance < -np.mean(DEPTHS)
    assert 0.08 < inner.mean() < 0.2 and g.opacities[inner].min() > 0.95
    level, depth = prior.shape.on_average(prior.shape.frame.to_head(g.means))
    g.sh[:, 0] = np.where(depth > 3.5, 0.5, -0.5)[:, None] / 0.28209  # white before, black behind
    open_ = g[np.arange(len(g))]
    open_.opacity_logits[:] = np.log(OPACITY / (1 - OPACITY))
    open_.log_scales[inner] -= np.float32(np.log(CLOSED))
    rasterizer, dark = CpuRasterizer(), []
    for camera in views.cameras[::4]:
        shown = [rasterizer.forward(h, camera.resized(128, 128), np.zeros(3, np.float32)).rgb[0]
                 .copy() for h in (open_, g)]
        face = cv2.erode((shown[1] > 0.5).astype(np.uint8), np.ones((13, 13))) > 0
        dark.append([(1 - p[face]).mean() for p in shown])
    before, after = np.mean(dark, axis=0)
    assert before > 0.01 and after < 0.3 * before


def test_an_outline_moves_what_lies_along_it_and_changes_nothing_else(tmp_path):
    folder = part_of_talking(tmp_path / "talk", slice(0, 60, 5), 3)
    data = Dataset.open(folder)
    source = FrameSource(data, data.train, resolution=48)
    mattes = build_mattes(source, tmp_path / "mattes").array()[..., 0]
    frame = HeadFrame(SCALE, TURNED, POSITION, FaceModel.load().rest.astype(np.float64))
    config = AvatarConfig(iterations=8, resolution=48, initial=800, max_gaussians=800, rank=2)
    trainer = Trainer(source, mattes, config, head=frame)
    rim = ~trainer.prior.well_seen(trainer.head.gaussians)
    before = {k: v.copy() for k, v in trainer.head.gaussians.arrays().items()}
    for _ in range(8):
        trainer.step()
    after = trainer.head.gaussians.arrays()
    moved = {k: np.abs(after[k] - before[k]).reshape(len(rim), -1).max(axis=1) for k in after}
    assert rim.sum() > 50 and (moved["means"][rim] > 0).mean() > 0.1
    for name in ("opacity_logits", "quats", "sh"):
        assert not moved[name][rim].any() and moved[name][~rim].any()
    source.close()


def test_what_left_the_head_comes_back_and_the_rest_stays(prior, views):
    frame = prior.shape.frame
    g = prior.start(views, 1000, 0, np.random.default_rng(0))
    g = g[prior.shape.on_average(frame.to_head(g.means))[0] > SHOULDERS + 5]
    before = g.means.copy()
    prior.pull(g)
    assert np.allclose(g.means, before, atol=0.02 * frame.scale)
    _, outward = prior.shape.sample(frame.to_head(g.means))
    g.means[:] += (4 * frame.scale * outward @ frame.rotation.T).astype(np.float32)
    g.log_scales[:] = np.log(3 * frame.scale)
    for _ in range(60):
        prior.pull(g)
    distance, normal = prior.shape.sample(frame.to_head(g.means))
    assert np.quantile(distance, 0.95) < SHELL[0] + 0.3
    assert g.log_scales.min() < np.log(frame.scale)  # flattened along the normal
    assert np.quantile(g.log_scales.max(axis=1), 0.1) > np.log(2 * frame.scale)  # not across


def test_only_what_is_seen_from_the_front_takes_color_from_frames(prior, views):
    g = prior.start(views, 2000, 0, np.random.default_rng(0))
    level, depth = prior.shape.on_average(prior.shape.frame.to_head(g.means))
    seen, head = prior.well_seen(g), level > SHOULDERS
    assert seen[depth > 8].mean() > 0.95 and seen[head & (depth < -4)].mean() < 0.05
