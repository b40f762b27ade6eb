"""Progress for people at a shell: one line that is rewritten on a terminal, a line now and then
where the output goes to a file."""

from __future__ import annotations

import sys
import time

EVERY_S = 10.0  # between two lines where there is no terminal
REFRESH_S = 0.2


class Line:
    """Shows `step: 42 %  details` on stderr."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stderr
        self._live = self.stream.isatty()
        self._step, self._told, self._width = "", -1e9, 0

    def __call__(self, step: str, fraction: float, details: str = "") -> None:
        """fraction: of this step, in [0, 1]."""
        now = time.monotonic()
        new = step != self._step
        pause = REFRESH_S if self._live else EVERY_S
        if not new and now - self._told < pause and fraction < 1:
            return
        if new and self._step:
            self._end()
        self._step, self._told = step, now
        text = f"  {step}: {100 * fraction:3.0f} %  {details}".rstrip()
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

    def training(self, p) -> None:
        """For `splats.train.fit`'s progress."""
        self("training", p.fraction, f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second,"
             f" {p.psnr_train:.1f} dB, {p.num_gaussians} Gaussians, {p.memory_mb:.0f} MB")
