"""The recognizer: its file format, its layers, how a face is aligned for it."""

import json
import pickle
import types

import cv2
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from idf_helpers.errors import IdfError
from idf_helpers.face.downloads import IDENTITY
from idf_helpers.face.identity import (
    BLOCKS,
    CHIP,
    MEAN_FACE,
    POINTS,
    IdentityNet,
    align_chip,
    identity_distance,
    read_weights,
)
from idf_helpers.runtime import download
from tests.fixtures.identity import write_recognizer


def plain_forward(arrays, chip):
    """dlib's layers (dnn_face_recognition_ex.cpp) one after another, in float64."""
    def conv(x, name, stride, padding):
        f = arrays[f"{name}/conv/filters"].astype(np.float64)
        x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        windows = sliding_window_view(x, f.shape[:2], (0, 1))[::stride, ::stride]
        out = np.einsum("yxcij,ijcd->yxd", windows, f) + arrays[f"{name}/conv/bias"]
        return out * arrays[f"{name}/scale/weights"] + arrays[f"{name}/scale/biases"]

    x = (chip.astype(np.float64) - (122.782, 117.001, 104.298)) / 255
    x = np.maximum(conv(x, "conv32_down", 2, 0), 0)
    x = sliding_window_view(x, (3, 3), (0, 1))[::2, ::2].max((3, 4))
    for name in BLOCKS:
        halve = "down" in name
        out = np.maximum(conv(x, f"{name}/conv1", *((2, 0) if halve else (1, 1))), 0)
        out = conv(out, f"{name}/conv2", 1, 1)
        if halve:
            x = sliding_window_view(x, (2, 2), (0, 1))[::2, ::2].mean((3, 4))
        both = np.zeros((*np.maximum(x.shape[:2], out.shape[:2]), out.shape[2]))
        both[:x.shape[0], :x.shape[1], :x.shape[2]] += x
        both[:out.shape[0], :out.shape[1]] += out
        x = np.maximum(both, 0)
    return x.mean((0, 1)) @ arrays["fc"]


def points_at(A, t):
    """468 points of a face that lies at A @ chip pixel + t."""
    chip = (0.25 + MEAN_FACE) / 1.5 * CHIP
    points = np.zeros((468, 3), np.float32)
    points[list(POINTS), :2] = chip @ np.asarray(A).T + t + 0.5
    return points


def picture(rng, size=150):
    """Patches of color, each with its own mean."""
    small = rng.integers(0, 256, (9, 9, 3), np.uint8) // 2 + rng.integers(0, 128, 3, np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def test_embeddings_are_those_of_the_layers_in_plain_numpy(tmp_path):
    arrays = write_recognizer(tmp_path)
    read = read_weights(tmp_path)
    assert set(read) == set(arrays)
    for name, a in arrays.items():
        assert np.abs(read[name] - a).max() < 1e-6, name
    rng, net = np.random.default_rng(1), IdentityNet(tmp_path)
    chips = np.stack([picture(rng) for _ in range(2)])
    got = net.embed_chips(chips)
    assert got.shape == (2, 128) and got.dtype == np.float32
    wanted = np.stack([plain_forward(arrays, c) for c in chips])
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3  # they tell the pictures apart
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert identity_distance(*got) == pytest.approx(np.linalg.norm(wanted[0] - wanted[1]), rel=1e-4)
    again = pickle.loads(pickle.dumps(net)).embed(chips[0], points_at(np.eye(2), 0))
    assert np.array_equal(again, IdentityNet(tmp_path).embed_chips(chips[:1])[0])


def test_a_face_at_the_templates_place_is_left_as_it_is():
    image = picture(np.random.default_rng(2))
    for given in (points_at(np.eye(2), 0), types.SimpleNamespace(points=points_at(np.eye(2), 0))):
        assert np.abs(align_chip(image, given).astype(int) - image).max() <= 1


