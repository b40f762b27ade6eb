"""Signed credentials: in every kind of file, whole or not, by whom, without network."""

import datetime
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.provenance import Mark, keys, mark, marked, verify
from idf_helpers.provenance.inside import script_of
from tests.fixtures.marked import CONSENT, make

INPUTS = (("source photo", "cd" * 32), ("target", "ef" * 32))
SWAP = Mark("abc123", "face swap (uv)", consent=CONSENT.digest, inputs=INPUTS)
MODEL = Mark("abc123", "Gaussian splats", consent=CONSENT.digest, inputs=INPUTS)
SUFFIXES = (".png", ".jpg", ".gif", ".mp4", ".html", ".ply", ".npz", ".glb", ".splat", ".bin")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("what", [SWAP, MODEL], ids=["swap", "model"])
def test_every_format_is_signed_as_the_last_step(tmp_path, suffix, what):
    path = tmp_path / f"a{suffix}"
    with marked(path, what) as temporary:
        make(temporary)
    v = verify(path)
    told = v.signature
    assert (told.state, told.text, v.problems) == ("own", what.text(), ())
    assert told.source_types == ("compositeSynthetic",)
    assert told.actions == (("c2pa.opened", "c2pa.edited") if what is SWAP else ("c2pa.created",))
    assert sorted(told.ingredients) == [f"{name}, sha256 {digest}" for name, digest in INPUTS]
    assert len(v.layers) >= 2, "a signature, and one mark at least"
    beside = path.with_name(path.name + ".c2pa")
    assert beside.is_file() == (suffix not in (".png", ".jpg", ".gif", ".mp4", ".html"))


def test_a_large_model_is_signed_without_being_held_in_memory(tmp_path):
    with open(tmp_path / "large.ply", "wb") as f:
        f.truncate(400_000_000)
    code = """if 1:
        import sys
        from pathlib import Path
        from idf_helpers.provenance import Mark, credentials
        from idf_helpers.runtime.machine import peak_rss_mb
        path = Path(sys.argv[1])
        credentials.sign(path.with_name("first.ply"), Path(sys.executable), Mark("a", "splats"))
        before = peak_rss_mb()
        assert credentials.sign(path, path, Mark("a", "Gaussian splats"))
        print(peak_rss_mb() - before)"""
    done = subprocess.run([sys.executable, "-c", code,
                           str(tmp_path / "large.ply")], capture_output=True, text=True)
    assert float(done.stdout) < 100, done.stderr


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".mp4", ".html", ".ply",
                                    ".npz"])
def test_one_changed_byte_is_found(tmp_path, suffix):
    path = mark(make(tmp_path / f"a{suffix}"), SWAP)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for at in rng.choice(len(data), 30, replace=False):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        v = verify(path)
        assert v.problems or v.signature is None, (suffix, at)
    path.write_bytes(data)
    assert not verify(path).problems


def test_a_manifest_of_another_file_and_a_second_one_do_not_count(tmp_path):
    a, b = (mark(make(tmp_path / f"{n}.ply"), MODEL) for n in "ab")
    b.write_bytes(b.read_bytes() + b"x")
    assert verify(b).signature.state == "invalid" and verify(a).signature.state == "own"
    page = mark(make(tmp_path / "a.html"), MODEL)
    data = page.read_bytes()
    start, end = script_of(data)
    page.write_bytes(data[:end] + data[start:end] + data[end:])
    assert verify(page).signature is None  # as the specification has it
    page.write_bytes(data[:end] + b" " + data[end:])
    assert "does not hold" in verify(page).problems[0]
    page.write_bytes(data.replace(b"compositeSynthetic", b"digitalCapture", 1))
    assert verify(page).signature.state == "invalid"


def test_marking_again_leaves_one_mark_and_one_valid_signature(tmp_path):
    for suffix in (".png", ".jpg", ".mp4", ".html"):
        path = mark(mark(make(tmp_path / f"a{suffix}"), SWAP), MODEL)
        v = verify(path)
        assert v.signature.text == MODEL.text() and not v.problems, suffix
        mark(path, SWAP, sign=False)
        assert verify(path).signature is None, "no signature outlives a change"


