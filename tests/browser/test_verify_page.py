"""The page of `idf verify --page` reads, in a browser, what `idf verify` reads."""

import pytest

from idf_helpers.provenance import Mark, mark, verify
from idf_helpers.provenance.page import write_page
from tests.fixtures.marked import make

pytestmark = pytest.mark.browser
WHAT = Mark("abc123", "face swap <uv> & more", consent="ab" * 32)
SUFFIXES = (".png", ".jpg", ".mp4", ".html", ".ply", ".glb", ".npz", ".splat")


def test_dropped_files_say_what_they_are(requires_chromium, tmp_path):
    files = [mark(make(tmp_path / f"head{suffix}"), WHAT) for suffix in SUFFIXES]
    photo, broken = make(tmp_path / "photo.png"), tmp_path / "broken.glb"
    broken.write_bytes(b"glTF" + b"\xff" * 40)
    page = requires_chromium.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url)
            if not request.url.startswith("file:") else None)
    page.goto(write_page(tmp_path / "check.html").as_uri())
    page.set_input_files("#choose", [*files, photo, broken])
    # by a locator: an expression that waits is evaluated again, which the page's policy forbids
    page.locator("article").nth(len(files) + 1).wait_for()
    cards = {card.locator("h2").inner_text().split()[0]: card.inner_text()
             for card in page.locator("article").all()}
    for file in files:
        card, found = cards[file.name], verify(file)
        for words in ("says that it is synthetic", "face swap <uv> & more", "abc123",
                      "compositeSynthetic", *set(found.layers) - {"C2PA"}):
            assert words in card, (file.name, words)
        inside = not file.with_name(file.name + ".c2pa").exists()
        assert ("there; check them" in card) == inside, file.name
    assert "no mark found" in cards["photo.png"] and "damaged" in cards["broken.glb"]
    assert said == []
    page.close()
