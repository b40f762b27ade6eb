"""Pictures as phones, cameras and the web have them: colors right, and what is not used is said."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from idf_helpers import IdfError
from idf_helpers.data import media
from idf_helpers.data.animations import (
    animation_info,
    is_animation,
    read_animation,
    write_animation,
    write_lossless,
)
from idf_helpers.data.coded_color import to_srgb
from idf_helpers.data.footage import Source
from idf_helpers.data.kinds import kind_of
from idf_helpers.data.picture_file import picture_notes
from idf_helpers.making.probe import spread
from idf_helpers.making.target import open_target
from tests.fixtures.heic import write_heic
from tests.fixtures.icc import ADOBE, P3, SRGB, icc_profile
from tests.fixtures.reporting import Notes

RNG = np.random.default_rng(3)
SOFT = RNG.integers(90, 170, (12, 16, 3), np.uint8)
GRAY = np.linspace(0, 255, 192).reshape(12, 16).astype(np.uint8)


def srgb_of(picture, primaries, gamma):
    linear = np.clip((picture / 255.0) ** gamma @ primaries @ np.linalg.inv(SRGB), 0, 1)
    return 255 * np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def gray_profile(gamma: float) -> bytes:
    return icc_profile(None, gamma, b"Gray Gamma")


def test_a_gray_profile(tmp_path):
    for mode in ("L", "LA"):
        image = Image.fromarray(GRAY).convert(mode)
        image.save(tmp_path / "a.png", icc_profile=gray_profile(1.8))
        out = media.read_image(tmp_path / "a.png")
        linear = (GRAY / 255.0) ** 1.8
        meant = 255 * np.where(linear < 0.0031308, 12.92 * linear,
                               1.055 * linear ** (1 / 2.4) - 0.055)
        assert out.shape[2] == len(mode) + 2
        assert np.abs(out[..., 1] - meant).max() < 3 and np.ptp(out[..., :3], axis=2).max() <= 1


def test_lab_of_a_tiff(tmp_path):
    lab = ImageCms.profileToProfile(Image.fromarray(SOFT), ImageCms.createProfile("sRGB"),
                                    ImageCms.createProfile("LAB"), outputMode="LAB")
    lab.save(tmp_path / "a.tif")
    assert np.abs(media.read_image(tmp_path / "a.tif").astype(int) - SOFT).max() <= 4


def test_cmyk(tmp_path):
    Image.fromarray(SOFT).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert "cmyk" in picture_notes(tmp_path / "a.jpg")
    assert np.abs(media.read_image(tmp_path / "a.jpg").astype(int) - SOFT).mean() < 12
    # a profile of another space than the picture's changes nothing
    Image.fromarray(SOFT).convert("CMYK").save(tmp_path / "b.jpg", quality=98,
                                               icc_profile=icc_profile(P3, 2.2, b"Display P3"))
    assert np.array_equal(media.read_image(tmp_path / "b.jpg"),
                          media.read_image(tmp_path / "a.jpg"))


def test_adobe_rgb_by_exif_alone(tmp_path):
    def directory(*entries):
        return struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)

    def entry(tag, kind, count, value):
        return struct.pack("<HHI", tag, kind, count) + value

    # IFD0 at 8, Exif at 26, interoperability at 56: 2 + 12 an entry + 4 bytes each
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) \
        + directory(entry(0x8769, 4, 1, struct.pack("<I", 26))) \
        + directory(entry(0xA001, 3, 1, struct.pack("<HH", 0xFFFF, 0)),
                    entry(0xA005, 4, 1, struct.pack("<I", 56))) \
        + directory(entry(1, 2, 4, b"R03\0"))
    Image.fromarray(SOFT).save(tmp_path / "a.jpg", quality=100, subsampling=0, exif=exif)
    stored = np.asarray(Image.open(tmp_path / "a.jpg"))
    meant = srgb_of(stored, ADOBE, 563 / 256)
    assert np.abs(media.read_image(tmp_path / "a.jpg") - meant).max() < 2
    assert "Adobe RGB" in picture_notes(tmp_path / "a.jpg")["profile"]


def test_a_palette_with_a_profile(tmp_path):
    image = Image.fromarray(SOFT).quantize(16)
    image.save(tmp_path / "a.png", icc_profile=icc_profile(P3, 2.2, b"Display P3"))
    meant = srgb_of(np.asarray(image.convert("RGB")), P3, 2.2)
    assert np.abs(media.read_image(tmp_path / "a.png") - meant).max() < 2
    assert "Display P3" in picture_notes(tmp_path / "a.png")["profile"]


def with_cicp(rgb, primaries, transfer) -> bytes:
    """A PNG whose chunk cICP tells its colors."""
    data = media.encode_image(rgb)
    body = b"cICP" + bytes([primaries, transfer, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def test_colors_told_by_code_points():
    assert np.abs(media.read_image(with_cicp(SOFT, 12, 13)) - srgb_like(SOFT)).max() < 2
    assert np.array_equal(media.read_image(with_cicp(SOFT, 1, 13)), SOFT)
    # PQ: what is darker than two thirds of 203 nits is as bright as it is, the rest below white
    nits = np.array([0.5, 5, 30, 100, 203, 1000, 9000])
    y = (nits / 10000) ** 0.1593017578125
    signal = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    gray = np.repeat(np.round(255 * signal).astype(np.uint8)[None, :, None], 3, 2)
    data = with_cicp(np.repeat(gray, 4, 0), 9, 16)
    seen = media.read_image(data)[0].astype(float)
    assert np.ptp(seen, axis=1).max() <= 1
    np.testing.assert_allclose(seen[:4, 0], 255 * (nits[:4] / 203) ** (1 / 2.4), atol=6)
    assert (np.diff(seen[:, 0]) > 0).all() and 205 < seen[4, 0] < seen[6, 0] <= 255
    assert "PQ" in picture_notes(data)["profile"]
    # HLG: half the signal is 1/12 of the light, by BT.2100 50.4 nits of 1000
    half = media.read_image(with_cicp(np.full((4, 4, 3), 128, np.uint8), 9, 18))
    assert abs(int(half[0, 0, 1]) - 255 * (50.6 / 203) ** (1 / 2.4)) < 4


def test_a_large_picture_is_converted_by_rows():
    wide = np.repeat(SOFT[:1], 3, 0).repeat(2**15 * 3, 1)  # more than one row is a block
    assert wide.shape[1] > 2**20 and len(np.unique(to_srgb(wide, (12, 13))[:, 5000], axis=0)) == 1


def srgb_like(picture):
    """Display P3, which has sRGB's curve, in sRGB."""
    v = picture / 255.0
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ P3 @ np.linalg.inv(SRGB), 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear,
                          1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_an_avif_of_another_space(tmp_path):
    Image.fromarray(SOFT).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    data = bytearray((tmp_path / "a.avif").read_bytes())
    at = data.find(b"colrnclx")
    assert at > 0
    data[at + 8:at + 12] = struct.pack(">HH", 12, 13)
    assert np.abs(media.read_image(bytes(data)) - srgb_like(SOFT)).max() < 6


