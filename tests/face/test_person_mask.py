"""The person in a picture: sharpened edges, plain backdrops, colors without the room's."""

import pickle

import cv2
import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import person_mask
from idf_helpers.face.person_mask import (
    PersonMask,
    cut_out,
    guided,
    held,
    plain_backdrop,
    refined,
)

SIZE = 240


def scene(seed=0, strands=40, room=(170, 190, 205)):
    """A dark head with thin strands before a wall; returns picture and true alpha."""
    rng = np.random.default_rng(seed)
    big = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    middle = np.array([2 * SIZE, 2.2 * SIZE])
    cv2.ellipse(big, tuple(middle.astype(int)), (2 * SIZE // 3, SIZE), 0, 0, 360, 255, -1)
    for a in rng.uniform(np.pi, 2 * np.pi, strands):
        start = middle + np.array([np.cos(a) * 2 * SIZE / 3, np.sin(a) * SIZE])
        end = start + 0.09 * SIZE * np.array([np.cos(a + 0.3), np.sin(a + 0.3)])
        cv2.line(big, tuple(start.astype(int)), tuple(end.astype(int)), 255, 5)
    alpha = cv2.resize(big, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    person = np.array([60, 40, 30]) + rng.normal(0, 4, (SIZE, SIZE, 3))
    wall = np.array(room) + rng.normal(0, 4, (SIZE, SIZE, 3))
    rgb = alpha[..., None] * person + (1 - alpha[..., None]) * wall
    return np.clip(rgb, 0, 255).astype(np.uint8), alpha


def blurred(alpha):
    """What a network at a quarter of the size says of it."""
    small = cv2.resize(alpha, (SIZE // 8, SIZE // 8), interpolation=cv2.INTER_AREA)
    return np.clip(cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), 0, 1)


def test_edges_and_strands_are_sharpened():
    rgb, alpha = scene()
    rough = blurred(alpha)
    sharp = refined(rgb, rough)
    assert np.abs(sharp - alpha).mean() < 0.35 * np.abs(rough - alpha).mean()
    strands = (alpha > 0.6) & (rough > 0.1) & (rough < 0.5)
    assert strands.sum() > 30 and sharp[strands].mean() > rough[strands].mean() + 0.25
    assert sharp[alpha == 0].mean() < 0.01


def test_what_only_looks_like_the_person_stays_out():
    rgb, alpha = scene(strands=0)
    rough = blurred(alpha)
    rgb[20:60, 20:60] = (60, 40, 30)  # a dark thing on the wall
    sharp = refined(rgb, rough)
    assert sharp[20:60, 20:60].max() == 0


def test_a_backdrop_of_one_color_is_taken_out_exactly():
    rgb, alpha = scene(strands=0)
    rgb[alpha < 0.5] = 0
    rough = np.maximum(blurred(alpha), 0.95 * (np.arange(SIZE)[:, None] > 0.8 * SIZE))  # a guess
    sharp = refined(rgb, rough.astype(np.float32))
    assert plain_backdrop(rgb, 3) is not None
    inside = cv2.erode((alpha > 0.99).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert sharp[alpha < 0.01].max() == 0 and sharp[inside].min() > 0.9
    assert plain_backdrop(scene()[0], 3) is None


def test_cut_out_takes_the_room_out_of_colors():
    rgb, alpha = scene(room=(40, 200, 60))
    out = cut_out(rgb, alpha)
    edge = (alpha > 0.3) & (alpha < 0.8)
    green = rgb[edge][:, 1].astype(float).mean() - 40
    assert out.shape == (SIZE, SIZE, 4) and green > 40
    assert abs(out[edge][:, 1].astype(float).mean() - 40) < 0.2 * green
    assert (out[alpha == 0] == 0).all()
    np.testing.assert_array_equal(out[alpha == 1][:, :3], rgb[alpha == 1])


def test_nobody_gives_an_empty_mask():
    rgb, _ = scene()
    assert not refined(rgb, np.zeros((SIZE, SIZE), np.float32)).any()


def test_of_two_people_the_one_that_is_meant_is_kept():
    rgb, _ = scene(strands=0)
    rough = np.zeros((SIZE, SIZE), np.float32)
    rough[60:200, 20:110] = rough[80:180, 150:210] = 1
    both = refined(rgb, rough), refined(rgb, rough, (180, 130)), refined(rgb, rough, (999, 5))
    for alpha, left in zip(both, (True, False, True), strict=True):
        assert (alpha[130, 60] == 1) == left and (alpha[130, 180] == 1) != left


def test_an_unsure_frame_goes_by_the_one_before():
    before = np.ones((4, 4), np.float32)
    unsure, sure = np.full((4, 4), 0.5, np.float32), np.zeros((4, 4), np.float32)
    assert held(unsure, before).min() > 0.9
    assert held(sure, before).max() == 0


def test_the_guided_filter_keeps_an_edge_and_takes_noise():
    edge = (np.arange(64)[None] > 32) * np.ones((64, 1))
    noisy = edge + np.random.default_rng(0).normal(0, 0.1, edge.shape)
    out = guided(edge, noisy, 6, 1e-4)
    assert np.abs(out - edge).mean() < 0.03 and out[:, 31].mean() < 0.1 < 0.9 < out[:, 34].mean()


def test_the_network_sees_a_person(photos):
    """Needs the model: `idf download person_mask` (run.py does it during set-up)."""
    mask = PersonMask()
    photo = photos["B"]
    alpha = mask.alpha(photo)
    assert alpha.shape == photo.shape[:2] and alpha.dtype == np.float32
    h, w = alpha.shape
    assert alpha[h // 3:h // 2, w // 2 - 30:w // 2 + 30].min() > 0.95  # the face
    assert alpha[:20, :20].max() < 0.05
    small = np.full((3 * h, 3 * w, 3), photo[2, 2], np.uint8)
    small[h:2 * h, w:2 * w] = photo
    inside = mask.rough(small)[h:2 * h, w:2 * w]
    assert np.abs(inside - mask.rough(photo)).mean() < 0.1
    assert pickle.loads(pickle.dumps(mask)).alpha(photo).tobytes() == alpha.tobytes()


def test_a_missing_model_names_the_command(tmp_path, monkeypatch):
    monkeypatch.delenv("IDF_PERSON_MASK", raising=False)
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    with pytest.raises(IdfError, match="idf download person_mask"):
        PersonMask().rough(np.zeros((64, 64, 3), np.uint8))


def test_a_file_that_is_no_network_is_told(tmp_path):
    (tmp_path / person_mask.PERSON_MASK.pins[0].file).write_bytes(b"no network")
    with pytest.raises(IdfError):
        PersonMask(tmp_path).rough(np.zeros((64, 64, 3), np.uint8))
