"""What the notebook panels share. Runs on ipywidgets 7.7 (Colab) and 8.

No `Output` widget and no `interact`: both swallow errors. Pictures go to Image widgets that are
there from the start, a click handler shows an IdfError in the status line and raises it again.
"""

from __future__ import annotations

import contextlib
import ctypes
import html
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..catalogue import STAGES
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset, Frame
from ..data.media import encode_image, read_image
from ..data.sequence import frames_by_yaw
from ..errors import IdfError
from ..exporting.gallery import SHEET_YAWS
from ..runtime.colab import in_colab
from ..runtime.tables import Table
from .bar import RED, TEXT, Bar, Signs
from .still import WithStill, refresh_stills

WIDE = w.Layout(width="640px")
LABEL = {"description_width": "130px"}
WAIT_S = 0.05  # between two looks at whether the button's run has ended
SILENT_S = 3.0  # after a Stop without a report, until the run is interrupted
AGAIN_S = 30.0  # after a Stop, until another one counts: until then the run keeps its state
NEXT = "Run the cells below to go on with it."
BELOW = "Pictures below have followed. Tables, videos and downloads are those of the run before: \
run their cells again."


def fast() -> bool:
    """Return whether IDF_FAST is set: tests shorten budgets by it, never steps."""
    return os.environ.get("IDF_FAST", "") not in ("", "0")


def uploaded_files(upload) -> dict[str, bytes]:
    """Return name -> content of a FileUpload: a dict in ipywidgets 7, a tuple of dicts in 8."""
    value = upload.value
    items = value.items() if isinstance(value, dict) else ((f["name"], f) for f in value)
    return {str(name): bytes(f["content"]) for name, f in items}


def png(image: np.ndarray) -> bytes:
    """Return a picture as an Image widget takes it: of uint8 or float (H, W, 3|4)."""
    return encode_image(image, ".png")


BLANK = png(np.zeros((1, 1, 4), np.uint8))  # one transparent pixel


def picture_widget(width: int = 640) -> w.Image:
    """Return an Image widget that shows nothing yet, so that it has its place."""
    return w.Image(value=BLANK, format="png", layout=w.Layout(
        max_width=f"min({width}px, 100%)", align_self="flex-start"))  # a box would stretch it


class Panel(WithStill, Signs):
    """A button, a Stop button, a status line and `run()`, which the button calls.

    Subclasses make their widgets in `controls()` and do their work in `work`. The stages report to
    the panel itself. In a notebook the button runs in a thread of its own, so that Stop, sliders
    and other cells are heard; `run()` in a cell is a plain call.
    """

    action = "Run"
    echo: Bar | None = None
    goes_on = "stopped; the button, or the cell, goes on from there"

    def __init__(self):
        super().__init__()
        self._drawing, self._stop_since = False, -math.inf
        self._alone = threading.RLock()  # kernels with subshells hear the button during a cell
        self.button = w.Button(description=self.action, button_style="primary")
        self.stop_button = w.Button(description="Stop", icon="stop",
                                    layout=w.Layout(width="90px", visibility="hidden"))
        self.status, self.notes = w.HTML(), w.HTML()
        self.bar = w.FloatProgress(min=0.0, max=1.0, layout=WIDE)
        self.button.on_click(self._clicked)
        self.stop_button.on_click(lambda _: self.stop())
        self._thread: threading.Thread | None = None
        self._followers: dict[object, Callable[[], None]] = {}
        self._followed: object = None
        self.box = w.VBox([*self.controls(), w.HBox([self.button, self.stop_button]), self.bar,
                           self.status, self.notes])

    def controls(self) -> list:
        raise NotImplementedError

    def work(self):
        """Do what the panel is for, and return the result."""
        raise NotImplementedError

    def result_key(self) -> object:
        """Return what tells one result from another: what follows is made anew where it changed."""
        return object()

    def run(self):
        """Do the work; a run of the button that still goes on is waited for. Stop keeps what is
        there, and a later run goes on from it."""
        self._wait_for_the_button()
        with self._alone:
            if threading.current_thread() is not self._thread:
                self._stopping = False  # of a run of the button that ended all the same
            self.said.clear()
            self._fraction = 0.0
            self.write("starting …")
            with self._telling(), self.working():
                result = self.work()
                self._fraction = 1.0
                self.draw(self._text, self._color, 1.0)
                self._follow()
            return result

    @contextlib.contextmanager
    def _telling(self):
        """Write into the status line what ends a run early."""
        try:
            yield
        except IdfError as error:
            self.write(str(error), RED)
            raise
        except KeyboardInterrupt:
            self.write(self.goes_on)
            raise
        except Exception as error:  # a bug of ours: Jupyter hides a handler's traceback in its log
            self.write(f"{type(error).__name__}: {error}\n"
                     "run the next cell to see where it comes from", RED)
            raise

    def follow(self, key: object, show: Callable[[], None]) -> None:
        """Call `show` after each run with another result; of one key the last counts."""
        self._followers[key], self._followed = show, self.result_key()

    def _follow(self) -> None:
        key = self.result_key()
        if key != self._followed:
            for show in self._followers.values():
                show()
        self._followed = key

    @property
    def busy(self) -> bool:
        """Whether a run of the button goes on."""
        return self._thread is not None and self._thread.is_alive()

    def _wait_for_the_button(self) -> None:
        if self._thread is threading.current_thread():
            return
        try:
            while self.busy:  # a `join` that is interrupted takes the thread for ended
                time.sleep(WAIT_S)
        except KeyboardInterrupt:
            self.stop()
            raise

    def start(self) -> None:
        """Run in a thread, as the button does in a notebook."""
        if not self.busy:
            self._stopping, self._stop_since = False, -math.inf
            self._thread = threading.Thread(target=self._in_thread, name="idf-run", daemon=True)
            self.stop_button.layout.visibility = "visible"
            self._thread.start()

    def stop(self) -> None:
        """End the run of the button, as Stop does that of a cell; nothing where none goes on. It
        ends where it reports next; where it reports nothing for a while, `beat` ends it. A second
        press soon after is passed over: it would hit what keeps the state."""
        now = time.monotonic()
        if self.busy and not self._stopping and now - self._stop_since > AGAIN_S:
            self.write("stopping …")
            self._stop_since, self._stopping = now, True

    def beat(self) -> None:
        """Interrupt a run that is to stop and says nothing, but not while it draws: the sockets of
        the kernel do not take that."""
        if self._stopping and not self._drawing and self.busy \
                and time.monotonic() - self._stop_since > SILENT_S:
            self._stopping = False  # once, see `stop`
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(KeyboardInterrupt))

    def _in_thread(self) -> None:
        with contextlib.suppress(Exception, KeyboardInterrupt):  # the status line has it
            self._answer()
        self._stopping = False  # a Stop after the last report is no longer for anything
        self.stop_button.layout.visibility = "hidden"

    def _clicked(self, _button) -> None:
        if in_kernel():
            self.start()
        else:
            self._answer()

    def _answer(self) -> None:
        self.button.disabled = True
        try:
            with self._telling():
                self.run()
            self.write(f"{self._text}\n{BELOW if self._followers else NEXT}")
        finally:
            try:
                with self._telling():
                    refresh_stills()
            finally:
                self.button.disabled = False

    def draw(self, text: str, color: str, fraction: float) -> None:
        self._drawing = True
        try:
            if self.echo is not None:
                self.echo._fraction = fraction
                self.echo.write(text, color)
            self.bar.value = float(fraction)
            self.status.value = f'<div style="color:{color};{TEXT}">{html.escape(text)}</div>'
            self.notes.value = "".join(f'<div style="{TEXT}">note: {html.escape(n)}</div>'
                                       for n in self.said)
        finally:
            self._drawing = False