@pytest.mark.parametrize("tag, value", [(50706, b"\1\4\0\0"), (254, 1)])
def test_a_raw_file_of_a_camera_is_no_thumbnail(tmp_path, tag, value):
    Image.fromarray(SOFT).save(tmp_path / "a.dng", "TIFF", tiffinfo={tag: value})
    with pytest.raises(IdfError, match="raw file"):
        media.read_image(tmp_path / "a.dng")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_picture_goes_back_into_its_own_colors(tmp_path, suffix):
    """What was not changed is as it was to the bit, colors beyond sRGB too."""
    stored = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    profile = icc_profile(P3, 2.2, b"Display P3")
    Image.fromarray(stored).save(tmp_path / "a.png", icc_profile=profile)
    seen, colors = media.read_stored(tmp_path / "a.png")
    assert colors.name == "Display P3"
    changed = seen.copy()
    changed[:4] = (120, 110, 100)
    back = colors.back(changed)
    assert np.array_equal(back[4:], stored[4:])
    data = media.encode_image(back, suffix, profile=colors.profile, quality=100)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == profile
    if suffix == ".png":
        assert np.abs(media.read_image(data)[:4].astype(int) - (120, 110, 100)).max() <= 2
    assert media.read_stored(media.encode_image(SOFT))[1] is None


