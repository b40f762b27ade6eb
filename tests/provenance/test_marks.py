import numpy as np
import pytest

from idf_helpers import IdfError, provenance
from idf_helpers.data import media
from idf_helpers.provenance import Consent, Mark, mark, verify
from idf_helpers.provenance.marks import IPTC, LABEL, mark_picture_bytes, parse

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (40, 60, 3), np.uint8)
CONSENT = Consent("I am both, and I agree.", "statement", "a" * 64, "b" * 64, "2026-01-01")
WHAT = Mark("abc123", "face swap <uv> & \"more\"; x", consent=CONSENT.digest)


def make(path):
    """A minimal file of each kind that is exported."""
    suffix = path.suffix
    if suffix in (".png", ".jpg"):
        media.write_image(path, PICTURE)
    elif suffix == ".webp":
        media.write_image(path, PICTURE, xmp=WHAT.xmp())
    elif suffix == ".mp4":
        with media.video_writer(path, 10) as video:
            for _ in range(3):
                video.append(PICTURE)
    elif suffix == ".ply":
        path.write_bytes(b"ply\nformat binary_little_endian 1.0\ncomment mine\nelement vertex 1\n"
                         b"property float x\nend_header\n" + np.float32(1.5).tobytes())
    elif suffix == ".html":
        path.write_text("<!doctype html><html><head>\n<title>x</title></head><body></body></html>")
    else:
        path.write_bytes(b"\0" * 32)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".mp4", ".ply", ".html", ".splat"])
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
        once = mark(path, WHAT).read_bytes()
        assert (media.read_image(path) == before).all()
        mark(path, Mark("other", "another"))
        assert verify(path).fields["run_id"] == "other"  # replaced, not added
        assert mark(path, WHAT).read_bytes() == once


def test_xmp_is_valid_and_says_the_source_type(tmp_path):
    import xml.etree.ElementTree as ET

    path = mark(make(tmp_path / "a.png"), WHAT)
    from PIL import Image
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
    path = mark(make(tmp_path / "a.splat"), WHAT)
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
                                  "source_type": "compositeSynthetic", "consent": CONSENT.digest}
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
    if suffix != ".splat":  # its mark lies beside it
        with pytest.raises(IdfError), provenance.marked(path, Mark("x", "y", "no such type")) as t:
            make(t)
        assert not path.exists()
