import http.server
import threading
import urllib.request
import zipfile
import zlib

import pytest

from idf_helpers import IdfError
from idf_helpers.data import inputs, samples
from idf_helpers.runtime import https


def zipped(folder, path, under=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                z.write(file, f"{under}{file.relative_to(folder)}")
    return path


def test_photo_by_name_path_and_upload(tmp_path):
    assert inputs.open_photo("C") == samples.photo("C")
    assert inputs.open_photo(b"x") == b"x" and inputs.open_photo(memoryview(b"x")) == b"x"
    assert inputs.open_photo(str(tmp_path / "a.png")) == tmp_path / "a.png"
    with pytest.raises(IdfError, match="No source photo"):
        inputs.open_photo(" ")


def test_dataset_by_name_folder_and_archive(tmp_path, dataset_folder):
    assert len(inputs.open_dataset("head_turntable").frames) == 48
    assert len(inputs.open_dataset(str(dataset_folder)).frames) == 9
    archive = zipped(dataset_folder, tmp_path / "d.zip", "some/folder/")
    got = inputs.open_dataset(archive, tmp_path / "downloads")
    kept, = (tmp_path / "downloads").iterdir()
    assert len(got.frames) == 9 and got.root == kept / "some/folder" and kept.name[:2] == "d-"
    assert inputs.open_dataset(archive, tmp_path / "downloads").root == got.root
    archive = zipped(dataset_folder, tmp_path / "d.zip", "elsewhere/")  # of the same name
    assert inputs.open_dataset(archive, tmp_path / "downloads").root.name == "elsewhere"
    with pytest.raises(IdfError, match="No dataset"):
        inputs.open_dataset("")


def archive_with(path, name, data=b"x", mode=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        if mode:
            info.external_attr = mode << 16
        z.writestr(info, data)
    return path


@pytest.mark.parametrize("name, data, mode, words", [
    ("../evil", b"x", None, "leaves its folder"), ("/etc/evil", b"x", None, "leaves its folder"),
    ("a\\..\\..\\evil", b"x", None, "leaves its folder"), ("C:/evil", b"x", None, "leaves"),
    ("link", b"/etc", 0o120777, "leaves its folder"), ("bomb", bytes(200_000_000), None, "times"),
])
def test_unsafe_archives_leave_nothing(tmp_path, name, data, mode, words):
    archive = archive_with(tmp_path / "a.zip", name, data, mode)
    with pytest.raises(IdfError, match=words):
        inputs.unpack(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_damaged_archive(tmp_path, dataset_folder):
    archive = zipped(dataset_folder, tmp_path / "a.zip")
    data = bytearray(archive.read_bytes())
    data[60:90] = bytes(30)
    archive.write_bytes(data)
    with pytest.raises((IdfError, zlib.error)) as caught:
        inputs.unpack(archive, tmp_path / "out")
    assert isinstance(caught.value, IdfError) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["http://example.org/a.zip", "https://me:pw@example.org/a.zip"])
def test_only_https_without_credentials(tmp_path, url):
    with pytest.raises(IdfError, match="only fetched over https"):
        inputs.open_dataset(url, tmp_path)


def _opened(url):
    try:
        return urllib.request.urlopen(url, timeout=60)
    except OSError as error:
        raise https.NotFetched(str(error)) from None


@pytest.fixture
def https_server(tmp_path, dataset_folder, monkeypatch):
    """A server on this machine; its certificate check is replaced, the rest is the real code."""
    body = zipped(dataset_folder, tmp_path / "served.zip").read_bytes()
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path == "/d.zip" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(https, "open_https", lambda url: _opened(
        url.replace("https://", "http://")))
    yield f"https://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_url_is_fetched_once(https_server, tmp_path):
    base, asked = https_server
    for _ in range(2):
        assert len(inputs.open_dataset(f"{base}/d.zip", tmp_path / "dl").frames) == 9
    assert asked == ["/d.zip"]
    with pytest.raises(IdfError, match="cannot be fetched"):
        inputs.open_dataset(f"{base}/other.zip", tmp_path / "dl")
    assert not list((tmp_path / "dl").glob("*.zip"))


def test_download_that_is_too_large(https_server, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_DOWNLOAD", 100)
    with pytest.raises(IdfError, match="more than 100 bytes"):
        inputs.open_dataset(f"{https_server[0]}/d.zip", tmp_path / "dl")
    assert not (tmp_path / "dl").exists()


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("timed out")])
def test_a_connection_that_breaks_is_no_full_disk(tmp_path, monkeypatch, error):
    class Answer:
        url = "https://example.org/a.zip"

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def read1(self, size):
            raise error

    monkeypatch.setattr(https, "open_https", lambda url: Answer())
    with pytest.raises(IdfError, match="cannot be fetched(.|\n)*check the address and the network"):
        inputs.open_dataset(Answer.url, tmp_path / "dl")
    assert not (tmp_path / "dl").exists()


def test_entry_that_stands_for_the_folder_itself(tmp_path):
    assert inputs.unpack(archive_with(tmp_path / "a.zip", "./", b""), tmp_path / "out").is_dir()
