"""Shared fixtures: tiny pictures and datasets that the tests make themselves."""

from __future__ import annotations

import json
import math
import os
import signal

import numpy as np
import pytest

from idf_helpers.data import media, samples
from idf_helpers.data.cameras import look_at_matrix
from idf_helpers.runtime.files import read_json, write_json

FOV = 0.6

# A shell starts background jobs with Ctrl-C ignored; what tests say about Ctrl-C holds there too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def lacking(promise: str, reason: str):
    """Skips with the reason, or fails where the environment variable `promise` is 1: it says that
    the machine has what the test needs, so that CI cannot pass without having run it."""
    if os.environ.get(promise) == "1":
        pytest.fail(f"{promise}=1, but {reason}", pytrace=False)
    pytest.skip(reason)


def part_of_talking(root, chosen: slice, held_out: int):
    """Writes some training frames of the bundled talking head to `root`, the last `held_out` of
    them as the test split, with the picture of the room; returns `root`."""
    full = samples.path("head_talking")
    data = read_json(full / "transforms_train.json")
    frames = data["frames"][chosen]
    for split, part in (("train", frames[:-held_out]), ("test", frames[-held_out:])):
        write_json(root / f"transforms_{split}.json", {**data, "frames": part})
    for name in (*(f"{f['file_path']}.png" for f in frames), "bg/00050.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((full / name).read_bytes())
    return root


def make_dataset(root, splits=None, size=(24, 20), alpha=True, **top):
    """A Blender-style dataset of random pictures on a circle of cameras; returns its folder."""
    splits = splits or {"train": 6, "val": 1, "test": 2}
    rng = np.random.default_rng(0)
    k, total = 0, sum(splits.values())
    for split, count in splits.items():
        frames = []
        for i in range(count):
            a = 2 * math.pi * k / total
            k += 1
            position = (4 * math.sin(a), -4 * math.cos(a), 0.3)
            name = f"{split}/r_{i}"
            image = rng.integers(0, 256, (size[1], size[0], 4 if alpha else 3), np.uint8)
            if alpha:
                image[..., 3] = np.where(image[..., 3] > 128, 255, 0)
            media.write_image(root / f"{name}.png", image)
            frames.append({"file_path": f"./{name}", "transform_matrix":
                           look_at_matrix(position, (0, 0, 0), (0, 0, 1)).tolist()})
        (root / f"transforms_{split}.json").write_text(
            json.dumps({"camera_angle_x": FOV, **top, "frames": frames}))
    return root


@pytest.fixture
def dataset_folder(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def edit_json():
    """edit_json(path, lambda data: ...) changes a JSON file in place."""
    def edit(path, change):
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
    return edit