def test_what_is_not_used_is_said(tmp_path):
    def notes(name):
        return picture_notes(tmp_path / name)

    plain = Image.fromarray(SOFT)
    plain.save(tmp_path / "plain.png")
    assert notes("plain.png") == {}
    plain.save(tmp_path / "two.tif", save_all=True, append_images=[plain])
    gray = Image.fromarray(GRAY).convert("RGB")
    gray.save(tmp_path / "two.mpo", save_all=True, append_images=[gray])
    assert all("2 pictures" in notes(n)["count"] for n in ("two.tif", "two.mpo"))
    assert np.abs(media.read_image(tmp_path / "two.mpo")[..., 0].astype(int) - GRAY).mean() < 3
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), (SOFT.astype(np.uint16) * 257)[..., ::-1])
    assert "16 bits" in notes("deep.png")["depth"]
    assert np.array_equal(media.read_image(tmp_path / "deep.png"), SOFT)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a hdrgm:Version="1.0"/></x:xmpmeta>'
    plain.save(tmp_path / "ultra.jpg", xmp=xmp)
    assert "gain map" in notes("ultra.jpg")["gain"]


def test_heic_is_read_or_one_line_says_how(tmp_path, monkeypatch):
    stub = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(40)
    assert kind_of(stub) == "picture"
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    with pytest.raises(IdfError) as caught:
        media.read_image(stub)
    assert "pip install pi-heif" in caught.value.do and "Most Compatible" in caught.value.do
    assert "\n" not in caught.value.do


@pytest.mark.parametrize("turns", [0, 1])
def test_heic_with_its_reader(tmp_path, turns):
    pytest.importorskip("pi_heif", reason="the extra heic is not installed")
    picture = np.repeat(np.repeat(RNG.integers(60, 190, (6, 8, 3), np.uint8), 16, 0), 16, 1)
    write_heic(tmp_path / "a.heic", picture, turns, icc_profile(P3, 2.2, b"Display P3"))
    assert media.is_image(tmp_path / "a.heic")
    meant = np.rot90(srgb_of(picture, P3, 2.2), turns)
    out = media.read_image(tmp_path / "a.heic")
    assert out.shape == meant.shape and media.image_size(tmp_path / "a.heic") == out.shape[1::-1]
    assert np.median(np.abs(out - meant)) < 4
    assert "Display P3" in picture_notes(tmp_path / "a.heic")["profile"]
    data = (tmp_path / "a.heic").read_bytes()
    for cut in (300, len(data) - 40):
        with pytest.raises(IdfError):
            media.read_image(data[:cut])


def test_avif(tmp_path, monkeypatch):
    if features.check("avif"):
        Image.fromarray(GRAY).convert("RGB").save(tmp_path / "a.avif", quality=95)
        assert np.abs(media.read_image(tmp_path / "a.avif")[..., 0].astype(int) - GRAY).mean() < 3
        assert media.is_image(tmp_path / "a.avif")
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(IdfError, match="AVIF"):
        media.read_image(b"\0\0\0\x1cftypavif\0\0\0\0mif1avif" + bytes(40))


def test_a_video_is_no_picture(tmp_path):
    with pytest.raises(IdfError, match="not a picture"):
        media.read_image(b"\0\0\0\x1cftypisom\0\0\0\0isomavc1" + bytes(40))


# ------------------------------------------------------------------------------------- animations

