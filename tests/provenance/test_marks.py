import contextlib
import errno
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from idf_helpers import IdfError, provenance
from idf_helpers.data import media
from idf_helpers.data.ffmpeg import QUIET, ffmpeg_executable
from idf_helpers.provenance import Mark, mark, verify
from idf_helpers.provenance.marks import IPTC, LABEL, mark_picture_bytes, parse
from idf_helpers.provenance.watermark import payload_text
from idf_helpers.reconstruction.splats import splat_file
from tests.fixtures.gaussians import cloud
from tests.fixtures.marked import CONSENT, PICTURE, WHAT, make


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".mp4", ".ply", ".html", ".splat",
                                    ".npz", ".glb", ".bin"])
def test_every_format_is_marked_and_read_back(tmp_path, suffix):
    path = make(tmp_path / f"a{suffix}")
    assert not verify(path).synthetic or suffix == ".webp"
    CONSENT.write(tmp_path)
    mark(path, WHAT)
    mark(path, WHAT)  # a second time changes nothing
    v = verify(path)
    assert v.synthetic and v.source_type == "compositeSynthetic" and not v.problems
    assert v.fields["run_id"] == "abc123" and v.fields["consent"] == CONSENT.digest
    assert v.consent == CONSENT
    assert CONSENT.statement in str(v)


def test_pixels_are_not_touched(tmp_path):
    for suffix in (".png", ".jpg"):
        path = make(tmp_path / f"a{suffix}")
        before = media.read_image(path)
        once = mark(path, WHAT, sign=False).read_bytes()
        assert (media.read_image(path) == before).all()
        mark(path, Mark("other", "another"))
        assert verify(path).fields["run_id"] == "other"  # replaced, not added
        assert mark(path, WHAT, sign=False).read_bytes() == once


def test_xmp_is_valid_and_says_the_source_type(tmp_path):
    import xml.etree.ElementTree as ET

    path = mark(make(tmp_path / "a.png"), WHAT)
    with Image.open(path) as image:
        image.load()
        packet = image.info["XML:com.adobe.xmp"]
    root = ET.fromstring(packet[packet.index("<x:xmpmeta"):packet.rindex("<?xpacket")])
    key = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    assert [e.get(key) for e in root.iter() if e.get(key)] == [IPTC + "compositeSynthetic"]


def test_ply_data_is_intact_and_comment_comes_once(tmp_path):
    path = make(tmp_path / "a.ply")
    mark(path, WHAT)
    mark(path, Mark("other", "model"))
    data = path.read_bytes()
    assert data.endswith(b"end_header\n" + np.float32(1.5).tobytes())
    assert data.count(b"comment synthetic") == 1 and b"comment mine\n" in data
    assert data.startswith(b"ply\nformat binary_little_endian 1.0\n")


def test_video_frames_survive_the_mark(tmp_path):
    path = make(tmp_path / "a.mp4")
    before = [f.copy() for f in media.read_video(path)]
    mark(path, WHAT)
    for a, b in zip(before, media.read_video(path), strict=True):
        assert (a == b).all()


def test_changed_sidecar_content_is_a_problem(tmp_path):
    path = mark(make(tmp_path / "a.bin"), WHAT)
    path.write_bytes(b"\1" * 32)
    assert "changed" in verify(path).problems[0]


def test_somebody_elses_consent_file_in_a_folder_above_is_passed_over(tmp_path):
    (tmp_path / "consent_form.json").write_text('{"patient": "x"}')
    (tmp_path / "a/b").mkdir(parents=True)
    CONSENT.write(tmp_path / "a")
    (tmp_path / "a/b/consent.json").write_text("[]")
    assert verify(mark(make(tmp_path / "a/b/x.png"), WHAT)).consent == CONSENT


def test_wrong_content_and_source_type_are_refused(tmp_path):
    for suffix in (".png", ".jpg", ".ply", ".html", ".mp4", ".webp"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"something else")
        with pytest.raises(IdfError):
            mark(path, WHAT)
        assert path.read_bytes() == b"something else"
    with pytest.raises(IdfError, match="source type"):
        mark(make(tmp_path / "b.png"), Mark("x", "y", "photograph"))
    with pytest.raises(IdfError, match="no file"):
        verify(tmp_path / "none.png")


