import json

import numpy as np
import pytest

from idf_helpers.data import media
from idf_helpers.runtime.registry import Entry
from idf_helpers.stylization.config import ServerConfig
from idf_helpers.stylization.methods import STYLISTS
from idf_helpers.stylization.stylist import Stylist

from .analytic_head import FOV, head_scene


@pytest.fixture(scope="session")
def head():
    """24 views of 96 pixels around the analytic head, and its true style."""
    return head_scene(24, 96)


@pytest.fixture(scope="session")
def head_folder(head, tmp_path_factory):
    """The same as the paper's folder: train_main/r_<i>.png with alpha, transforms_train_main.json;
    every second view, 64 pixels."""
    root = tmp_path_factory.mktemp("head")
    frames = []
    for k, view in enumerate(head.views[::2]):
        a = view.mask[..., None]
        rgb = np.clip((view.rgb - 1 + a) / np.maximum(a, 1e-6), 0, 1)
        picture = media.to_uint8(np.concatenate([rgb, a], -1))
        media.write_image(root / "train_main" / f"r_{k}.png", media.resize_area(picture, 64, 64))
        frames.append({"file_path": f"./train_main/r_{k}",
                       "transform_matrix": view.camera.c2w.tolist()})
    (root / "transforms_train_main.json").write_text(
        json.dumps({"camera_angle_x": FOV, "frames": frames}))
    return root


class Painter(Stylist):
    """A stylist that notes what it is asked: swaps red and blue, times the strength."""

    name = "painter"
    config_type = ServerConfig
    source_type = "trainedAlgorithmicMedia"
    reads_prompt = True
    multiple = 8
    asked: list = []
    configs: list = []
    fail_at = None

    def __init__(self, config):
        super().__init__(config)
        type(self).configs.append(config)

    def settings(self):
        return {"painter": 1}

    def stylize(self, view, prompt, seed, strength, references=()):
        if type(self).fail_at == len(self.asked):
            type(self).fail_at = None
            raise KeyboardInterrupt
        self.asked.append((view.name, view.size, prompt, seed, strength, len(references),
                           view.start is not None))
        rgb = view.source()
        return rgb + strength * (rgb[..., ::-1] - rgb)


@pytest.fixture
def painter(monkeypatch):
    """`Painter`, registered as a stylist; forgets what earlier tests asked."""
    monkeypatch.setitem(STYLISTS.entries, "painter", Entry(
        "painter", f"{__name__}:Painter", "of the tests", 1,
        config="idf_helpers.stylization.config:ServerConfig"))
    Painter.asked, Painter.configs, Painter.fail_at = [], [], None
    return Painter
