"""The ways to do one stage: a table of names, each loaded only when it is asked for.

`Registry.choose("auto")` takes the best one that this machine can run right now. It never installs,
compiles or downloads anything, and never picks a non-commercial method by itself.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import IdfError, nearest


@dataclass(frozen=True)
class Entry:
    """One way to do a stage.

    target:   "module:attribute" to import.
    argument: what `target` is called with to get the object; None = it is the object.
    config:   "module:class" of its settings, in a module that imports nothing heavy; "" = none of
              its own.
    summary:  what it does, in one line.
    rank:     among those that run, `auto` takes the highest.
    missing:  () -> None where this machine can run it, else what is missing and the command to get
              it. Quick, and imports nothing heavy.
    needs:    what the input must offer, in words.
    reads:    names of the settings that it reads, of a config that all methods of the stage share.
    license:  of the method's code and models. commercial: whether `auto` may take it.
    """

    name: str
    target: str
    summary: str
    rank: int
    missing: Callable[[], str | None] = field(default=lambda: None)
    needs: frozenset[str] = frozenset()
    license: str = "MIT"
    commercial: bool = True
    argument: object = None
    config: str = ""
    reads: frozenset[str] = frozenset()

    def config_type(self) -> type:
        """Import the class of the method's settings."""
        return _imported(self.config)

    def load(self) -> Any:
        """Return the object behind the name; IdfError where the machine lacks something for it."""
        if lack := self.missing():
            raise IdfError(f"The method `{self.name}` cannot run here", lack,
                           "get what is missing, or choose another one of `idf doctor`")
        return self.load_unchecked()

    def load_unchecked(self) -> Any:
        """Import what the entry names, whether or not this machine can run it."""
        loaded = _imported(self.target)
        return loaded if self.argument is None else loaded(self.argument)


def _imported(target: str) -> Any:
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class Status:
    """One row of `idf doctor`: missing is "" where the method runs here."""

    stage: str
    name: str
    summary: str
    license: str
    missing: str


class Registry:
    """The methods of one stage.

    stage: its name, in run folders and messages. resolve: (name) -> Entry or None, for names that
    are made up rather than listed. automatic: whether "auto" means anything; it does not where the
    choice is a matter of taste.
    """

    def __init__(self, stage: str, entries: Iterable[Entry],
                 resolve: Callable[[str], Entry | None] | None = None, automatic: bool = True):
        self.stage, self.automatic, self._resolve = stage, automatic, resolve
        self.entries = {e.name: e for e in entries}

    def add(self, entry: Entry) -> None:
        """Add a method, or replace the one of the same name."""
        self.entries[entry.name] = entry

    def names(self) -> list[str]:
        """Return all names, best first."""
        return [e.name for e in sorted(self.entries.values(), key=lambda e: -e.rank)]

    def find(self, name: str) -> Entry:
        """Return the entry of that name; IdfError with the nearest names where there is none."""
        if name in self.entries:
            return self.entries[name]
        if self._resolve and (found := self._resolve(name)):
            return found
        choices = ["auto"] * self.automatic + self.names()
        raise IdfError(f"There is no {self.stage} method `{name}`",
                       name + nearest(name, self.entries), f"choose one of: {', '.join(choices)}")

    def load(self, name: str) -> Any:
        """Return the object behind the name; IdfError where there is none, or it cannot run."""
        return self.find(name).load()

    def choose(self, name: str = "auto", offers: frozenset[str] = frozenset()) -> tuple[Entry, str]:
        """Return the entry of that name, for "auto" the best that can run, and one line saying why.

        offers: what the input has, in the words of `Entry.needs`. IdfError where nothing fits.
        """
        if not name:
            raise IdfError(f"A {self.stage} method must be named; none is chosen for you",
                           "no name", "name one of: " + "; ".join(
                               f"{s.name} ({s.summary})" for s in self.available()))
        if name != "auto":
            entry = self.find(name)
            if lacking := entry.needs - offers:
                fitting = [n for n in self.names() if self.entries[n].needs <= offers]
                raise IdfError(f"The {self.stage} method `{name}` needs "
                               f"{', '.join(sorted(lacking))}", "an input without",
                               f"use one of: {', '.join(fitting)}")
            return entry, f"{name}: asked for"
        passed = []
        for candidate in self.names():
            entry = self.entries[candidate]
            if not entry.commercial:
                passed.append(f"{candidate} is {entry.license}")
            elif entry.needs - offers:
                passed.append(f"{candidate} needs {', '.join(sorted(entry.needs - offers))}")
            elif lack := entry.missing():
                passed.append(f"{candidate}: {lack}")
            else:
                why = f"{candidate}: {entry.summary}"
                return entry, why + (f" (passed over: {'; '.join(passed)})" if passed else "")
        raise IdfError(f"No {self.stage} method can run here", "; ".join(passed),
                       "see `idf doctor`")

    def available(self) -> list[Status]:
        """Return one row for each listed method, best first."""
        return [Status(self.stage, e.name, e.summary, e.license, e.missing() or "")
                for e in map(self.entries.__getitem__, self.names())]


def lacks_modules(**packages: str) -> Callable[[], str | None]:
    """Return a `missing` that asks whether packages are installed, without importing them.

    packages: module="what pip calls it", e.g. cv2="opencv-python-headless".
    """
    def missing() -> str | None:
        for module, package in packages.items():
            if not importlib.util.find_spec(module):
                return f"{module} is not installed: pip install {package}"
        return None
    return missing
