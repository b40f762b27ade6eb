"""What can be downloaded: a model's name, license, pinned files and where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from .sources import Checkout, Either, Pin, Release, Url, Wheel

NOT_PINNED = "not pinned: nobody published a hash; recorded at the first download, checked after"


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
    source: Wheel | Url | Release | Checkout | Either
    pins: tuple[Pin, ...]
    env: str = ""
    needs: tuple[ModelFile, ...] = ()
    commercial: bool = True
