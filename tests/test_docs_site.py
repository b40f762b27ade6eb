"""The site: pages of docs/ and of an executed notebook, their links, pictures and words."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from docs import build
from docs.site.notebook import LARGE, WIDGET
from idf_helpers import provenance
from idf_helpers.data.media import encode_image

MADE = provenance.Mark("run", "a picture")
BLACK = encode_image(np.zeros((30, 90, 3), np.uint8), ".jpg")


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def noisy(size: int) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    return provenance.mark_picture_bytes(encode_image(picture), ".png", MADE)


BOOK = [
    new_markdown_cell("# 01 · A *first* notebook\n\n[![x](https://badge.svg)](https://colab)\n\n"
                      "photo → **here** → head\n\n"
                      "**What you get**: a head, see [02](02_gaussian_splatting.ipynb).\n"),
    new_code_cell("# @title Setup: nothing\nx = 1", metadata={"cellView": "form"}),
    new_markdown_cell("## Formulas\nThe weight is $e^{-x^2/2}$, it costs `$5` and\n\n"
                      "$$\\alpha_i = 1 - e^{-\\sigma_i}$$\n\n![d](attachment:d.png)",
                      attachments={"d.png": {"image/png": coded(noisy(20))}}),
    new_code_cell("show()", outputs=[
        new_output("stream", name="stdout", text="10 %\r100 %\ndone <b>\n"),
        new_output("stream", name="stdout", text="in KEPT/runs/r"),
        new_output("display_data", data={"text/html": '<style class="idf-still">x</style>'}),
        new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "Panel()"}),
        new_output("display_data", data={"image/jpeg": coded(BLACK)},
                   metadata={"image/jpeg": {"alt": "a still"}}),
        new_output("display_data", data={"image/png": coded(noisy(300))}),
        new_output("display_data", data={"text/html": "<table><tr><td>1</td></tr></table>"
                                         f'<video src="data:video/mp4;base64,{coded(b"mp4")}">'
                                         '</video><a href="../runs/x.zip" download>x.zip</a>'}),
        new_output("execute_result", data={"text/plain": "<idf.Thing at 0x1>"})]),
]


class Reader(HTMLParser):
    """Links, sources, ids and pictures without words of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.sources, self.ids, self.silent = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if "src" in attrs:
            self.sources.append(attrs["src"])
        if tag == "img" and not attrs.get("alt", "").strip():
            self.silent.append(attrs["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the real pages, and of notebooks that are all the one above."""
    folder = tmp_path_factory.mktemp("site")
    for notebook in build.NOTEBOOKS:
        (folder / "executed").mkdir(exist_ok=True)
        text = nbformat.writes(new_notebook(cells=BOOK)).replace("KEPT", str(folder / "executed"))
        (folder / "executed" / notebook.name).write_text(text, encoding="utf-8")
    live = folder / "executed" / "runs" / "r" / "viewer.html"
    live.parent.mkdir(parents=True)
    live.write_text('<meta name="x" content="synthetic, made with">', encoding="utf-8")
    return build.build(folder / "out", folder / "executed")


@pytest.fixture(scope="module")
def pages(site):
    return {p.name: Reader(p.read_text(encoding="utf-8")) for p in site.glob("*.html")}


def test_every_link_and_picture_is_there_and_has_words(site, pages):
    assert len(pages) == len(build.PAGES) + len(build.NOTEBOOKS) + 2  # the index, the head's page
    for name, page in pages.items():
        assert page.silent == [], name
        for address in page.links + page.sources:
            path, _, anchor = address.partition("#")
            if re.match(r"https?:", address):
                continue
            assert (site / (path or name)).is_file(), f"{name}: {address}"
            assert not anchor or anchor in pages[path or name].ids, f"{name}: {address}"


def test_links_into_the_repository_lead_to_files(pages):
    inside = f"{build.REPOSITORY}/blob/main/"
    found = {a.removeprefix(inside).split("#")[0] for p in pages.values() for a in p.links
             if a.startswith(inside)}
    assert "ARCHITECTURE.md" in found
    for path in found:
        assert (build.ROOT / path).exists(), path


def test_a_page_shows_the_outputs_and_nothing_dead(site):
    page = (site / "01_swap.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2 and "<code>$5</code>" in page
    assert "100 %\ndone &lt;b&gt;" in page and "10 %" not in page.replace("100 %", "")
    assert 'alt="a still" width="90"' in page and "Result in the section “Formulas”" in page
    assert "<summary>Setup: nothing</summary>" in page
    assert "https://badge.svg" not in page and "in runs/r" in page
    for dead in ("data:", "idf-still", "Panel()", "idf.Thing", "<script", "../runs"):
        assert dead not in page, dead
    assert 'href="head.html"' in (site / "02_gaussian_splatting.html").read_text(encoding="utf-8")


def test_large_pictures_become_smaller_files_that_keep_their_mark(site):
    assert len(noisy(300)) > LARGE
    pictures = {p.suffix: p for p in sorted((site / "media").glob("01_swap_*"))}
    assert set(pictures) == {".png", ".jpg", ".webp", ".mp4"}
    assert pictures[".webp"].stat().st_size < len(noisy(300)) / 2
    assert provenance.verify(pictures[".webp"]).synthetic


def test_the_index_shows_each_notebook_with_a_picture_and_a_sentence(site, pages):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert text.count('class="card"') == 5 and "<span>A head, see 02.</span>" in text
    assert "head.html" in pages["index.html"].links and "guide.html" in pages["index.html"].links


def test_a_site_that_is_too_large_is_refused(tmp_path, monkeypatch, site):
    monkeypatch.setattr(build, "LARGEST", 1000)
    with pytest.raises(SystemExit, match="MB; it may have"):
        build.build(tmp_path / "out", Path(site).parent / "executed")
