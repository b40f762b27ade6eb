import contextlib
import io
import os
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.data import media
from idf_helpers.data.ffmpeg import ffmpeg_executable
from tests.fixtures.icc import P3, SRGB, icc_profile

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (12, 16, 3), np.uint8)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_png_round_trip_keeps_color_under_transparent_pixels(tmp_path):
    rgba = RNG.integers(0, 256, (9, 7, 4), np.uint8)
    media.write_image(tmp_path / "a.png", rgba)
    assert (media.read_image(tmp_path / "a.png") == rgba).all()


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate 90° clockwise to show
    path = saved(tmp_path / "a.png", Image.fromarray(PICTURE), exif=exif)
    assert (media.read_image(path) == np.rot90(PICTURE, -1)).all()
    assert media.image_size(path) == (12, 16)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "I;16", "F"])
def test_other_modes_are_converted(tmp_path, mode):
    image = Image.fromarray(PICTURE)
    if mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 192).reshape(12, 16).astype(np.uint16))
    elif mode == "F":
        image = image.convert("F")
    else:
        image = image.convert(mode)
    suffix = {"CMYK": ".jpg", "F": ".tif"}.get(mode, ".png")
    out = media.read_image(saved(tmp_path / f"a{suffix}", image))
    assert out.dtype == np.uint8 and out.shape == (12, 16, 4 if mode == "LA" else 3)
    if mode == "I;16":  # the whole range, not its low byte
        assert out[0, 0, 0] == 0 and out[-1, -1, 0] == 255 and (np.diff(out[6, :, 0]) >= 0).all()
    if mode == "CMYK":
        assert np.abs(out.astype(int) - PICTURE).mean() < 40


