"""The notebooks in a real JupyterLab, used by hand: Run All, fields, buttons, an upload."""

import importlib.util

import pytest

from idf_helpers import media, samples

from ..conftest import lacking
from . import lab
from .conftest import PROMISE

pytestmark = pytest.mark.browser
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"  # the only picture from afar


@pytest.fixture(scope="module")
def jupyterlab(requires_chromium, tmp_path_factory):
    """A running JupyterLab whose notebooks write into one empty folder."""
    if importlib.util.find_spec("jupyterlab") is None:
        lacking(PROMISE, "JupyterLab is not installed: pip install jupyterlab")
    folder = tmp_path_factory.mktemp("lab")
    with lab.server(folder, {"IDF_FAST": "1", "IDF_RUNS": "runs"}) as server:
        yield server


def pixels(widget) -> tuple[int, int]:
    """Width and height of the picture itself."""
    return tuple(widget.evaluate("e => [e.naturalWidth, e.naturalHeight]"))


def test_swap_notebook_by_hand(requires_chromium, jupyterlab, tmp_path):
    with lab.opened(requires_chromium, jupyterlab, "01_swap") as book:
        book.run_all()
        assert book.errors() == []
        panel = book.cell("SwapPanel(")
        texts = panel.locator(".widget-html-content")
        caption, status = texts.nth(0), texts.nth(1)
        preview, result = (panel.locator("img.widget-image").nth(i) for i in (0, 1))
        for label in ("Source photo", "Views (dataset)", "Consent"):
            assert book.field(label).is_visible()
        book.wait_text(status, r"110 swapped, 20 no face")
        before = result.get_attribute("src")
        assert pixels(preview)[0] == 160 and pixels(result)[0] > 1000
        assert result.bounding_box()["width"] <= panel.bounding_box()["width"]
        assert len(book.cell("columns =").locator("tr").all()) == 13
        with book.page.expect_download() as download:
            book.page.locator("a[download]", has_text=".zip").click()
        assert download.value.suggested_filename.startswith("swap-")

        photo = media.read_image(samples.photo("B"))
        photo[0, 0] ^= 1  # no longer a bundled face
        media.write_image(tmp_path / "me.png", photo)
        with book.page.expect_file_chooser() as chooser:
            panel.locator(".widget-upload").click()
        chooser.value.set_files(tmp_path / "me.png")
        book.wait_text(caption, "me.png .uploaded.")
        book.button("Swap the face").click()
        book.wait_text(status, "needs a consent statement")
        assert not result.is_visible() or pixels(result) == (1, 1)  # the last one's is gone
        book.field("Consent").fill("A face that I made up, for a test.")
        book.button("Swap the face").click()
        book.wait_text(status, r"\d+ swapped.*written to")
        assert result.get_attribute("src") != before and pixels(result)[0] > 1000
        assert book.button("Swap the face").is_enabled()

        book.field("Views (dataset)").fill("/no/such/folder")
        book.button("Swap the face").click()
        book.wait_text(status, "/no/such/folder does not exist")
        book.run_cell("swapped = panel.run()")  # the same as a plain cell: one error, no traceback
        book.wait_text(book.cell("swapped = panel.run()").locator(".jp-OutputArea-output"),
                       r"^\s*The dataset folder /no/such/folder does not exist")
        assert len(book.errors()) == 1  # what `== []` above looks at
        assert set(book.requests) <= {BADGE}


def test_splat_notebook_by_hand(requires_chromium, jupyterlab):
    with lab.opened(requires_chromium, jupyterlab, "02_gaussian_splatting") as book:
        book.run_all()
        assert book.errors() == []
        panel = book.cell("SplatPanel(")
        status = panel.locator(".widget-html-content")
        preview, plot = (panel.locator("img.widget-image").nth(i) for i in (0, 1))
        text = book.wait_text(status, r"held-out views: \d\d\.\d+ dB.*written to")
        folder = text.strip().split("splats-")[-1]
        assert pixels(preview) == (256, 256) and pixels(plot) == (400, 260)
        video = book.page.locator("video")
        video.scroll_into_view_if_needed()
        book.page.wait_for_function("() => document.querySelector('video').currentTime > 0")

        page = book.page.frame_locator("iframe[srcdoc]")
        page.locator(".ready").first.wait_for(timeout=60_000)
        canvas = page.locator("canvas")
        canvas.scroll_into_view_if_needed()
        assert canvas.bounding_box()["height"] > 300
        colours = canvas.evaluate(
            "c => { c.view.render(); const d = document.createElement('canvas');"
            " d.width = d.height = 64; const x = d.getContext('2d'); x.drawImage(c, 0, 0, 64, 64);"
            " return new Set(new Uint32Array(x.getImageData(0, 0, 64, 64).data.buffer)).size; }")
        assert colours > 200  # a head, not one colour

        book.field("Train for").fill("2")
        panel.locator("button.jupyter-button", has_text="Train").click()
        book.wait_text(status, rf"held-out views: \d\d\.\d+ dB.*written to \S+splats-(?!{folder})")
        assert set(book.requests) <= {BADGE}