def test_the_key_is_the_users_own_and_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_KEYS", str(tmp_path / "new" / "keys"))
    assert keys.known_chain() == b"" and not (tmp_path / "new").exists()
    verify(make(tmp_path / "a.png"))
    assert not (tmp_path / "new").exists()  # reading makes no key
    first = keys.signer()
    assert first.own and keys.signer() == first
    if os.name == "posix":
        for name in (keys.KEY, keys.CHAIN):
            assert stat.S_IMODE((keys.folder() / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(keys.folder().stat().st_mode) == 0o700
    path = mark(make(tmp_path / "b.png"), MODEL)
    assert verify(path).signature.state == "own"
    monkeypatch.setenv("IDF_KEYS", str(tmp_path / "other"))
    assert verify(path).signature.state == "valid", "by somebody who is not known here"
    assert "unknown signer" in str(verify(path))


def test_two_processes_that_need_a_key_first_get_the_same(tmp_path):
    code = "from idf_helpers.provenance import keys; print(keys.signer().chain.hex())"
    environment = os.environ | {"IDF_KEYS": str(tmp_path / "keys")}
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                                env=environment) for _ in range(3)]
    said = {process.communicate()[0] for process in started}
    assert len(said) == 1 and all(p.returncode == 0 for p in started)
    assert [p.name for p in tmp_path.iterdir()] == ["keys"]


def test_where_no_key_can_be_kept_one_of_the_process_signs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IDF_KEYS", str(tmp_path / "file" / "keys"))
    path = mark(make(tmp_path / "a.png"), MODEL)
    assert verify(path).signature.state == "valid"


@pytest.mark.parametrize("name, content, what", [
    (keys.KEY, b"", "is damaged"), (keys.KEY, "cut", "is damaged"), (keys.CHAIN, b"", "is damaged"),
    (keys.CHAIN, "cut", "is damaged"), (keys.CHAIN, "other", "is damaged"),
    (keys.CHAIN, None, "does not exist"), (keys.KEY, None, "is not one of a signing key")])
def test_a_damaged_key_is_told_and_what_was_signed_is_still_read(tmp_path, monkeypatch, name,
                                                                 content, what):
    monkeypatch.setenv("IDF_KEYS", str(tmp_path / "keys"))
    path, file = mark(make(tmp_path / "a.png"), MODEL), tmp_path / "keys" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes({"cut": file.read_bytes()[:100], "other": keys._chain()[0]}.get(
            content, content))
    with pytest.raises(IdfError, match=what):
        mark(make(tmp_path / "b.png"), MODEL)
    assert verify(path).signature.state == "valid"


def test_a_folder_for_the_key_that_is_there_is_used_while_it_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_KEYS", str(tmp_path))
    assert keys.signer().own and (tmp_path / keys.KEY).is_file()


def test_a_certificate_of_the_users_own_signs_where_it_is_named(tmp_path, monkeypatch):
    chain, key = keys._chain()
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    monkeypatch.setenv("IDF_C2PA_CERT", str(tmp_path / "chain.pem"))
    with pytest.raises(IdfError, match="come together"):
        keys.signer()
    monkeypatch.setenv("IDF_C2PA_KEY", str(tmp_path / "key.pem"))
    path = mark(make(tmp_path / "a.png"), MODEL)
    told = verify(path).signature
    assert told.state == "own" and keys.signer().chain == chain
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(IdfError, match="cannot be read"):
        mark(path, MODEL)
    monkeypatch.setenv("IDF_C2PA_KEY", str(tmp_path / "none.pem"))
    with pytest.raises(IdfError, match="does not exist"):
        mark(path, MODEL)


def test_nothing_is_asked_over_the_network(tmp_path, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    assert verify(mark(make(tmp_path / "a.png"), MODEL)).signature.state == "own"


def test_hostile_credentials_are_no_traceback(tmp_path):
    path = mark(make(tmp_path / "a.ply"), MODEL)
    beside = path.with_name("a.ply.c2pa")
    data, rng = beside.read_bytes(), np.random.default_rng(0)
    for wrong in (b"", b"x" * 100, data[:200], data[::-1], b"[" * 10000,
                  *(rng.permutation(np.frombuffer(data, np.uint8)).tobytes() for _ in range(20))):
        beside.write_bytes(wrong)
        v = verify(path)
        assert v.signature is None or v.signature.state == "invalid"
        assert v.synthetic  # the comment is still there


def test_a_user_without_a_home_gets_a_passing_key_and_no_folder(tmp_path, monkeypatch):
    import platformdirs

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IDF_KEYS", raising=False)
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: Path("~/.local/share") / name)
    assert not keys.signer().own and not list(tmp_path.iterdir())


@pytest.mark.parametrize("days", [-5000, 20])
def test_a_key_made_under_another_clock_is_told(tmp_path, monkeypatch, days):
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + datetime.timedelta(days=days)

    monkeypatch.setenv("IDF_KEYS", str(tmp_path / "keys"))
    with monkeypatch.context() as then:
        then.setattr(keys, "datetime", SimpleNamespace(
            datetime=Clock, UTC=datetime.UTC, timedelta=datetime.timedelta))
        assert keys.signer().own
    with pytest.raises(IdfError, match="not valid now") as refused:
        keys.signer()
    assert "set the clock" in refused.value.do and keys.known_chain() == b""
