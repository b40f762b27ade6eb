"""Progress at a shell: one line that is rewritten on a terminal, a line now and then
where the output goes to a file."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

EVERY_S = 10.0  # between two lines where there is no terminal
REFRESH_S = 0.2


class Reporter:
    """Receives the progress of a running stage; this one is silent, subclasses show it."""

    def step(self, what: str, fraction: float, details: str = "") -> None:
        """Report how much of a step is done. fraction: of this step, in [0, 1]."""

    def training(self, progress: Any) -> None:
        """Take a `reconstruction.trainer.Progress`."""

    def stage(self, text: str) -> None:
        """Report the stage that begins, such as "2/3 splats  120 seconds of training"."""

    def note(self, text: str) -> None:
        """Report a note, such as an oddity of the input."""


class Remaining:
    """How long a step still takes, from how fast its fraction grew."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._what, self._began = "", (0.0, 0.0)

    def words(self, what: str, fraction: float) -> str:
        """Return "about 40 s left"; "" in the first second, and where the step is done."""
        now = self._now()
        if what != self._what or fraction < self._began[1]:
            self._what, self._began = what, (now, fraction)
        seconds, done = now - self._began[0], fraction - self._began[1]
        if seconds < 1 or done <= 0 or fraction >= 1:
            return ""
        left = seconds * (1 - fraction) / done
        return f"about {left:.0f} s left" if left < 100 else f"about {left / 60:.0f} min left"


def training_text(p: Any, of: str = "") -> str:
    """Return what is known of a training as one line; p: `Progress` of the trainer. of: " on …",
    the pictures that its PSNR is of. A program that tells no PSNR tells its loss."""
    fit = f"{p.psnr_train:.1f} dB{of}" if math.isfinite(p.psnr_train) else \
        f"loss {p.loss:.4f}" if math.isfinite(p.loss) else ""
    return ", ".join(filter(None, (f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second",
                                   fit, p.size, f"{p.memory_mb:.0f} MB")))


class Line(Reporter):
    """Shows `step: 42 %  details` on stderr, notes on stdout."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self._live = self.stream.isatty()
        self._step, self._shown, self._width, self._full = "", -1e9, 0, False

    def step(self, what: str, fraction: float, details: str = "") -> None:
        now = time.monotonic()
        new = what != self._step
        pause = REFRESH_S if self._live else EVERY_S
        if not new and (self._full or now - self._shown < pause and fraction < 1):
            return
        if new and self._step:
            self._end()
        self._step, self._shown, self._full = what, now, fraction >= 1
        text = f"  {what}: {100 * fraction:3.0f} %  {details}".rstrip()
        if self._live:
            self.stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def _end(self) -> None:
        if self._live and self._width:
            self.stream.write("\n")
        self._width = 0

    def close(self) -> None:
        self._end()
        self._step = ""

    def training(self, p: Any) -> None:
        self.step("training", p.fraction, training_text(p))

    def stage(self, text: str) -> None:
        self.close()
        print(text, flush=True)

    def note(self, text: str) -> None:
        self._end()
        print(f"  note: {text}", flush=True)
