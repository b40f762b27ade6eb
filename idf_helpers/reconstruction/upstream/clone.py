"""A user's clone of an upstream program: found by an environment variable, its scripts run.

Nothing of these programs is fetched, changed or built here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

TAIL = 4000  # characters of a script's output that are kept for an error


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

    source: Path | None = None
    python: str = sys.executable

    @classmethod
    def here(cls) -> Self:
        """Return the clone that the environment names."""
        named = os.environ.get(cls.env, "").strip()
        return cls(Path(named).expanduser().resolve() if named else None)

    @abstractmethod
    def missing(self) -> str | None:
        """Return None where it can run, else one line; quick, imports nothing heavy."""

    def run(self, script: str, arguments: list[str], *, folder: Path | None = None,
            log: Path | None = None, take: Callable[[str], None] = lambda line: None
            ) -> str | None:
        """Run one of its scripts to the end; return None, or the last words of one that failed.

        folder: where it runs, None = the clone. log: file that its output is added to. take: gets
        each line; a carriage return ends one, too. An interrupt ends the script.
        """
        package = Path(__file__).resolve().parents[3]
        path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            [self.python, script, *arguments], cwd=folder or self.source, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1"})
        tail = ""
        try:
            with open(log or os.devnull, "a", encoding="utf-8") as kept:
                while line := process.stdout.readline():
                    tail = (tail + line)[-TAIL:]
                    kept.write(line)
                    take(line)
            return None if process.wait() == 0 else tail or f"it ended with {process.returncode}"
        finally:  # an interrupt reaches it here
            if process.poll() is None:
                process.terminate()
                process.wait()
            process.stdout.close()
