"""Signs of life: what goes on, how much of it is done, how long it still takes, by the second."""

from __future__ import annotations

import contextlib
import html
import threading
import time

from ..errors import IdfError
from ..runtime.progress import Remaining, Reporter

RED = "#d93025"  # legible on a light and on a dark page
BEAT_S = 1.0  # between two looks at whether anything was said
QUIET_S = 1.9  # after which the elapsed time is shown: a sign at least every three seconds
EVERY_S = 0.1  # between two pictures of the bar
TEXT = "white-space:pre-wrap;line-height:1.5;max-width:640px"


class Signs(Reporter):
    """Turns what stages report into a fraction, a line of text and notes; subclasses show them.

    A line that stays for longer gets the seconds since it was written behind it, so that a step
    without parts is seen to go on, too.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self._text, self._color, self._fraction = "", "inherit", 0.0
        self._written = self._drawn = 0.0
        self._remaining = Remaining()
        self._stopping = False

    def draw(self, text: str, color: str, fraction: float) -> None:
        """Show the line of text and the bar. fraction: in [0, 1]."""
        raise NotImplementedError

    def write(self, text: str, color: str = "inherit") -> None:
        """Set the line of text."""
        self._text, self._color, self._written = text, color, time.monotonic()
        self.draw(text, color, self._fraction)

    def _heed_stop(self) -> None:
        """Raise KeyboardInterrupt, once, where a Stop was asked for."""
        if self._stopping:
            self._stopping = False
            raise KeyboardInterrupt

    def step(self, what: str, fraction: float, details: str = "") -> None:
        self._heed_stop()
        new = not self._text.startswith(what)
        self._fraction = float(fraction)
        left = self._remaining.words(what, fraction)
        text = f"{what} … {100 * fraction:.0f} % {details}".rstrip() + (f", {left}" if left else "")
        if new or fraction >= 1 or time.monotonic() - self._drawn >= EVERY_S:
            self._drawn = time.monotonic()
            self.write(text)

    def training(self, progress) -> None:
        p = progress
        self.step("training", p.fraction, f"{p.iteration} iterations, {p.size}".rstrip(", "))

    def stage(self, text: str) -> None:
        self._heed_stop()
        self.write(text)

    def note(self, text: str) -> None:
        if text not in self.said:
            self.said.append(text)
        self.draw(self._text, self._color, self._fraction)

    @contextlib.contextmanager
    def working(self):
        """Show the elapsed time where nothing is said, until the block ends."""
        over = threading.Event()
        self._remaining = Remaining()
        beat = threading.Thread(target=self._beat, args=(over,), name="idf-beat", daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()

    def beat(self) -> None:
        """Do what has to be done by the second."""

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(BEAT_S):
            self.beat()
            quiet = time.monotonic() - self._written
            if quiet > QUIET_S and not over.is_set():
                self.draw(f"{self._text} · {quiet:.0f} s", self._color, self._fraction)


class Bar(Signs):
    """A bar below a cell while something runs in it, an ordinary output, which a saved notebook
    keeps:

        with Bar("writing the page") as bar:
            export(model, path, reporter=bar)

    what: what goes on, for as long as nothing else is reported. panel: one that is far above, or
    not shown: what it says is shown here.
    """

    def __init__(self, what: str = "working", panel=None):
        super().__init__()
        self.what, self.panel, self._handle = what, panel, None

    def __enter__(self) -> Bar:
        from IPython.display import HTML, display

        self._began = time.monotonic()
        self._handle = display(HTML(""), display_id=True)
        self._block = self.working()
        self._block.__enter__()
        self.write(f"{self.what} …")
        if self.panel is not None:
            self.panel.echo = self
        return self

    def __exit__(self, kind, error, trace) -> bool:
        self._block.__exit__(kind, error, trace)
        if self.panel is not None:
            self.panel.echo = None
        if kind is None:
            self._fraction = 1.0
            self.write(f"{self.what}: {time.monotonic() - self._began:.0f} s")
        elif issubclass(kind, KeyboardInterrupt):
            self.write("stopped; run the cell again: what is finished is kept")
        elif issubclass(kind, IdfError):
            self.write("")  # the cell says it
        return False

    def draw(self, text: str, color: str, fraction: float) -> None:
        if self._handle is None:  # outside IPython, or not entered
            return
        from IPython.display import HTML

        bar = "" if fraction >= 1 or not text else \
            f'<progress max="1" value="{fraction:.3f}" style="width:640px;max-width:100%">' \
            "</progress><br>"
        lines = "\n".join([text, *(f"note: {n}" for n in self.said)])
        self._handle.update(HTML(f'{bar}<span style="color:{color};{TEXT}">{html.escape(lines)}'
                                 "</span>"))