def test_a_face_is_turned_and_scaled_to_the_template():
    chip = picture(np.random.default_rng(3))
    for degrees, scale, t in ((180, 1.0, (500, 480)), (-70, 1.6, (500, 480)), (20, 4.0, (350, 50))):
        c, s = np.cos(np.radians(degrees)) * scale, np.sin(np.radians(degrees)) * scale
        A, t = np.array([[c, -s], [s, c]]), np.array(t, float)
        image = cv2.warpAffine(chip, np.column_stack([A, t]), (1100, 900), flags=cv2.INTER_CUBIC)
        got = align_chip(image, points_at(A, t))
        error = np.abs(got[4:-4, 4:-4].astype(int) - chip[4:-4, 4:-4]).mean()
        assert error < 2.5, degrees
        wrong = align_chip(image, points_at(A, t + 3 * scale))
        assert np.abs(wrong[4:-4, 4:-4].astype(int) - chip[4:-4, 4:-4]).mean() > 2 * error


def test_a_large_face_is_averaged_not_sampled():
    """Noise of single pixels in a face of four chips' size: a recognizer should not see it."""
    noise = np.random.default_rng(6).integers(0, 256, (600, 600, 3)).astype(np.uint8)
    large = align_chip(noise, points_at(4 * np.eye(2), 0))
    alike = align_chip(noise, points_at(np.eye(2), 200))
    assert large.std() < 0.3 * alike.std() and abs(large.mean() - noise.mean()) < 3


def test_alpha_lies_over_gray_and_what_is_hidden_does_not_count():
    rng = np.random.default_rng(4)
    image = np.dstack([picture(rng), np.full((150, 150), 255, np.uint8)])
    image[90:, :, 3] = 0
    other = image.copy()
    other[90:, :, :3] = 7
    chips = [align_chip(i, points_at(np.eye(2), 0)) for i in (image, other)]
    assert np.array_equal(*chips) and (chips[0][95:] == 128).all()


@pytest.mark.parametrize("image, points, words", [
    (np.zeros((9, 9, 3)), points_at(np.eye(2), 0), "RGB or RGBA"),
    (np.zeros((9, 9), np.uint8), points_at(np.eye(2), 0), "RGB or RGBA"),
    (np.zeros((9, 9, 3), np.uint8), np.zeros((68, 2)), "468 points"),
    (np.zeros((9, 9, 3), np.uint8), np.full((468, 3), np.nan), "468 points"),
    (np.zeros((9, 9, 3), np.uint8), np.ones((468, 3)), "do not span")])
def test_what_is_no_face_is_refused(image, points, words):
    with pytest.raises(IdfError, match=words):
        align_chip(image, points)


def cut(folder, entries):
    data = folder / IDENTITY.pins[0].file
    data.write_bytes(data.read_bytes()[:-1])


def longer(folder, entries):
    data = folder / IDENTITY.pins[0].file
    data.write_bytes(data.read_bytes() + b"x")


def no_json(folder, entries):
    (folder / IDENTITY.pins[1].file).write_text("{")


def gone(folder, entries):
    (folder / IDENTITY.pins[0].file).unlink()


def another_network(folder, entries):
    next(e for e in entries if e["name"] == "conv64_2/conv1/conv/bias")["name"] = "bias"


def unknown_kind(folder, entries):
    entries[0]["quantization"]["dtype"] = "uint3"


def negative(folder, entries):
    entries[0]["shape"] = [-1]


@pytest.mark.parametrize("harm", [cut, longer, no_json, gone, another_network, unknown_kind,
                                  negative])
def test_damaged_files(tmp_path, harm):
    write_recognizer(tmp_path)
    manifest = tmp_path / IDENTITY.pins[1].file
    groups = json.loads(manifest.read_text())
    harm(tmp_path, groups[0]["weights"])
    if harm in (another_network, unknown_kind, negative):
        manifest.write_text(json.dumps(groups))
    with pytest.raises(IdfError, match="not this recognizer") as error:
        IdentityNet(tmp_path).open()
    assert "idf download identity" in error.value.do


def test_without_the_weights_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    monkeypatch.delenv("IDF_IDENTITY", raising=False)
    with pytest.raises(IdfError, match="'identity' are needed") as error:
        IdentityNet().open()
    assert "idf download identity" in error.value.do and "CC0" in error.value.do
    write_recognizer(tmp_path / "identity")
    with pytest.raises(IdfError, match="'identity' are needed") as error:
        IdentityNet().open()  # another hash is never used
    assert "face_recognition_model.bin has" in error.value.found
    assert not download.is_present(IDENTITY)
