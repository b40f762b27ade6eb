"""Stills beside widgets: in the saved file, in its HTML, and up to date."""

import base64

import ipywidgets as w
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from idf_helpers.data.media import read_image
from idf_helpers.notebook import still
from idf_helpers.notebook.before_after import BeforeAfter
from idf_helpers.notebook.widgets import BLANK, Panel, picture_widget, png

MAKE = """import numpy as np
from idf_helpers.notebook.widgets import Panel, picture_widget, png
from idf_helpers.notebook import view
from tests.fixtures.talking_ball import BallScene

class Two(Panel):
    still_alt = "a square and a bar"
    def controls(self):
        self.one, self.other = picture_widget(), picture_widget()
        return [self.one, self.other]
    def work(self):
        self.one.value = png(np.full((40, 40, 3), 200, np.uint8))
        self.other.value = png(np.full((20, 60, 3), 90, np.uint8))

panel = Two()
panel"""
RUN = "panel.run()"
LOOK = "viewer = view(BallScene(), soft_edge=False)\nviewer"


@pytest.fixture(scope="module")
def book():
    cells = [nbformat.v4.new_code_cell(source) for source in (MAKE, RUN, LOOK)]
    book = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(book, timeout=120, kernel_name="python3").execute()
    return book


def stills_of(cell):
    return [read_image(base64.b64decode(o["data"]["image/jpeg"])) for o in cell.outputs
            if "image/jpeg" in o.get("data", {})]


def test_a_panel_run_in_a_later_cell_leaves_its_pictures_in_its_own_cell(book):
    picture, = stills_of(book.cells[0])
    assert picture.shape == (66, 60, 3)  # both, with a gap
    assert abs(int(picture[20, 20, 0]) - 200) < 8 and abs(int(picture[56, 30, 0]) - 90) < 8
    assert book.cells[0].outputs[-1].metadata["image/jpeg"]["alt"] == "a square and a bar"
    assert any(still.VIEW in o["data"] for o in book.cells[0].outputs), "the widget itself is there"


def test_a_viewer_leaves_a_picture_of_its_scene(book):
    picture, = stills_of(book.cells[2])
    assert max(picture.shape) == 360 and picture.std() > 10


def test_the_saved_notebook_as_html_shows_the_pictures_and_no_widget_error(book):
    page, _ = HTMLExporter().from_notebook_node(book)
    assert page.count("data:image/jpeg;base64,") == 2
    assert "Error displaying widget" not in page
    assert "a square and a bar" in page


def test_colab_gets_one_output_that_has_both(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a[0], k)))
    monkeypatch.setattr(still, "in_colab", lambda: True)
    pair = (lambda: np.zeros((30, 30, 3), np.uint8), lambda: np.full((30, 30, 3), 255, np.uint8))
    BeforeAfter([pair], ["view"], 64)._ipython_display_()
    (data, options), = shown
    assert {still.VIEW, "image/jpeg"} <= set(data) and options["raw"]


def test_hidden_widgets_and_place_holders_are_left_out():
    dark = png(np.zeros((30, 30, 3), np.uint8))
    hidden = w.Image(value=dark, layout=w.Layout(display="none"))
    assert list(still.pictures_in(w.VBox([hidden, w.Image(value=BLANK), w.HTML("x")]))) == []
    only, = still.pictures_in(w.VBox([hidden, w.HBox([w.Image(value=dark)])]))
    assert only.shape == (30, 30, 3) and not only.any()


def test_a_still_is_small_marked_and_made_only_where_something_changed():
    noise = np.random.default_rng(0).integers(0, 255, (900, 1440, 3), np.uint8)
    data = still.jpeg(noise)
    assert read_image(data).shape == (450, 720, 3) and b"DigitalSourceType" in data

    class Plain(Panel):
        def controls(self):
            self.picture = picture_widget()
            return [self.picture]

    panel = Plain()
    assert panel.still() is None
    panel.picture.value = png(noise)
    assert panel.still().shape == noise.shape
