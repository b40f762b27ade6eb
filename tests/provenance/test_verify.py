"""`idf verify`: one table of many files, exit codes for scripts, and a page without network."""

import dataclasses
import os
import re

import numpy as np
import pytest

from idf_helpers import IdfError, provenance
from idf_helpers.cli import main as cli
from idf_helpers.data import media
from idf_helpers.provenance import Consent, Mark, credentials, mark, marked
from idf_helpers.provenance.page import PAGE, write_page
from idf_helpers.provenance.verify import exit_code, files_in, table, verify_all
from tests.fixtures.marked import make

CONSENT = Consent("Both heads are drawn.", "statement", "a" * 64, "b" * 64, "2026-01-01",
                  "the artist").signed()
WHAT = Mark("abc123", "face swap (uv)", consent=CONSENT.digest)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.html", "sub/c.ply"):
        with marked(tmp_path / name, WHAT) as temporary:
            make(temporary)
    CONSENT.write(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing to look at")
    (tmp_path / "checkpoints").mkdir()
    make(tmp_path / "checkpoints/x.npz")
    make(tmp_path / ".hidden.png")
    return tmp_path


def run(*arguments):
    try:
        cli.main(["verify", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code
    return 0


def test_a_folder_gives_one_line_a_file(folder, capsys):
    assert [p.name for p in files_in([folder])] == ["a.png", "b.html", "c.ply"]
    assert run(folder) == 0
    said = capsys.readouterr().out
    rows = said.splitlines()
    assert rows[0].split() == ["file", "says", "signature", "watermark", "metadata", "consent"]
    for row, name in zip(rows[2:5], ("a.png", "b.html", "sub/c.ply"), strict=True):
        assert row.startswith(name) and "valid, made here" in row
        assert "stated by the artist, signed" in row
    assert "3 of 3 marked as synthetic; nothing disagrees" in said


def test_exit_codes_tell_what_is_wrong(folder, capsys):
    photo = make(folder / "sub" / "photo.png")
    assert run(folder) == 1 and run(photo) == 1 and run(folder / "a.png") == 0
    assert "3 of 4 marked" in capsys.readouterr().out
    data = bytearray((folder / "a.png").read_bytes())
    data[-20] ^= 1
    (folder / "a.png").write_bytes(data)
    assert run(folder) == 3 and run(folder / "a.png", photo) == 3
    assert "a.png: the signature does not hold" in capsys.readouterr().out
    assert run(folder / "nothing.png") == 2 and run() == 2
    (folder / "empty").mkdir()
    assert run(folder / "empty") == 2


def test_one_file_that_cannot_be_read_does_not_stop_the_others(folder):
    (folder / "d.png.provenance.json").write_text("{")
    make(folder / "d.png")
    found = {v.path.rsplit("/", 1)[-1]: v for v in verify_all([folder])}
    assert len(found) == 4 and "not valid JSON" in found["d.png"].problems[0]
    assert exit_code(list(found.values())) == 3


def test_a_changed_consent_record_and_a_watermark_under_a_camera_type_disagree(folder):
    path = folder / "consent.json"
    path.write_text(path.read_text().replace("the artist", "somebody"))
    assert all(v.consent is None for v in verify_all([folder]))  # its digest is another now
    path.write_text(path.read_text().replace("somebody", "the artist")
                    .replace('"signature": "', '"signature": "AAAA'))
    verdicts = verify_all([folder])
    assert all("changed after it was signed" in v.problems[0] for v in verdicts)
    assert "stated by the artist, changed" in str(table(verdicts))
    other = dataclasses.replace(WHAT, payload=7)
    picture = np.random.default_rng(0).integers(60, 200, (256, 256, 3), np.uint8)
    media.write_image(folder / "w.png", other.watermarked(media.resize_area(picture, 128, 128)
                                                          .repeat(2, 0).repeat(2, 1)))
    verdict = provenance.verify(mark(folder / "w.png", WHAT))
    assert verdict.watermark.payload == 7 and "00000007, of what it was made of" in str(verdict)
    assert "watermark" in verdict.layers and "00000007" in str(table([verdict]))
    camera = WHAT.xmp().replace("compositeSynthetic", "digitalCapture")
    media.write_image(folder / "w.webp", media.read_image(folder / "w.png"), quality=95,
                      xmp=camera[:camera.index("<dc:title>")] + "</rdf:Description></rdf:RDF>"
                      "</x:xmpmeta>")
    verdict = provenance.verify(folder / "w.webp")
    assert verdict.synthetic and "the metadata says digitalCapture" in verdict.problems[0]


def test_files_that_are_not_there_are_told(tmp_path):
    with pytest.raises(IdfError, match="no file"):
        verify_all([tmp_path / "x.png"])


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path, capsys):
    cli.main(["verify", "--page", str(tmp_path / "check")])
    assert "check.html" in capsys.readouterr().out
    text = (tmp_path / "check.html").read_text()
    assert write_page(tmp_path / "check.html").read_bytes() == PAGE.read_bytes()
    assert "connect-src 'none'" in text and "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']", text)


def test_the_names_in_a_table_of_thousands_take_no_time(tmp_path):
    from idf_helpers.provenance.verify import Verdict

    def verdict(path):
        return Verdict(str(path), False, "", (), {}, None, ())

    assert [r["file"] for r in table([verdict(tmp_path / n) for n in ("a/b/c.png", "a/d.png")]).rows
            ] == ["b/c.png".replace("/", os.sep), "d.png"]
    assert [r["file"] for r in table([verdict("a.png"), verdict("/x/b.png")]).rows] == [
        "a.png", os.path.abspath("/x/b.png")]
    rows = table([verdict(tmp_path / f"{i % 90}/{i}.png") for i in range(6000)]).rows
    assert len(rows) == 6000 and rows[1]["file"] == os.path.join("1", "1.png")


@pytest.mark.parametrize(("name", "head"), [
    ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
    ("a.html", b"<html><head></head>")])
def test_a_large_file_without_credentials_is_not_read_whole(tmp_path, monkeypatch, name, head):
    import c2pa

    def never(*args, **kinds):
        raise AssertionError("read by the library")

    path = tmp_path / name
    with open(path, "wb") as f:
        f.write(head)
        f.truncate(2**28)
    monkeypatch.setattr(c2pa, "Reader", never)
    monkeypatch.setattr(credentials, "_whole", never)
    assert credentials.read(path) is None


def test_a_name_that_leaves_no_room_for_one_beside_it(tmp_path):
    path = tmp_path / ("x" * 246 + ".png")
    with marked(path, Mark("r", "a picture")) as temporary:
        media.write_image(temporary, np.zeros((8, 8, 3), np.uint8))
    assert provenance.verify(path).signature.state == "own"
    with pytest.raises(IdfError, match="no such file"):
        provenance.verify(tmp_path / ("y" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
def test_pipes_are_passed_over(tmp_path):
    with marked(tmp_path / "a.png", Mark("r", "a picture", consent="c" * 64)) as temporary:
        make(temporary)
    for name in ("b.png", "c.mp4", "consent.json"):
        os.mkfifo(tmp_path / name)
    assert files_in([tmp_path]) == [tmp_path / "a.png"]
    assert provenance.verify(tmp_path / "a.png").synthetic