def test_line_round_trip():
    assert parse(WHAT.text()) == {"software": "ImplicitDeepfake (idf_helpers)",
                                  "made": 'face swap <uv> & "more" x', "run_id": "abc123",
                                  "source_type": "compositeSynthetic", "consent": CONSENT.digest,
                                  "watermark": payload_text(WHAT.payload)}
    assert parse("made by hand") is None
    with pytest.raises(IdfError):
        mark_picture_bytes(b"", ".gif", WHAT)


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (720, 1280)])
def test_label_is_legible_on_any_picture(size):
    for level in (0, 255):
        out = provenance.label(np.full((*size, 3), level, np.uint8))
        box = np.argwhere((out != level).any(axis=2))
        top, left = box.min(0)
        bottom, right = box.max(0) + 1
        assert bottom - top >= 0.03 * size[0] and right - left > bottom - top
        patch = out[top:bottom, left:right].astype(float).mean(axis=2) / 255
        # WCAG contrast of the lightest text pixels on the plate
        def luminance(v):
            return ((v + 0.055) / 1.055) ** 2.4
        contrast = (luminance(patch.max()) + 0.05) / (luminance(np.median(patch)) + 0.05)
        assert contrast >= 4.5, (size, level, contrast)
    assert LABEL == "SYNTHETIC"


@pytest.mark.parametrize("suffix", [".png", ".ply", ".html", ".mp4", ".splat"])
def test_a_file_appears_with_its_mark_or_not_at_all(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with provenance.marked(path, WHAT) as temporary:
        make(temporary)
        assert not path.exists()
    assert verify(path).fields["run_id"] == "abc123"
    path.unlink()
    with pytest.raises(IdfError), provenance.marked(path, Mark("x", "y", "no such type")) as t:
        make(t)
    assert not path.exists()


def test_what_lies_beside_a_file_is_there_before_it_or_neither_is(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    real, seen = os.replace, []

    def replace(source, target):
        if Path(target) == path:
            seen.append(path.with_name("a.bin.provenance.json").is_file())
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(IdfError, match="full"), provenance.marked(path, WHAT) as temporary:
        make(temporary)
    assert seen == [True] and not list(tmp_path.iterdir())
    long = tmp_path / ("n" * 240 + ".bin")  # its sidecar's name is too long
    with pytest.raises(IdfError), provenance.marked(long, WHAT) as temporary:
        make(temporary)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".splat", ".npz", ".ply"])
def test_a_model_copied_elsewhere_keeps_its_mark(tmp_path, suffix):
    path = mark(make(tmp_path / f"a{suffix}"), WHAT)
    other = tmp_path / "elsewhere" / path.name
    other.parent.mkdir()
    shutil.copyfile(path, other)
    assert verify(other).fields["consent"] == CONSENT.digest


def test_arrays_and_splats_are_read_as_before_they_were_marked(tmp_path):
    path = mark(make(tmp_path / "a.npz"), WHAT)
    with np.load(path) as data:
        assert list(data) == ["a"] and (data["a"] == np.arange(9)).all()
    gaussians = cloud(5)
    before = splat_file.read_splat(splat_file.write_splat(gaussians, tmp_path / "a.splat"))
    marked = mark(tmp_path / "a.splat", WHAT)
    assert marked.stat().st_size % 32 == 0 and marked.stat().st_size > 5 * 32
    after = splat_file.read_splat(marked)
    assert len(after) == 5 and (after.means == before.means).all()


@pytest.mark.parametrize("kind", ["digitalCapture", "computationalCapture", "humanEdits",
                                  "negativeFilm", "digitalCreation"])
