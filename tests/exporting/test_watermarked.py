"""Every picture and every frame that leaves carries the watermark of the mark's own line."""

import numpy as np
import pytest

from idf_helpers.data.media import read_image, read_video
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.formats import export, render
from idf_helpers.exporting.model import Model
from idf_helpers.provenance import Mark, verify
from idf_helpers.provenance.watermark import detect, detect_frames, payload_text
from tests.fixtures.field import Field

SMALL = ExportConfig(resolution=400, frames=2)


class Rough(Field):
    """A scene whose pictures have something on them."""

    def render(self, camera, expression=None, background=None):
        y, x = np.mgrid[:camera.height, :camera.width] / 40
        noise = np.random.default_rng(0).normal(0, 0.02, y.shape)
        gray = 0.5 + 0.2 * np.sin(x) * np.cos(1.3 * y) + noise
        return np.clip(np.repeat(gray[..., None], 3, 2), 0, 1).astype(np.float32)


@pytest.fixture
def model(tmp_path):
    return Model(Rough(), Mark("0" * 12, "a test"), tmp_path, "model", {})


def test_a_picture(model, tmp_path):
    path = export(model, tmp_path / "a.png", config=SMALL)
    assert detect(read_image(path)).payload == model.mark.payload
    found = verify(path)
    assert found.watermark.payload == model.mark.payload and found.problems == ()
    assert found.fields["watermark"] == payload_text(model.mark.payload)


def test_a_video(model, tmp_path):
    path = export(model, tmp_path / "a.mp4", config=SMALL)
    assert detect_frames(read_video(path)).payload == model.mark.payload


def test_views(model, tmp_path):
    render(model, tmp_path / "views", views=2, resolution=400)
    for i in range(2):
        picture = read_image(tmp_path / f"views/view_{i:02d}.png")
        assert detect(picture).payload == model.mark.payload


def test_the_same_work_leaves_the_same_payload():
    assert Mark("a", "x", consent="c").payload == Mark("a", "other", consent="c").payload
    assert Mark("a", "x").payload != Mark("b", "x").payload
    assert Mark("a", "x", payload=5).payload == 5
