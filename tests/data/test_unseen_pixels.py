"""What a lens did not see is unknown, not empty and not black: nothing is learned or measured."""

import numpy as np
import pytest

from idf_helpers import Dataset
from idf_helpers.data import media
from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.data.frame import Frame
from idf_helpers.data.lens import Lens
from idf_helpers.data.training_views import TrainingViews, partly
from idf_helpers.data.transforms import write_transforms
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.nerf.train import Pixels
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.train import Trainer

W, H = 40, 30
LENS = Lens("OPENCV", (0.6, 0.2, 0.0, 0.0), 30, 30, 20, 15, W, H)


def frames(folder, channels=3, count=4):
    out = []
    for i in range(count):
        image = np.full((H, W, channels), 120 + 10 * i, np.uint8)
        if channels == 4:
            image[..., 3] = 0
            image[8:22, 10:30, 3] = 255
        media.write_image(folder / f"{i}.png", image)
        c2w = look_at_matrix([3 * np.sin(i), 0.3, 3 * np.cos(i)], [0, 0, 0], [0, 1, 0])
        out.append(Frame(str(i), folder / f"{i}.png", Camera(c2w, 30, 30, 20, 15, W, H), "train",
                         lens=LENS))
    return out


@pytest.mark.parametrize("resolution", [None, 20])
def test_opaque_pictures_stay_opaque_beside_their_border(tmp_path, resolution):
    made = frames(tmp_path)
    views = TrainingViews.load(made, resolution)
    unseen = partly(~LENS.seen(made[0].camera), *views.pixels[0].shape[:0:-1])
    assert not views.has_alpha and sorted(views.unseen) == [0, 1, 2, 3]
    assert (views.unseen[2] == unseen).all() and 0.05 < unseen.mean() < 0.6
    assert (views.pixels[2][:, ~unseen] == 140).all()
    cut_out = TrainingViews.load(frames(tmp_path, 4), resolution)
    assert cut_out.has_alpha and (cut_out.silhouette(0)[unseen] == 255).all()
    assert (cut_out.silhouette(0)[~unseen] == cut_out.pixels[0][3][~unseen]).all()


def test_no_training_looks_at_them(tmp_path):
    views = TrainingViews.load(frames(tmp_path), None)
    config = SplatConfig(iterations=3, initial=60, max_gaussians=200, background="white")
    losses = []
    for color in (0, 255):  # whatever stands there
        for k, mask in views.unseen.items():
            views.pixels[k][:, mask] = color
        trainer = Trainer(views, config)
        losses.append([trainer.step() for _ in range(3)])
    assert losses[0] == losses[1]
    pixels = Pixels(views)
    colors = pixels.draw(np.random.default_rng(0), 4000)[3]
    assert set(np.unique(colors[:, 0])) == {120, 130, 140, 150}


def test_no_measure_counts_them(tmp_path):
    made = frames(tmp_path)

    class Same:
        def render(self, camera, expression=None, background=None):
            value = 120 + 10 * next(i for i, f in enumerate(made)
                                    if np.allclose(f.camera.c2w, camera.c2w))
            image = np.full((camera.height, camera.width, 3), (value + 0.5) / 255, np.float32)
            image[~LENS.seen(camera)] = 0.9
            return image

    metrics = evaluate_scene(Same(), made)
    assert metrics.psnr > 50 and metrics.ssim > 0.999


def test_a_dataset_that_was_written_straightened_still_knows_its_border(tmp_path):
    for channels, name in ((3, "opaque"), (4, "cut out")):
        made = frames(tmp_path / "in", channels)
        root = tmp_path / name
        for f in made:  # as a swap or a style leaves them
            media.write_image(root / f"{f.name}.png", f.image())
        write_transforms(root, made)
        (root / "transforms_test.json").unlink()
        again = Dataset.open(root)
        views = TrainingViews.load(again.frames, None)
        assert views.has_alpha == (channels == 4)
        assert len(views.unseen) == (4 if channels == 3 else 0)
        write_transforms(tmp_path / "twice", again.frames)  # handed on
        assert ("unseen" in (tmp_path / "twice/transforms_train.json").read_text()) == \
            (channels == 3)
