"""A user's clone of an upstream program: found by an environment variable, its scripts run.

Nothing of these programs is fetched, changed or built here.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

TAIL = 4000  # characters of a script's output that are kept for an error
LOOK_S = 0.5  # between two looks at whether it was told to stop, while a script prints nothing


@dataclass(frozen=True)
class Check:
    """One thing that an upstream program asks for.

    what: its name. readme: what the program's README says about it, in its words. lack: None where
    it is here, else one line: what is missing and what to do.
    """

    what: str
    readme: str
    lack: str | None


@dataclass(frozen=True)
class Clone(ABC):
    """One clone.

    source: its folder, None where none is named. python: what runs its scripts.
    name, env, url, license: of the program; `env` is the variable that names a clone.
    """

    name: ClassVar[str]
    env: ClassVar[str]
    url: ClassVar[str]
    license: ClassVar[str]
    stand_in: ClassVar[bool] = False  # whether it only shows how the program is used

    source: Path | None = None
    python: str = sys.executable

    @classmethod
    def here(cls) -> Self:
        """Return the clone that the environment names."""
        named = os.environ.get(cls.env, "").strip()
        return cls(Path(named).expanduser().resolve() if named else None)

    @classmethod
    def at(cls, folder) -> Self:
        """Return the clone in a folder; "" = the one that the environment names."""
        named = str(folder).strip()
        return cls(Path(named).expanduser().resolve()) if named else cls.here()

    @abstractmethod
    def checks(self) -> Iterator[Check]:
        """Yield what it needs, the first thing first; quick, imports nothing heavy."""

    def missing(self) -> str | None:
        """Return None where it can run, else one line."""
        return next((c.lack for c in self.checks() if c.lack), None)

    def run(self, script: str, arguments: list[str], *, folder: Path | None = None,
            log: Path | None = None, take: Callable[[str], None] = lambda line: None
            ) -> str | None:
        """Run one of its scripts to the end; return None, or the last words of one that failed.

        folder: where it runs, None = the clone. log: file that its output is added to. take: gets
        each line; a carriage return ends one, too. An interrupt ends the script, also one that
        comes to a thread.
        """
        package = Path(__file__).resolve().parents[3]
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            [self.python, script, *arguments], cwd=folder or self.source, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1"})
        tail, lines = "", queue.SimpleQueue()
        reader = threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            with open(log or os.devnull, "a", encoding="utf-8") as kept:
                while True:
                    try:
                        line = lines.get(timeout=LOOK_S)
                    except queue.Empty:
                        continue
                    if line is None:
                        break
                    tail = (tail + line)[-TAIL:]
                    kept.write(line)
                    take(line)
            return None if process.wait() == 0 else tail or f"it ended with {process.returncode}"
        finally:  # an interrupt reaches it here
            if process.poll() is None:
                process.terminate()
                process.wait()
            reader.join(LOOK_S)  # longer than that lives what the script started and left behind


def _pass_on(stream, lines: queue.SimpleQueue) -> None:
    """Put each line into the queue, None after the last. Closes the stream itself: to close it from
    another thread would wait for the line that is being read."""
    try:
        with stream:
            for line in stream:
                lines.put(line)
    finally:
        lines.put(None)
