"""One photo and one target: the kinds of target that `make` knows."""

import shutil

import numpy as np
import pytest

from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.making import kind_of, make
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.avatar.config import AvatarConfig

from .fixtures.datasets import make_dataset, part_of_talking


def test_what_a_target_is_taken_for(tmp_path):
    assert kind_of("head_multiview") == "views" and kind_of("head_talking") == "talk"
    assert kind_of(samples.dataset("head_turntable")) == "views"
    assert kind_of(samples.photo("B")) == "picture"
    (tmp_path / "clip.mp4").write_bytes(b"x")
    assert kind_of(tmp_path / "clip.mp4") == "talk"
    with pytest.raises(IdfError, match="does not exist"):
        kind_of(tmp_path / "nothing")
    root = make_dataset(tmp_path / "data")
    empty = Dataset.open(root)
    empty.splits["train"] = ()
    with pytest.raises(IdfError, match="no training frames"):
        kind_of(empty)


def test_a_picture_is_swapped(tmp_path):
    target = tmp_path / "target.png"
    shutil.copy(samples.path("head_multiview") / "train/r_25.png", target)
    made = make(samples.photo("B"), target, tmp_path / "out")
    assert made.kind == "picture" and made.metrics == {}
    path, = made.files.values()
    assert verify(path).synthetic
    assert (media.read_image(path) != media.read_image(target)).any()


def test_a_talking_head_becomes_an_avatar_with_page_and_video(tmp_path):
    part_of_talking(tmp_path / "talk", slice(0, 60, 5), 3)
    config = AvatarConfig(iterations=30, resolution=48, initial=300, max_gaussians=400,
                          check_poses=False)
    made = make(samples.photo("C"), tmp_path / "talk", tmp_path / "out", config,
                ExportConfig(frames=4, resolution=48))
    assert made.kind == "talk" and np.isfinite(made.metrics["psnr"])
    assert set(made.files) == {"avatar.html", "avatar.mp4", "avatar.png"}
    for path in made.files.values():
        mark = verify(path)
        assert mark.synthetic and "swapped" in mark.fields["made"], path
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["avatar", "swap", "view"]


def test_a_kind_can_be_told(tmp_path):
    """A talking head as views is refused by what follows, not silently taken for another."""
    with pytest.raises(IdfError):
        make(samples.photo("C"), samples.photo("B"), tmp_path / "out", kind="views")