def in_kernel() -> bool:
    """Return whether this is a notebook's kernel, whose message loop a handler would block."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class MethodsTable(Table):
    """Methods of a stage; a notebook shows those that run here, the others when they are unfolded.
    """

    def _repr_html_(self) -> str:
        here = [r for r in self.rows if not r["missing"]]
        lack = [r for r in self.rows if r["missing"]]
        shown = Table(here, self.columns[:-1])._repr_html_()
        return shown + (f"<details><summary>{len(lack)} more need something that is not here"
                        f"</summary>{Table(lack, self.columns)._repr_html_()}</details>"
                        if lack else "")


def methods_table(stage: str) -> MethodsTable:
    """Return the methods of a stage ("swap", "splats" …) and what each of them lacks here."""
    return MethodsTable(map(vars, STAGES[stage].available()),
                        ["name", "summary", "license", "missing"])


def chosen_frames(data: Dataset) -> list[tuple[str, Frame]]:
    """Return a row of a dataset's frames with their captions: views from one profile to the other,
    of a sequence a few spread over time."""
    if data.train[0].expression is None:
        return [(f"yaw {yaw:.0f}°", f) for yaw, f in frames_by_yaw(data.frames, SHEET_YAWS)]
    return [(Path(f.name).name, f) for f in data.train[:: max(1, len(data.train) // 8)][:8]]


def frames_row(data: Dataset, cell: int = 130) -> np.ndarray:
    """Return `chosen_frames` of a dataset as one picture: (H, W, 3) uint8."""
    chosen = chosen_frames(data)
    return contact_sheet([f.image() for _, f in chosen], columns=len(chosen), cell=cell,
                         captions=[caption for caption, _ in chosen])



def show(picture):
    """Show a picture: an array, or the path of a file."""
    from IPython.display import Image

    return Image(data=png(picture if isinstance(picture, np.ndarray) else read_image(picture)))


def follow(panel: Panel, make: Callable) -> None:
    """Show what `make` returns in this cell, and after each later run of the panel with another
    result what it returns then, in the same place. make: returns what `show` takes."""
    from IPython.display import display

    code = getattr(make, "__func__", make).__code__
    handle = display(show(make()), display_id=True)
    panel.follow((code.co_filename, code.co_firstlineno), lambda: handle.update(show(make())))


def show_video(path, width: int = 480):
    """Show an MP4 inside the notebook (embedded: it plays on Colab too, and after a move)."""
    from IPython.display import Video

    return Video(str(path), embed=True, width=width,
                 html_attributes="controls loop autoplay muted playsinline")


def offer(paths) -> None:
    """Show links to finished files; on Colab buttons that download them."""
    from IPython.display import HTML, display

    if in_colab():
        from google.colab import files

        for path in paths:
            button = w.Button(description=f"Download {Path(path).name}", layout=WIDE)
            button.on_click(lambda _, p=path: files.download(str(p)))
            display(button)
        return
    # "download": Lab would open them itself, a page without its scripts and an archive not at all
    links = "<br>".join(f'<a href="{html.escape(os.path.relpath(p))}" download>'
                        f'{html.escape(str(p))}</a> ({size_text(Path(p).stat().st_size)})'
                        for p in paths)
    display(HTML(links))


def size_text(size: int) -> str:
    """Return a number of bytes as "13.3 MB" or "40 kB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
