"""`idf verify`: files and folders, a table, an exit code, a page."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import IdfError
from ..provenance.page import write_page
from ..provenance.verify import exit_code, table, verify_all


def verify(paths: tuple[Path, ...] = (), page: Path | None = None) -> None:
    """Say what files say about their origin: signature, watermark, metadata, consent.

    Ends with 0 where every file is marked as synthetic and nothing disagrees, with 1 where one has
    no mark, with 3 where something disagrees (a changed file, a broken signature) or one of several
    files cannot be read, with 2 where the only one cannot.

    Args:
        paths: pictures, videos, pages, models; of a folder all that are in it.
        page: write a page onto which files can be dropped, for people without this program: it
            reads the marks in the browser, sends nothing anywhere, and needs no network.
    """
    if page is not None:
        print(f"written: {write_page(page)}")
    elif not paths:
        raise IdfError("There is nothing to verify", "no file named",
                       "name files or folders: idf verify runs/demo")
    if paths:
        verdicts = verify_all(paths)
        print(verdicts[0] if len(verdicts) == 1 else table(verdicts))
        if code := exit_code(verdicts):
            sys.exit(code)
