"""The page onto which files are dropped to see what they say: for people without this program."""

from __future__ import annotations

from pathlib import Path

from ..runtime.files import write_bytes

PAGE = Path(__file__).parent.parent / "static" / "verify.html"


def write_page(path: str | Path) -> Path:
    """Write the page, one file that needs no network; return its path, which ends in .html."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        path = path.with_name(f"{path.name}.html")
    write_bytes(path, PAGE.read_bytes())
    return path
