"""The one exception a user meets: what was wrong, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class IdfError(Exception):
    """Bad input or a machine that lacks something; never a bug of ours.

    what:  one sentence naming what could not be done and to which file or value.
    found: what was there instead (a shape, a path, the first bad value); may be empty.
    do:    the next thing the user can type or change; may be empty.

    The command line prints it on stderr and exits with code 2, notebooks show it in the panel's
    status line. Anything that is not an IdfError is a bug and keeps its traceback.
    """

    def __init__(self, what: str, found: str = "", do: str = ""):
        self.what, self.found, self.do = what, found, do
        super().__init__(what, found, do)  # all three, so that it pickles across processes

    def __str__(self) -> str:
        lines = [self.what]
        if self.found:
            lines.append(f"  found: {self.found}")
        if self.do:
            lines.append(f"  do:    {self.do}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints instead of a traceback, since no code is to blame."""
        return str(self).split("\n")


def shorten(items: Iterable, limit: int = 3) -> str:
    """Return the first few items and how many there are, for `found` ("a, b, c and 17 more")."""
    words = [str(i) for i in items]
    head = ", ".join(words[:limit])
    return head if len(words) <= limit else f"{head} and {len(words) - limit} more"


def counted(n: int, what: str = "frame") -> str:
    """Return "1 frame", "2 frames"."""
    return f"{n} {what}" + "s" * (n != 1)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean `x`?" for the known name that is nearest, "" where none is near."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean `{close[0]}`?" if close else ""
