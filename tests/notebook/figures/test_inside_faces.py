"""The face unrolled, swaps in several ways, an avatar's bases, and colors that are carried."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.data.contact_sheet import PAPER
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import resize_area, write_image
from idf_helpers.data.transforms import write_transforms
from idf_helpers.notebook.figures import bases, carried
from idf_helpers.notebook.figures.swap_variants import try_swaps
from idf_helpers.notebook.figures.unwrapped import unwrapped_picture
from idf_helpers.notebook.stylize_panel import StylizePanel, paint


def cells(sheet, count, cell, height=None):
    """The pictures of the last row."""
    return [sheet[-(height or cell):, -(count - k) * cell:sheet.shape[1] - (count - k - 1) * cell]
            .astype(int) for k in range(count)]


def test_the_face_unrolled_where_the_run_has_no_texture():
    target = samples.dataset("head_multiview")
    sheet = unwrapped_picture(target, target, samples.photo("C"), 120)  # "swapped" by nothing
    mesh, unrolled, photo, share, back = cells(sheet, 5, 120)
    green = [(p[..., 1] > p[..., 0] + 25).mean() for p in (mesh, unrolled, photo, back)]
    assert green[0] > 0.05 and green[1] > 0.2 and max(green[2:]) < 0.01
    assert (share.min(-1) > 250).mean() > 0.15  # all of the photo in the middle of the face
    assert (share[:4] == PAPER).all() and (np.abs(photo - PAPER).max(-1) > 30).mean() > 0.2


def test_swaps_in_several_ways():
    data = samples.dataset("head_multiview")
    sheet = try_swaps(data, "B", {"own": {"shape": 0}, "his": {}, "C": {"photo": "C"}}, cell=100)
    before, own, his, other = cells(sheet, 4, 100)
    for a, b in ((before, own), (own, his), (his, other)):
        assert (np.abs(a - b).max(-1) > 25).mean() > 0.01
    with pytest.raises(IdfError, match="unknown setting"):
        try_swaps(data, "B", {"x": {"colour": 1}})


def test_bases_of_an_avatar(trained, talking):
    _, scene = trained
    data = Dataset.open(talking)
    w = np.array(bases.frame_weights(scene.basis, data)[3])
    again = scene.basis.coefficients(bases.with_weights(scene.basis, w))
    assert np.allclose(again, w, atol=1e-3)
    assert set(bases.main_names(scene.basis, 0)) <= set(scene.basis.names)
    sheet = bases.bases_picture(scene, data, 60)
    count = sheet.shape[1] // 60
    assert count >= 1 and sheet.dtype == np.uint8
    fewer = bases.fewer_bases_picture(scene, data, (0, 99), 60)
    picture, none, every = cells(fewer, 3, 60, 40)
    assert np.abs(every - picture).mean() < np.abs(none - picture).mean()
    assert bases.expressions_chart(data, scene).std() > 10
    moved = next(n for n, m in zip(scene.basis.names, scene.basis.moving, strict=True) if m)
    mixed = bases.mixed_picture(scene, {moved: 1.0}, cell=60)
    rest, one, both = cells(mixed, 3, 60, 40)
    assert np.array_equal(one, both) and not np.array_equal(rest, one)


@pytest.fixture(scope="module")
def turntable(tmp_path_factory):
    root = tmp_path_factory.mktemp("turn")
    frames = [f for f in samples.dataset("head_turntable").frames
              if int(f.name.split("_")[-1]) % 4 == 0]
    for f in frames:
        write_image(root / f"{f.name}.png", resize_area(f.image(), 48, 48))
    write_transforms(root, [replace(f, camera=f.camera.resized(48, 48),
                                    split="test" if f.name.endswith("_24") else "train")
                            for f in frames])
    return Dataset.open(root)


def test_colors_carried_from_key_views(turntable, tmp_path):
    look = StylizePanel(turntable, tmp_path, "preset", "bronze", resolution=None, depth_s=3)
    look.run()
    with pytest.raises(IdfError, match="carried no colors"):
        carried.carried_picture(look)
    panel = StylizePanel(turntable, tmp_path, "exemplar", keys=2, resolution=None, depth_s=1.5,
                         exemplar=paint(turntable, tmp_path / "painting"))
    panel.run()
    sheet = carried.carried_picture(panel, 60)
    key, depth, before, part, how, done = cells(sheet, 6, 60)
    unknown = (np.abs(part - PAPER).max(-1) < 4).mean()
    assert 0.2 < unknown < 0.97 and ((np.abs(how - PAPER).max(-1) < 4).mean()) > 0.2
    assert np.abs(done - before).mean() > 5 and depth.std() > 10 and key.std() > 10
    fewer = carried.fewer_keys_picture(panel, look.styled, (1, 4), 60)
    one, four, truth = cells(fewer, 3, 60)
    gray = [(np.abs(p - PAPER).max(-1) < 4).mean() for p in (one, four)]
    assert gray[1] < gray[0]
    looks = carried.looks_picture(turntable, ["gold", "jade"], (0.3, 1.0), 40)
    assert looks.std() > 20
