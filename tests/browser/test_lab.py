"""The notebooks in a real JupyterLab, used by hand: Run All, fields, buttons, an upload."""

import importlib.util

import pytest

from idf_helpers import provenance
from idf_helpers.data import media, samples
from tests.fixtures.datasets import lacking

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


def colors(canvas) -> int:
    """How many a small copy of the canvas has."""
    return canvas.evaluate(
        "c => { c.view.render(); const d = document.createElement('canvas');"
        " d.width = d.height = 64; const x = d.getContext('2d'); x.drawImage(c, 0, 0, 64, 64);"
        " return new Set(new Uint32Array(x.getImageData(0, 0, 64, 64).data.buffer)).size; }")


def test_swap_notebook_by_hand(requires_chromium, jupyterlab, tmp_path):
    from playwright.sync_api import expect

    with lab.opened(requires_chromium, jupyterlab, "01_swap") as book:
        book.run_all(240)
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
        frames = book.cell("columns =").locator("table").first
        assert frames.locator("tr").count() == 9  # eight frames, and how many more there are
        with book.page.expect_download() as download:
            book.page.locator("a[download]", has_text=".zip").click()
        assert download.value.suggested_filename.startswith("swap-")

        photo = media.read_image(samples.photo("C"))
        photo[0, 0] ^= 1  # no longer a bundled face
        media.write_image(tmp_path / "me.png", photo)
        with book.page.expect_file_chooser() as chooser:
            panel.locator(".widget-upload").first.click()
        chooser.value.set_files(tmp_path / "me.png")
        book.wait_text(caption, "me.png .uploaded.")
        book.button("Swap the face").click()
        book.wait_text(status, "needs a consent statement")
        assert not result.is_visible() or pixels(result) == (1, 1)  # the last one's is gone
        book.field("Consent").fill("A face that I made up, for a test.")
        book.button("Swap the face").click()
        book.wait_text(status, r"\d+ swapped.*written to")
        assert result.get_attribute("src") != before and pixels(result)[0] > 1000
        expect(book.button("Swap the face")).to_be_enabled(timeout=60_000)  # pictures followed

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
        book.run_all(240)
        assert book.errors() == []
        panel = book.cell("SplatPanel(")
        status = panel.locator(".widget-html-content").first
        preview, plot = (panel.locator("img.widget-image").nth(i) for i in (0, 1))
        text = book.wait_text(status, r"held-out views: \d\d\.\d+ dB.*written to")
        folder = text.strip().split("splats-")[-1]
        assert pixels(preview) == (256, 256) and pixels(plot) == (400, 260)
        video = book.page.locator("video")
        video.scroll_into_view_if_needed()
        book.page.wait_for_function("() => document.querySelector('video').currentTime > 0")

        widget = book.cell("view(trimmed)")
        widget.locator(".page.ready").wait_for(timeout=60_000)
        widget.scroll_into_view_if_needed()
        assert widget.locator("#view").bounding_box()["height"] > 300
        assert colors(widget.locator("#view")) > 200  # a head, not one color
        assert "SYNTHETIC" in widget.locator("#label").inner_text()

        book.field("Train for").fill("2")
        panel.locator("button.jupyter-button", has_text="Train").click()
        book.wait_text(status, rf"held-out views: \d\d\.\d+ dB.*written to \S+splats-(?!{folder})")
        assert set(book.requests) <= {BADGE}


AVATAR = """import numpy as np
from tests.fixtures.talking_ball import BallScene
from idf_helpers.notebook import view
from idf_helpers.provenance import Mark
viewer = view(BallScene(), soft_edge=False, title="My own",
              mark=Mark("0123456789ab", "a test's avatar", consent="c" * 64).text())
viewer"""
SECOND = """other = view(BallScene(300), soft_edge=False, background="white")
other"""
MOVE = """viewer.show(np.eye(12)[0])
viewer.camera = {"yaw": 40}"""
TELL = """print("at", viewer.expression[1:3], viewer.camera["yaw"], viewer.camera["distance"],
      len(viewer.timeline["keys"]))"""
KERNEL = """from idf_helpers.notebook.orbit_viewer import OrbitViewer
OrbitViewer(BallScene(), size=96)"""


