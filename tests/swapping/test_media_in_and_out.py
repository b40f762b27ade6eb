"""What comes in as a GIF, or in a phone's colors, goes out as such; nothing private goes along."""

import io

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.data.animations import animation_info, loops, read_animation, write_animation
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import SwapConfig, VideoConfig
from idf_helpers.swapping.job import media_notes
from idf_helpers.swapping.swap import swap
from tests.fixtures.icc import P3, icc_profile

CONSENT = "Synthetic heads that show nobody."
MESH = SwapConfig("mesh", shape=0.0)
TIMES = (40, 120, 200)


@pytest.fixture(scope="module")
def talk():
    """(3, h, w, 4) frames of the bundled talking head; the right edge is clear."""
    out = []
    for i in (66, 74, 82):
        rgb = media.read_image(samples.path("head_talking") / f"train/f_{i:04d}.png")[..., :3]
        out.append(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
        out[-1][:, -20:, 3] = 0
    return np.stack(out)


@pytest.mark.parametrize("kind, suffix", [("GIF", ".gif"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_an_animation_stays_one(talk, tmp_path, kind, suffix):
    target = tmp_path / f"talk{suffix}"
    write_animation(target, iter(talk), TIMES, kind)
    out = swap(target, samples.photo("C"), tmp_path / "o", MESH, consent=CONSENT)
    assert out.name == f"talk{suffix}" and animation_info(out) == animation_info(target)
    assert loops(out) == 0
    before, after = (np.stack(list(read_animation(p))).astype(int) for p in (target, out))
    h, w = before.shape[1:3]
    corner = np.zeros((h, w), bool)
    corner[:h // 4, :w // 2] = True  # where the label is
    assert np.array_equal(after[..., 3][:, ~corner], before[..., 3][:, ~corner])
    moved = np.abs(after - before)[..., :3].max(-1)
    outside = ~corner & (before[0, ..., 3] > 0)
    outside[:, w // 4:3 * w // 4] = False
    # 256 colors a frame; elsewhere the watermark, of a few levels
    assert (moved[:, outside] > (40 if kind == "GIF" else 8)).mean() < 0.01
    face = moved[:, h // 4:3 * h // 4, w // 3:2 * w // 3]
    assert (face > 8).mean(axis=(1, 2)).min() > 0.05
    assert moved[:, :h // 6, :w // 8].max() > 30  # the label
    told = verify(out)
    assert told.synthetic and told.source_type == "compositeSynthetic" and not told.problems
    assert read_json(out.parent / "swap_report.json")["counts"] == {"swapped": 3}


def test_h264_settings_are_refused_for_an_animation(talk, tmp_path):
    write_animation(tmp_path / "a.gif", iter(talk), TIMES, "GIF")
    with pytest.raises(IdfError, match="crf"):
        swap(tmp_path / "a.gif", samples.photo("C"), tmp_path / "o", MESH, VideoConfig(crf=20),
             consent=CONSENT)


def test_a_picture_keeps_its_colors_and_tells_no_place(tmp_path):
    stored = np.array(Image.open(samples.photo("B")).convert("RGB").resize((320, 320)))
    stored[-20:, -20:] = (255, 0, 0)  # P3's own red, which sRGB does not have
    profile = icc_profile(P3, 2.2, b"Display P3")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B] = 6, "Phone Maker", "Jane Doe"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    lying = Image.fromarray(np.rot90(stored))  # stored on its side, EXIF says how to show it
    lying.save(tmp_path / "phone.jpg", quality=100, subsampling=0, exif=exif, icc_profile=profile,
               comment=b"Jane's holiday")
    shown = media.read_image(tmp_path / "phone.jpg")
    out = swap(tmp_path / "phone.jpg", samples.photo("C"), tmp_path / "o", MESH, consent=CONSENT)
    result = Image.open(out)
    assert result.info["icc_profile"] == profile and "exif" not in result.info
    assert not dict(result.getexif())
    data = out.read_bytes()
    assert b"Jane" not in data and b"Phone Maker" not in data
    as_stored = np.asarray(result.convert("RGB"))
    assert as_stored.shape == (320, 320, 3)  # upright
    assert np.abs(as_stored[-12:, -12:].astype(int) - (255, 0, 0)).max() <= 6
    seen = media.read_image(out).astype(int)
    assert np.abs(seen[:, :20] - shown[:, :20]).max() <= 1  # beside the head: as it was
    note = read_json(out.parent / "run.json")["note"]
    assert "Display P3" in note and "kept" in note


def test_what_is_done_on_reading_is_told(tmp_path, talk):
    gray = Image.fromarray(np.full((40, 40), 90, np.uint8))
    gray.save(tmp_path / "a.png")
    gray.save(tmp_path / "b.png", icc_profile=icc_profile(None, 1.8, b"Gray Gamma 1.8"))
    assert media_notes([tmp_path / "a.png"]) == []
    assert "Gray Gamma 1.8" in media_notes([tmp_path / "b.png"])[0]
    both = media_notes([tmp_path / "a.png", tmp_path / "b.png"])
    assert len(both) == 1 and "1 of 2" in both[0]


def test_the_first_of_several_source_pictures_is_told(tmp_path):
    photo = Image.open(samples.photo("C")).convert("RGB").resize((300, 300))
    photo.save(tmp_path / "source.gif", save_all=True, append_images=[photo.rotate(3)],
               duration=100)
    data = io.BytesIO()
    Image.open(samples.photo("B")).convert("RGB").resize((300, 300)).save(data, "PNG")
    (tmp_path / "b.png").write_bytes(data.getvalue())
    out = swap(tmp_path / "b.png", tmp_path / "source.gif", tmp_path / "o", MESH, consent=CONSENT)
    assert "source.gif" in (note := read_json(out.parent / "run.json")["note"])
    assert "2 pictures" in note
