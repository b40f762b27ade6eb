"""A still picture beside every widget, so that a saved notebook shows something without a kernel.

GitHub and nbviewer draw no widgets, and JupyterLab writes "Error displaying widget" where the
kernel is gone. So a widget is followed by a JPEG of what it shows. Style rules hide the JPEG as
long as the widget lives, and the widget's place once it does not. Colab and VS Code have pages
of another structure: there both are one output, and the page chooses.
"""

from __future__ import annotations

import base64
import os
import weakref
from collections.abc import Iterator

import ipywidgets as w
import numpy as np

from .. import provenance
from ..data.media import encode_image, over, read_image, resize_area, to_uint8
from ..runtime.colab import in_colab

VIEW = "application/vnd.jupyter.widget-view+json"
WIDTH = 720  # pixels; wider stills are made smaller, the file is to stay small
SMALLEST = 8  # pixels; a picture below that is a place holder
# The output that holds the rules, the widget's and the still follow each other. A widget that is
# alive is an element inside its output (lm-Widget); of a dead one there is only a text.
RULES = """<style class="idf-still">
.jp-OutputArea-child:has(style.idf-still),
.jp-OutputArea-child:has(style.idf-still)
  + .jp-OutputArea-child:not(:has(.jp-OutputArea-output > .lm-Widget)),
.jp-OutputArea-child:has(style.idf-still)
  + .jp-OutputArea-child:has(.jp-OutputArea-output > .lm-Widget)
  + .jp-OutputArea-child { display: none; }
</style>"""
NOTHING = {"text/html": "<!-- no still yet -->"}


class WithStill:
    """A mixin that shows a widget and beside it a still.

    `shown_widget()` is the widget, by default `self.box`; `still()` the picture, by default all
    those in the widget, one below the other. `refresh_stills()` runs after every cell; call it
    where a widget changes at other times.
    """

    still_alt = "A still of the widget"

    def shown_widget(self) -> w.Widget:
        """Return what is displayed."""
        return self.box

    def still(self) -> np.ndarray | None:
        """Return a uint8 (H, W, 3) picture of what is shown, None where there is none yet."""
        return stacked(list(pictures_in(self.shown_widget())))

    def _ipython_display_(self) -> None:
        _Shown(self)


class _Shown:
    """One place on the page where a widget and its still were put."""

    alive: list[_Shown] = []
    hooked: weakref.WeakSet = weakref.WeakSet()

    def __init__(self, owner: WithStill):
        from IPython.display import display

        self.owner, self.last, self.handle = weakref.ref(owner), None, None
        widget = owner.shown_widget()
        view, metadata = _bundle(widget)
        still = self._still()
        if in_colab() or any(name.startswith("VSCODE_") for name in os.environ):
            display({**view, **(still or {})}, metadata=metadata, raw=True)
            return
        display({"text/html": RULES}, raw=True)
        display({VIEW: view[VIEW]}, metadata=metadata, raw=True)
        self.handle = display(still or NOTHING, metadata=self._alt(), raw=True, display_id=True)
        _Shown.alive.append(self)
        self._hook()

    def _still(self) -> dict | None:
        """Return the still as a bundle; None where there is none, or the same as before."""
        owner = self.owner()
        image = None if owner is None else owner.still()
        if image is None:
            return None
        data = jpeg(image)
        if data == self.last:
            return None
        self.last = data
        return {"image/jpeg": base64.b64encode(data).decode()}

    def _alt(self) -> dict:
        owner = self.owner()
        return {"image/jpeg": {"alt": getattr(owner, "still_alt", "")}}

    def refresh(self) -> None:
        """Put the still of now in the place of the one before."""
        from IPython.display import display

        bundle = self._still()
        if bundle is not None:
            display(bundle, metadata=self._alt(), raw=True, display_id=self.handle.display_id,
                    update=True)

    @classmethod
    def _hook(cls) -> None:
        from IPython import get_ipython

        shell = get_ipython()
        if shell is not None and shell not in cls.hooked:
            cls.hooked.add(shell)
            shell.events.register("post_run_cell", lambda *_: refresh_stills())


def refresh_stills() -> None:
    """Bring the stills of all displayed widgets up to date."""
    _Shown.alive = [shown for shown in _Shown.alive if shown.owner() is not None]
    for shown in _Shown.alive:
        shown.refresh()


def _bundle(widget: w.Widget) -> tuple[dict, dict]:
    """Return data and metadata of a widget's view, as ipywidgets 8 makes them and 7 displays."""
    maker = getattr(widget, "_repr_mimebundle_", None)
    made = maker() if maker else None
    data, metadata = made if isinstance(made, tuple) else (made, {})
    if not data:
        data = {VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
    return data, metadata or {}


def jpeg(image: np.ndarray) -> bytes:
    """Return a still as the bytes of a JPEG that is marked as synthetic."""
    h, width = image.shape[:2]
    if width > WIDTH:
        image = resize_area(image, WIDTH, max(1, round(h * WIDTH / width)))
    data = encode_image(image, ".jpg", quality=85)
    return provenance.mark_picture_bytes(
        data, ".jpg", provenance.Mark("notebook", "still of a notebook's widget"))


def pictures_in(widget: w.Widget) -> Iterator[np.ndarray]:
    """Yield the pictures in a tree of widgets that are shown, uint8 (H, W, 3), over white."""
    layout = getattr(widget, "layout", None)
    if layout is not None and (layout.display == "none" or layout.visibility == "hidden"):
        return
    if isinstance(widget, w.Image) and widget.value:
        picture = read_image(bytes(widget.value))
        if min(picture.shape[:2]) >= SMALLEST:
            yield to_uint8(over(picture))
    for child in getattr(widget, "children", ()):
        yield from pictures_in(child)


def stacked(pictures: list[np.ndarray]) -> np.ndarray | None:
    """Return pictures one below the other on white, (H, W, 3) uint8; None where there are none."""
    if not pictures:
        return None
    width = max(p.shape[1] for p in pictures)
    return np.concatenate([np.pad(p, ((0, 6), (0, width - p.shape[1]), (0, 0)),
                                  constant_values=255) for p in pictures])[:-6]