def moving(count=4, alpha=False, size=(32, 24)):
    """Frames of a bar that moves over two colors; the lower half is clear with alpha."""
    w, h = size
    out = np.zeros((count, h, w, 4), np.uint8)
    out[..., :3], out[..., 3] = (180, 60, 40), 255
    for k, frame in enumerate(out):
        frame[:, 6 * k:6 * k + 6, :3] = (20, 200, 90)
    if alpha:
        out[:, h // 2:, :, 3] = 0
    return out


KINDS = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp"}
TIMES = (40, 120, 200, 80)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [False, True])
def test_animations_there_and_back(tmp_path, kind, alpha):
    path, frames = tmp_path / f"a{KINDS[kind]}", moving(alpha=alpha)
    write_animation(path, iter(frames), TIMES, kind)
    assert is_animation(path) and kind_of(path) == "animation"
    assert animation_info(path) == (kind, 32, 24, TIMES)
    got = np.stack(list(read_animation(path)))
    assert np.array_equal(got[..., 3], frames[..., 3])
    seen = frames[..., 3] > 0
    assert np.abs(got[seen].astype(int) - frames[seen]).max() <= (2 if kind == "GIF" else 0)
    assert Image.open(path).info.get("loop", 0) == 0
    # as footage and as a picture
    clip = Source(path)
    assert clip.count() == 4 and abs(clip.fps - 4000 / sum(TIMES)) < 0.1
    over = [f for _, f in clip.frames()]
    assert len(over) == 4 and over[0].shape == (24, 32, 3)
    assert media.read_image(path).shape[:2] == (24, 32)
    assert open_target(path, Notes()).form == "footage"
    looks = list(spread(clip, 2))
    assert [n for _, n, _ in looks] == [0.0, 2 / clip.fps] and looks[1][2].shape == (24, 32, 3)
    assert np.array_equal(looks[1][2], over[2])
    assert "4 pictures" in picture_notes(path)["count"]


def test_a_gif_of_one_picture_is_a_picture(tmp_path):
    Image.fromarray(SOFT).save(tmp_path / "a.gif")
    assert not is_animation(tmp_path / "a.gif") and media.is_image(tmp_path / "a.gif")
    assert picture_notes(tmp_path / "a.gif") == {}


def test_times_that_browsers_do_not_believe(tmp_path):
    frames = moving(3)
    write_animation(tmp_path / "a.gif", iter(frames), (10, 10, 50), "GIF")
    assert animation_info(tmp_path / "a.gif")[3] == (100, 100, 50)


def test_an_apng_whose_first_picture_is_for_others(tmp_path):
    pictures = [Image.fromarray(f[..., :3]) for f in moving(3)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:],
                     default_image=True, duration=[50, 70])
    assert animation_info(tmp_path / "a.png")[3] == (50, 70)
    assert len(list(read_animation(tmp_path / "a.png"))) == 2


def test_frames_kept_as_they_are(tmp_path):
    frames = RNG.integers(0, 256, (3, 13, 17, 3), np.uint8)  # odd sizes
    write_lossless(tmp_path / "a.mkv", iter(frames), 10)
    assert np.array_equal(np.stack(list(media.read_video(tmp_path / "a.mkv"))), frames)
    with pytest.raises(IdfError, match="could not be kept"):
        write_lossless(tmp_path / "b.mkv", iter(()), 10)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10**6), st.integers(0, 255),
       st.integers(1, 9))
def test_damaged_animations_give_frames_or_one_error(tmp_path_factory, kind, at, value, cut):
    path = tmp_path_factory.mktemp("a") / f"a{KINDS[kind]}"
    write_animation(path, iter(moving(3)), (50,) * 3, kind)
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data[:len(data) * cut // 9])
    with contextlib.suppress(IdfError):
        if is_animation(path):
            for frame in read_animation(path):
                assert frame.shape[2] == 4
    with contextlib.suppress(IdfError):
        media.read_image(path)