def test_an_avatars_widget_moves_with_the_hand_and_with_the_kernel(requires_chromium, jupyterlab,
                                                                   tmp_path):
    lab.write_notebook(jupyterlab, "avatar", [AVATAR, SECOND, MOVE, TELL, KERNEL])
    with lab.opened(requires_chromium, jupyterlab, "avatar") as book:
        complaints = []
        book.page.on("pageerror", lambda e: complaints.append(str(e)))
        widget = book.cell("BallScene()")
        book.run_cell("BallScene()")
        widget.locator(".page.ready").wait_for(timeout=60_000)
        canvas = widget.locator("#view")
        picture = "c => { c.view.render(); return c.toDataURL(); }"
        state = ("c => [c.face.value[0], c.orbit.goal.yaw].map(x => +x.toFixed(3))")
        neutral = canvas.evaluate(picture)
        widget.get_by_role("slider", name="Mouth smile").fill("0.6")  # hand -> picture, no kernel
        assert canvas.evaluate(picture) != neutral
        assert widget.locator("#share").is_hidden()                    # it has no address
        with book.page.expect_download() as download:
            widget.locator("#picture").click()
        assert download.value.suggested_filename == "My-own.png"
        download.value.save_as(tmp_path / "My-own.png")
        said = provenance.verify(tmp_path / "My-own.png")
        assert said.fields["made"] == "a picture of a test's avatar" and not said.problems
        canvas.focus()
        for _ in range(2):
            book.page.keyboard.press("k")
        book.run_cell("BallScene(300)")                                # a second one on the page
        second = book.cell("BallScene(300)").locator(".page.ready.light #view")
        second.wait_for(timeout=60_000)
        assert second.evaluate(state) == [0.05, 0] and second.evaluate(picture) != neutral
        book.run_cell("viewer.show(")                                  # kernel -> browser
        book.page.wait_for_function(
            "() => [...document.querySelectorAll('*')].map(e => e.shadowRoot?."
            "querySelector('#view')).find(Boolean)?.face.value[0] === 1")
        assert canvas.evaluate(state) == [1.0, 0.698] and second.evaluate(state) == [0.05, 0]

        widget.get_by_role("slider", name="Mouth smile").fill("0.6")
        search = widget.locator("#search")
        search.click()
        book.page.keyboard.type("ddbb")  # letters, no commands of Lab
        assert search.input_value() == "ddbb" and book.page.locator(".jp-CodeCell").count() == 5
        box = canvas.bounding_box()
        book.page.mouse.move(box["x"] + 200, box["y"] + 150)
        book.page.mouse.wheel(0, 200)
        book.page.wait_for_timeout(300)  # the kernel hears of it when the hand rests
        book.run_cell("print(\"at\"")
        said = book.wait_text(book.cell("print(\"at\"").locator(".jp-OutputArea-output"), r"at \[")
        smile, yaw, distance, keys = said.split("] ")[0], *map(float, said.split("] ")[1].split())
        assert keys == 2 and smile.strip() == "at [0.6, 0.6" and yaw == 40 and distance > 1.2

        canvas.evaluate("c => { window.old = c; }")
        book.run_cell("BallScene()")     # again: the old view goes, its graphics context with it
        book.page.wait_for_function(
            "() => old.view.gl.isContextLost() && [...document.querySelectorAll('*')].map(e => "
            "e.shadowRoot?.querySelector('.page.ready #view')).filter(Boolean).length === 2")
        book.run_cell("OrbitViewer(")    # the one that the kernel draws
        image = book.cell("OrbitViewer(").locator("img.widget-image")
        image.wait_for()
        before = image.get_attribute("src")
        handle = book.cell("OrbitViewer(").locator(".noUi-handle").first
        handle.focus()
        for _ in range(12):
            book.page.keyboard.press("ArrowRight")
        book.page.wait_for_function("([e, src]) => e.src !== src && e.naturalWidth === 96",
                                    arg=[image.element_handle(), before])
        book.page.evaluate("""() => { const get = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === 'webgl2' ? null : get.call(this, kind, ...rest); }; }""")
        book.run_cell("BallScene(300)")  # a browser without WebGL2: the kernel draws, and says so
        cell = book.cell("BallScene(300)")
        cell.locator("#notice", has_text="kernel draws").wait_for(timeout=60_000)
        image = cell.locator("img#view")
        shown = "([e, src]) => e.src !== src && e.naturalWidth === 360"
        book.page.wait_for_function(shown, arg=[image.element_handle(), ""])
        before = image.get_attribute("src")
        cell.get_by_role("slider", name="Jaw open").fill("1")
        book.page.wait_for_function(shown, arg=[image.element_handle(), before])
        assert book.errors() == [] and complaints == [] and book.requests == []


STILLS = """import numpy as np
from idf_helpers.notebook.widgets import Panel, picture_widget, png
from idf_helpers.notebook import view
from tests.fixtures.talking_ball import BallScene

class One(Panel):
    def controls(self):
        self.picture = picture_widget()
        return [self.picture]
    def work(self):
        self.picture.value = png(np.full((40, 90, 3), 90, np.uint8))

panel = One()
panel"""


def test_a_saved_notebook_shows_stills_where_the_kernel_is_gone(requires_chromium, jupyterlab):
    lab.write_notebook(jupyterlab, "stills", [STILLS, "view(BallScene(), soft_edge=False)"])
    still = ".jp-RenderedImage img"
    with lab.opened(requires_chromium, jupyterlab, "stills") as book:
        book.run_all()
        assert book.errors() == []
        book.button("Run").first.click()  # in a thread, after the cell
        book.page.wait_for_function(f"() => document.querySelectorAll('{still}').length === 2")
        assert book.cell("class One").locator("img.widget-image").is_visible()
        book.cell("view(").locator(".page.ready").wait_for(timeout=60_000)
        assert book.page.locator(still).count() == 2  # there, and hidden while the widgets live
        assert not any(book.page.locator(still).nth(i).is_visible() for i in range(2))
        book.page.keyboard.press("Control+s")
        book.page.wait_for_function(
            "() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
        book.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    with lab.opened(requires_chromium, jupyterlab, "stills") as book:
        book.page.wait_for_timeout(1500)  # the widgets' models are looked for
        for i, width in enumerate((90, 360)):
            picture = book.page.locator(still).nth(i)
            picture.scroll_into_view_if_needed()
            assert picture.is_visible() and pixels(picture)[0] == width
        told = book.page.get_by_text("Error displaying widget")
        assert not any(told.nth(i).is_visible() for i in range(told.count()))
