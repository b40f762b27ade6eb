"""The imperceptible watermark of pictures: seen by the detector, not by the eye."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from idf_helpers.data import media, samples
from idf_helpers.errors import IdfError
from idf_helpers.metrics import psnr, ssim
from idf_helpers.provenance.watermark import detect, detect_frames, embed, payload_of, payload_text
from idf_helpers.provenance.watermark.payload import decode, encode

PAYLOAD = payload_of("run-1", "ab" * 32)


@pytest.fixture(scope="module")
def picture():
    """A rendered head on white, 512 x 512."""
    path = samples.path("head_multiview") / "test" / "r_0.png"
    return media.to_uint8(media.over(media.read_image(path)))


@pytest.fixture(scope="module")
def marked(picture):
    return embed(picture, PAYLOAD)


def _jpeg(rgb, quality):
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def test_it_is_not_seen(picture, marked):
    assert psnr(picture / 255, marked / 255) >= 42
    assert ssim(picture / 255, marked / 255) >= 0.99
    white = (picture == 255).all(2)
    far = cv2.erode(white.astype(np.uint8), np.ones((15, 15))) > 0
    assert far.mean() > 0.2
    assert np.array_equal(picture[far], marked[far])  # the flat background is left alone
    assert not np.array_equal(picture, marked)


@pytest.mark.parametrize("attack", [
    lambda x: x,
    lambda x: _jpeg(x, 50),
    lambda x: cv2.resize(x, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    lambda x: x[37:37 + 461, 11:11 + 461],
    lambda x: _jpeg(cv2.resize(x, None, fx=0.77, fy=0.77, interpolation=cv2.INTER_AREA), 85),
], ids=["none", "jpeg", "half", "crop", "screenshot"])
def test_it_survives(marked, attack):
    found = detect(np.ascontiguousarray(attack(marked)))
    assert found is not None and found.payload == PAYLOAD
    assert found.probability < 1e-6


def test_the_scale_is_told(marked):
    found = detect(cv2.resize(marked, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA))
    assert found is not None and found.scale == pytest.approx(0.7, rel=0.02)


def test_a_large_picture(picture):
    large = cv2.resize(picture, (1500, 1500), interpolation=cv2.INTER_CUBIC)
    marked = embed(large, 7)
    assert psnr(large / 255, marked / 255) >= 42
    small = cv2.resize(marked, (600, 600), interpolation=cv2.INTER_AREA)
    assert [getattr(detect(x), "payload", None) for x in (marked, small)] == [7, 7]


def test_frames_say_it_together(picture, marked):
    noise = np.random.default_rng(0)
    frames = [np.clip(marked + noise.normal(0, 10, marked.shape), 0, 255).astype(np.uint8)
              for _ in range(6)]
    alone, together = detect(frames[0]), detect_frames(frames)
    assert together is not None and together.payload == PAYLOAD
    assert alone is None or together.probability < alone.probability


def test_nothing_is_found_in_what_is_not_marked(picture):
    assert detect(picture) is None
    assert detect(np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)) is None


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(st.sampled_from([np.uint8, np.float32, np.int64, bool]),
                     arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=80)))
def test_the_detector_never_raises(picture):
    detect(picture)


def test_hard_edges_beside_flat_areas_leave_no_hole():
    """Sums that run over a picture lose digits behind a bright edge."""
    rng = np.random.default_rng(0)
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[:, :40] = rng.integers(0, 2, (300, 40, 1)) * 255
    picture[100:200, 60:260] = 251
    out = embed(picture, PAYLOAD)
    assert np.abs(out.astype(int) - picture).max() < 40
    assert np.array_equal(out[:, 280:], picture[:, 280:])


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 150), st.integers(1, 150), st.just(3)),
                     elements=st.integers(0, 255)), st.integers(0, 2**32 - 1))
def test_every_picture_can_be_marked(picture, payload):
    out = embed(picture, payload)
    assert out.shape == picture.shape and out.dtype == np.uint8
    assert psnr(picture / 255, out / 255) >= 42


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_code_corrects_errors(payload, seed):
    word = encode(payload)
    assert decode(word) == payload
    damaged = word.copy()
    damaged[np.random.default_rng(seed).choice(len(word), 6, replace=False)] *= -1
    assert decode(damaged) == payload


@pytest.mark.parametrize("rgb", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32),
                                 np.zeros((64, 64, 4), np.uint8), None])
def test_what_is_not_an_rgb_picture_is_refused(rgb):
    with pytest.raises(IdfError, match="8 bits"):
        embed(rgb, 1)


@pytest.mark.parametrize("payload", [-1, 2**32])
def test_other_payloads_are_refused(payload):
    with pytest.raises(IdfError, match="32 bits"):
        embed(np.zeros((64, 64, 3), np.uint8), payload)


def test_the_payload_follows_run_and_consent():
    several = {payload_of(r, c) for r in ("a", "b") for c in ("", "x", "y")}
    assert len(several) == 6
    assert payload_of("a", "x") == payload_of("a", "x")
    assert payload_text(0x1F) == "0000001f"
