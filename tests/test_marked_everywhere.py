"""Every file that a command leaves and that shows a made picture says so, in two layers or more."""

import shutil

import pytest

from idf_helpers.data import media, samples
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.formats import export, formats_of
from idf_helpers.exporting.model import Model
from idf_helpers.making.make import make
from idf_helpers.provenance import verify
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.config import TrainingConfig
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.stylization.config import LoopConfig
from idf_helpers.stylization.loop import loop
from idf_helpers.stylization.stylists.preset import PresetConfig
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.swap import swap
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.track import track
from tests.fixtures.datasets import part_of_talking
from tests.fixtures.footage import talk_pictures, write_video
from tests.fixtures.marked import layers_of

VIEW = ExportConfig(frames=3, resolution=64)
TINY = dict(iterations=10, resolution=48, initial=300, max_gaussians=400)
CONSENT = "These are computer-made heads, nobody is shown. -- the test"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("everything")


def every_format(run, out):
    model = Model.open(run)
    for name in formats_of(model):
        export(model, out / name if name == "graphdeco" or formats_of(model)[name].folder
               else out / f"x.{name}", name, VIEW)
    photographs = [p for p in out.rglob("gt/*.png")] if run.name == "splats" else []
    return layers_of(out, photographs), formats_of(model)


def test_every_format_of_splats(root):
    reconstruct("head_turntable", root / "splats", "splats:cpu", SplatConfig(**TINY))
    assert {"C2PA", "watermark"} <= set(layers_of(root / "splats")["held_out.jpg"])
    found, formats = every_format(root / "splats", root / "of_splats")
    assert "graphdeco/input.ply" in found and any("/renders/" in name for name in found)
    assert {f"x.{n}" for n, f in formats.items() if not f.folder and f.shows} <= set(found)


def test_make_and_every_format_of_an_avatar(root):
    part_of_talking(root / "talk", slice(0, 60, 10), 2)
    config = AvatarConfig(**TINY, check_poses=False, baseline=True)
    make(samples.photo("C"), root / "talk", root / "made", config, VIEW)
    photographs = [p for p in (root / "talk").rglob("*.png")]
    found = layers_of(root / "made", photographs)
    assert {"avatar/avatar.npz", "avatar/static.npz", "view/avatar.html"} <= set(found)
    found, formats = every_format(root / "made" / "avatar", root / "avatar")
    assert {f"x.{n}" for n, f in formats.items() if not f.folder and f.shows} <= set(found)


def test_a_swapped_picture_and_video_and_what_is_tracked_in_it(root):
    picture = root / "target.png"
    shutil.copy(samples.path("head_multiview") / "train/r_25.png", picture)
    swap(picture, samples.photo("B"), root / "picture", consent=CONSENT)
    assert set(layers_of(root / "picture")) == {"target.png"}
    video = write_video(root / "talk.mp4", talk_pictures(slice(0, 60, 6)), fps=8)
    swap(video, samples.photo("B"), root / "video", SwapConfig(backend="mesh"), consent=CONSENT)
    found = layers_of(root / "video")
    assert {"C2PA", "watermark", "MP4 comment"} <= set(found["talk.mp4"])
    track(root / "video/talk.mp4", root / "tracked", TrackConfig(fov=29.0, identity=False))
    found = layers_of(root / "tracked")
    assert sum(name.startswith("frames/") for name in found) == 10
    assert verify(root / "tracked/frames/f_00003.png").consent.by == "the test"


def test_loop_and_stylize(root):
    data = root / "views"
    shutil.copytree(samples.path("head_turntable"), data)
    for path in sorted(data.rglob("*.png")):
        media.write_image(path, media.resize_area(media.read_image(path), 64, 64))
    before = [p for p in data.rglob("*.png")]
    loop(data, "preset", PresetConfig(preset="bronze"), plan=LoopConfig(
        end=1, splats=TrainingConfig(iterations=20, resolution=32)))
    found = layers_of(data, before)
    assert {"iter0.mp4", "iter1.mp4", "iter1/model/point_cloud.ply"} <= set(found)
    assert any(name.startswith("iter1/frames/") for name in found)


def test_every_format_of_a_radiance_field(root):
    reconstruct("head_turntable", root / "field", "nerf:voxel",
                VoxelConfig(iterations=80, resolution=32, grid=24, rays=256))
    assert "field.npz" in layers_of(root / "field")
    found, formats = every_format(root / "field", root / "fields")
    assert {"x.glb", "x.ply", "x.png", "x.mp4"} <= set(found)