def bomb(width, height):
    """A valid PNG header for a huge picture, nothing behind it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def jpeg():
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (200, 200, 3), np.uint8)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("name, data, words", [
    ("text.png", b"hello", "not an image"), ("empty.png", b"", "empty"),
    ("bomb.png", bomb(30000, 30000), "too large"), ("bomb2.png", bomb(9000, 9000), "too large"),
    ("cut.jpg", jpeg()[:6000], "truncated"), ("cut.png", bomb(10, 10), "truncated"),
])
def test_bad_pictures(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(IdfError, match=words):
        media.read_image(tmp_path / name)
    with pytest.raises(IdfError, match=words):  # the same from an upload
        media.read_image(data)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(IdfError, match="does not exist"):
        media.read_image(tmp_path / "none.png")
    with pytest.raises(IdfError, match="is a folder"):
        media.read_image(tmp_path)


def test_resizing_does_not_bleed_the_color_of_transparent_pixels():
    image = np.zeros((8, 8, 4), np.uint8)
    image[:, :4] = (200, 100, 50, 255)
    image[:, 4:, :3] = (0, 255, 0)  # green, fully transparent
    small = media.resize_area(image, 3, 3)
    inside = small[..., 3] > 0
    assert np.abs(small[inside][:, :3].astype(int) - (200, 100, 50)).max() <= 1


def test_video_round_trip_pads_odd_sizes_and_keeps_the_comment(tmp_path):
    frames = [np.full((31, 33, 3), 20 * k, np.uint8) for k in range(7)]
    with media.video_writer(tmp_path / "a.mp4", 12, comment="made by a test") as video:
        for frame in frames:
            video.append(frame)
    info = media.video_info(tmp_path / "a.mp4")
    assert (info.width, info.height, info.fps, info.comment) == (34, 32, 12, "made by a test")
    got = list(media.read_video(tmp_path / "a.mp4"))
    assert len(got) == 7
    for a, b in zip(frames, got, strict=True):
        assert np.abs(b[:31, :33].astype(int) - a).max() <= 3


def test_video_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(IdfError, match="differ in size"), \
            media.video_writer(tmp_path / "a.mp4") as video:
        video.append(np.zeros((8, 8, 3), np.uint8))
        video.append(np.zeros((9, 8, 3), np.uint8))
    with pytest.raises(IdfError, match="at least one"), media.video_writer(tmp_path / "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IdfError, match="does not exist"):
        media.video_info(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(IdfError, match="no video"):
        media.video_info(tmp_path / "b.mp4")


def test_video_filmed_upright_is_read_upright(tmp_path):
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :8] = (250, 250, 250)  # a bar at the left
    with media.video_writer(tmp_path / "a.mp4", 10) as video:
        video.append(frame)
    subprocess.run([ffmpeg_executable(), "-loglevel", "error", "-display_rotation", "90",
                    "-i", str(tmp_path / "a.mp4"), "-c", "copy", str(tmp_path / "b.mp4")],
                   check=True)
    info = media.video_info(tmp_path / "b.mp4")
    assert (info.width, info.height) == (32, 48)
    read, = media.read_video(tmp_path / "b.mp4")
    assert read.shape == (48, 32, 3)
    bright = read.mean(axis=(1, 2))  # the bar lies along the top or the bottom, a straight row
    assert max(bright[:6].min(), bright[-6:].min()) > 200 and bright[12:-12].max() < 30


def test_only_formats_that_are_looked_at_are_opened(tmp_path):
    """Pillow would hand an EPS file to Ghostscript."""
    Image.fromarray(PICTURE).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    for read in (media.read_image, media.image_size):
        with pytest.raises(IdfError, match="not an image"):
            read(tmp_path / "a.png")


def test_a_large_picture_is_refused_without_a_warning(tmp_path, recwarn):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "a.png")
    for read in (media.read_image, media.image_size):
        with pytest.raises(IdfError, match="100 megapixels"):
            read(tmp_path / "a.png")
    assert not recwarn.list


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", b"GIF89a"])
def test_padding_is_not_gone_through_byte_by_byte(tmp_path, head):
    path = tmp_path / "a.jpg"
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(3_000_000)
    for source in (path, path.read_bytes()):
        with pytest.raises(IdfError, match="damaged") as error:
            media.read_image(source)
        assert "padding" in error.value.found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(IdfError, match="pipe"):
        media.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".bmp", ".webp"])
def test_flipped_bytes_give_a_picture_or_one_clear_error(tmp_path, suffix):
    rng = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if suffix in (".png", ".jpg", ".tif", ".webp") else {}
    whole = saved(tmp_path / f"a{suffix}", Image.fromarray(PICTURE), **options).read_bytes()
    for _ in range(120):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, len(data), rng.integers(1, 6))] = rng.integers(0, 256)
        for read in (media.read_image, media.image_size):
            with contextlib.suppress(IdfError):
                read(data.tobytes())


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_colors_of_a_phone_become_srgb(tmp_path, mode):
    """Inside what sRGB can show: the linear color, by the two matrices."""
    rng = np.random.default_rng(4)
    picture = rng.integers(90, 170, (16, 16, len(mode)), np.uint8)
    file = tmp_path / "phone.png"
    Image.fromarray(picture).save(file, icc_profile=icc_profile(P3, 2.2, b"Display P3"))
    linear = (picture[..., :3] / 255.0) ** 2.2 @ P3 @ np.linalg.inv(SRGB)
    assert linear.min() > 0.0031308
    srgb = 1.055 * linear ** (1 / 2.4) - 0.055
    out = media.read_image(file)
    assert np.abs(out[..., :3] - 255 * srgb).max() < 2
    assert np.abs(picture[..., :3] - 255 * srgb).max() > 8  # left alone it would be wrong
    assert np.array_equal(out[..., 3:], picture[..., 3:])
    for profile in (icc_profile(SRGB, 2.2, b"sRGB IEC61966-2.1"), b"damaged", b"x" * 300):
        Image.fromarray(picture).save(file, icc_profile=profile)
        assert np.array_equal(media.read_image(file), picture)


def test_a_large_picture_takes_little_more_memory_than_its_pixels(tmp_path):
    """16-bit, float and turned pictures are converted band by band; before, 30 bytes a pixel."""
    from PIL import Image

    from benchmarks.fuzz import forget_peak, peak_mb
    from tests.fixtures.child import in_child

    side, turned = 3000, Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.zeros((side, side), np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((side, side), np.float32)).save(tmp_path / "a.tiff")
    Image.new("RGBA", (side, side)).save(tmp_path / "b.png", exif=turned)

    def grown():
        out = []
        for path in sorted(tmp_path.iterdir()):
            forget_peak()
            before = peak_mb()
            media.read_image(path)
            out.append((peak_mb() - before) * 2**20 / side**2)
        return max(out)

    code, text = in_child(grown)
    assert code == 0 and float(text) < 15, text


def test_a_list_of_other_files_is_no_video(tmp_path):
    from tests.fixtures.fuzzing.inputs import _clip

    (tmp_path / "other.mp4").write_bytes(_clip(".mp4"))
    for name in ("x.mp4", "x.mkv"):
        (tmp_path / name).write_text("ffconcat version 1.0\nfile other.mp4\n")
        with pytest.raises(IdfError, match="no video"):
            media.video_info(tmp_path / name)
