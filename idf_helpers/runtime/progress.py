"""Progress at a shell: one line that is rewritten on a terminal, a line now and then
where the output goes to a file."""

from __future__ import annotations

import sys
import time
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
        self.step("training", p.fraction,
                  f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second, "
                  f"{p.psnr_train:.1f} dB, {p.size}, {p.memory_mb:.0f} MB")

    def stage(self, text: str) -> None:
        self.close()
        print(text, flush=True)

    def note(self, text: str) -> None:
        self._end()
        print(f"  note: {text}", flush=True)
