"""Ends from outside that leave time to save: SIGTERM (docker stop, Slurm) and SIGHUP (a closed
terminal) do what Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading


class Stopped(KeyboardInterrupt):
    """Raised where a signal came; `number` says which."""

    def __init__(self, number: int):
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextlib.contextmanager
def stopping():
    """Raise `Stopped` inside the block where one of the signals comes: in the main thread, for
    signals that would end the program (not under nohup, not where the caller has a handler)."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number, frame):
    for name in ("SIGTERM", "SIGHUP"):  # the second one must not break off what the first began
        if (other := getattr(signal, name, None)) is not None \
                and signal.getsignal(other) is _stop:
            signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)