def test_what_a_camera_or_a_person_writes_is_not_synthetic(tmp_path, kind):
    path = tmp_path / "photo.jpg"
    media.write_image(path, PICTURE)
    xmp = WHAT.xmp().replace("compositeSynthetic", kind)
    xmp = re.sub("<dc:description>.*</dc:description>", "", xmp).encode()
    body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    v = verify(path)
    assert not v.synthetic and v.source_type == kind and "no mark" in str(v)
    page = tmp_path / "article.html"
    page.write_text(f'<html><head><meta name="description" content="{IPTC}compositeSynthetic">'
                    "</head></html>")
    assert not verify(page).synthetic  # it writes about it


def test_a_video_keeps_its_mark_under_another_name(tmp_path):
    path = mark(make(tmp_path / "a.mp4"), WHAT)
    for name in ("a.m4v", "a.mov"):
        shutil.copyfile(path, tmp_path / name)
        assert verify(tmp_path / name).fields["run_id"] == "abc123", name
    subprocess.run([ffmpeg_executable(), *QUIET, "-i", path, "-c", "copy", tmp_path / "b.mov"],
                   check=True)
    assert verify(tmp_path / "b.mov").fields["run_id"] == "abc123"
    subprocess.run([ffmpeg_executable(), *QUIET, "-i", path, "-c", "copy", tmp_path / "b.mkv"],
                   check=True)
    assert verify(tmp_path / "b.mkv").fields["run_id"] == "abc123"


@pytest.mark.parametrize("told", ["[]", '"x"', "5", "null", "{}"])
def test_a_sidecar_that_is_no_record_is_a_problem(tmp_path, told):
    path = make(tmp_path / "a.splat")
    path.with_name("a.splat.provenance.json").write_text(told)
    assert "damaged" in verify(path).problems[0]


def test_a_run_id_or_consent_from_a_file_cannot_break_out_of_the_mark(tmp_path):
    evil = Mark("id\nelement evil 1", "made\r\nend_header", consent="x\nelement evil 1\nproperty q")
    path = mark(make(tmp_path / "a.ply"), evil)
    assert path.read_bytes().split(b"\nend_header\n")[0].count(b"\n") == 5  # one line more
    assert verify(path).synthetic
    assert parse(Mark("", "", consent="..").text()) is not None


HOSTILE = {  # each takes hours where a search begins anew at every beginning
    "a.html": b"<html><head>" + b"<meta " * 600_000,
    "a.ply": b"ply\nformat ascii 1.0\ncomment " + b"synthetic, made with a" * 180_000
             + b"\nend_header\n",
    "a.glb": b"glTF" + struct.pack("<4I", 2, 4_000_020, 4_000_000, 0x4E4F534A)
             + b'"asset":{' * 440_000,
    "a.tif": b"II*\0" + b"<x:xmpmeta " * 360_000,
    "a.png": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0iTXt\0\0\0\0" * 300_000,
    "a.mp4": b"\0\0\0\x08ftyp" + b"\0\0\0\x08moov" * 500_000,
    "a.npz": b"PK\x03\x04" + b"PK\x05\x06" * 900_000,
    "a.jpg": b"\xff\xd8" + b"\xff\xe1\0\x02" * 900_000,
    "a.json": b"synthetic, made with a: " * 170_000}


def test_verify_takes_linear_time_on_hostile_files(tmp_path):
    for name, data in HOSTILE.items():
        (tmp_path / name).write_bytes(data)
    code = ("import sys, pathlib, idf_helpers as idf\n"
            "for p in sorted(pathlib.Path(sys.argv[1]).iterdir()): idf.verify(p)")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)


@settings(deadline=None)
@given(data=st.binary(max_size=400), suffix=st.sampled_from(sorted(HOSTILE)),
       cut=st.integers(0, 300))
def test_readers_of_marks_take_any_bytes(tmp_path_factory, data, suffix, cut):
    folder = tmp_path_factory.mktemp("any")
    for start in (b"", HOSTILE[suffix][:cut]):
        path = folder / suffix
        path.write_bytes(start + data)
        assert verify(path).problems is not None
        with contextlib.suppress(IdfError):
            mark(path, WHAT)
            assert verify(path).fields["run_id"] == "abc123"
