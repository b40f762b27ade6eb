import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import samples
from idf_helpers.data.media import encode_image, read_image, resize_area, write_image
from idf_helpers.data.transforms import write_transforms
from idf_helpers.notebook.stylize_panel import StylizePanel, key_strip, paint
from idf_helpers.stylization.config import NeuralConfig, ServerConfig
from idf_helpers.stylization.stylists import neural_files
from idf_helpers.stylization.stylists.preset import PresetConfig
from idf_helpers.stylization.stylists.prompts import NEGATIVE, PROMPTS, ready
from tests.stylization.stylists import tiny_style


@pytest.fixture(scope="module")
def turntable(tmp_path_factory):
    """Every sixth view of the bundled turntable, 40 pixels."""
    from dataclasses import replace
    root = tmp_path_factory.mktemp("turn")
    frames = [f for f in samples.dataset("head_turntable").frames
              if int(f.name.split("_")[-1]) % 6 == 0]
    for f in frames:
        write_image(root / f"{f.name}.png", resize_area(f.image(), 40, 40))
    write_transforms(root, [replace(f, camera=f.camera.resized(40, 40),
                                    split="test" if f.name.endswith("_24") else "train")
                            for f in frames])
    return Dataset.open(root)


def test_a_look_by_the_button(turntable, tmp_path):
    panel = StylizePanel(turntable, tmp_path, resolution=None, depth_s=3)
    panel.button.click()
    assert len(panel.styled.frames) == 8 and panel.report["propagator"] == "none"
    assert "overlap of the outlines: 1.000" in panel.status.value
    assert len(panel.result.value) > 2000
    first = panel.folder
    panel.preset.value = "gold"
    panel.run()
    assert panel.folder != first and panel.sheet(4, 30)[:, -120:].shape == (60, 120, 3)


def test_only_what_counts_is_shown(turntable, tmp_path):
    panel = StylizePanel(turntable, tmp_path)
    assert panel.prompt.layout.display == "none" and panel.preset.layout.display is None
    assert panel.config() == PresetConfig(preset="bronze", strength=1.0)
    panel.stylist.value = "a1111"
    assert panel.prompt.layout.display is None and panel.preset.layout.display == "none"
    panel.ready.value = "elf"
    config = panel.config()
    assert config.prompt == PROMPTS["elf"] and config.negative_prompt == NEGATIVE
    assert config.strength == 0.6 and isinstance(config, ServerConfig) and panel.views().keys == 8
    panel.keys.value = 3
    assert len(panel.key_indices()) == 3


def test_keys_stand_in_frames(turntable):
    plain, marked = key_strip(turntable, []), key_strip(turntable, [0, 4])
    blue = (np.abs(marked.astype(int) - (38, 115, 242)).max(-1) < 3).sum()
    assert plain.shape == marked.shape and blue > 500
    assert (np.abs(plain.astype(int) - (38, 115, 242)).max(-1) < 3).sum() == 0


def test_an_uploaded_painting(turntable, tmp_path):
    file = paint(turntable, tmp_path / "painting")
    assert file.stem in {f.name.split("/")[-1] for f in turntable.frames}
    assert read_image(file).shape == (40, 40, 3)
    panel = StylizePanel(turntable, tmp_path, "exemplar", keys=2, resolution=None,
                           propagator="flow")
    with pytest.raises(IdfError, match="painted view"):
        panel.run()
    data = encode_image(read_image(file))
    name = f"{file.stem}.png"
    assert panel.exemplar.layout.display is None  # hiding the prompt hides nothing else
    panel.upload.value = {name: {"content": data}} if isinstance(panel.upload.value, dict) else \
        ({"name": name, "type": "image/png", "size": len(data), "content": data,
          "last_modified": __import__("datetime").datetime(2026, 1, 1)},)
    config = panel.config()
    assert config.exemplar.name == name
    np.testing.assert_array_equal(read_image(config.exemplar), read_image(file))
    panel.exemplar.value = str(file)  # typed after the upload
    assert panel.config().exemplar == file
    with pytest.raises(IdfError, match="no restyled views"):
        panel.sheet()


def test_a_style_by_name_path_and_upload(turntable, tmp_path, monkeypatch):
    tiny_style.install(tmp_path / "cache", monkeypatch)
    panel = StylizePanel(turntable, tmp_path, "neural", keys=2, resolution=None,
                         propagator="flow")
    assert panel.lacks is None and panel.config() == NeuralConfig(strength=1.0, style=("swirls",))
    assert panel.prompt.layout.display == "none" and panel.style.layout.display is None
    panel.style.value = "3:2 14"
    assert panel.config().style == ("3:2", "14")
    file = tmp_path / "my own.png"
    write_image(file, np.full((80, 80, 3), (200, 60, 40), np.uint8))
    panel.style.value = str(file)
    assert panel.config().style == (str(file),)
    data = encode_image(read_image(file))
    panel.upload.value = {"a.png": {"content": data}} if isinstance(panel.upload.value, dict) else \
        ({"name": "a.png", "type": "image/png", "size": len(data), "content": data,
          "last_modified": __import__("datetime").datetime(2026, 1, 1)},)
    np.testing.assert_array_equal(read_image(panel.config().style[0]), read_image(file))
    panel.run()
    shown = panel.styled.frames[0].image()
    assert shown[shown[..., 3] == 255][:, 0].mean() > shown[shown[..., 3] == 255][:, 2].mean() + 60
    (tmp_path / "cache" / "neural_style" / neural_files.FIXED).unlink()
    assert "idf download neural_style" in panel.lacks


def test_ready_prompts():
    assert ready("Bronze bust ") == PROMPTS["bronze bust"] and ready("a teapot") == "a teapot"
