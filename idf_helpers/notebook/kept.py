"""What was entered into a panel, kept for the next *Run All* and for the next kernel."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import IdfError
from ..runtime.files import read_json, sha256_bytes, stable_hash, write_bytes, write_json

FILE = "entered.json"


class Kept:
    """Keeps the values of widgets in `runs`/entered.json while what the notebook gives stays.

    name: of the panel. given: what the notebook's parameters say, and whatever else makes the
    entries out of date when it changes: then they are dropped. Nothing is written before something
    is entered.
    """

    def __init__(self, runs, name: str, given: Mapping[str, Any]):
        self.path, self.name = Path(runs) / FILE, name
        self.given = stable_hash(dict(given))[:16]

    def restore(self, widgets: Mapping[str, Any]) -> list[str]:
        """Set the widgets to what was entered, from then on keep what is; return which were set. A
        value that a widget no longer takes is left."""
        entry = self._read().get(self.name, {})
        values = entry.get("values") if isinstance(entry, dict) \
            and entry.get("given") == self.given else None
        values = values if isinstance(values, dict) else {}
        restored = []
        for key, widget in widgets.items():
            if key in values and values[key] != widget.value:
                with contextlib.suppress(Exception):  # traitlets: no longer among the options
                    widget.value = values[key]
                    restored.append(key)
        for key, widget in widgets.items():
            widget.observe(lambda change, key=key: self._keep(key, change["new"]), names="value")
        return restored

    def _keep(self, key: str, value: Any) -> None:
        everything = self._read()
        entry = everything.get(self.name)
        if not isinstance(entry, dict) or entry.get("given") != self.given \
                or not all(isinstance(entry.get(k), dict) for k in ("values", "at")):
            entry = {"given": self.given, "values": {}}
        entry["values"][key] = value
        entry.setdefault("at", {})[key] = time.time()
        write_json(self.path, everything | {self.name: entry})

    def at(self, key: str) -> float:
        """Return when a value was entered, seconds since 1970; 0 where none was."""
        entry = self._read().get(self.name, {})
        times = entry.get("at") if isinstance(entry, dict) else None
        time_ = times.get(key, 0) if isinstance(times, dict) else 0
        return float(time_) if isinstance(time_, (int, float)) else 0.0

    def _read(self) -> dict:
        with contextlib.suppress(IdfError):
            found = read_json(self.path)
            return found if isinstance(found, dict) else {}
        return {}


def keep_upload(runs, files: Mapping[str, bytes]) -> Path | None:
    """Write an uploaded file under `runs`/uploads, once; return its path, None where there is
    none."""
    for name, content in files.items():
        path = Path(runs) / "uploads" / sha256_bytes(content)[:8] / Path(name).name
        if not path.is_file():
            write_bytes(path, content)
        return path
    return None


def uploaded_name(runs, path) -> str | None:
    """Return the name that an upload had, None for a path that is no kept upload."""
    path = Path(path)
    return path.name if path.parent.parent == Path(runs) / "uploads" else None
