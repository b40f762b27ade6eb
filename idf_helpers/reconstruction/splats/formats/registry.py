"""The splat formats: what a file is, told by its content; one reader and one writer for all."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ....errors import IdfError
from ....runtime.archives import open_zip
from ....runtime.files import readable
from .axes import COLMAP, GLTF, Axes
from .splat_model import SplatModel


@dataclass(frozen=True)
class SplatFormat:
    """One format.

    suffix: of its files, with the dot. what: it in words. reader, writer: "module:function" of this
    package; "" = it is only read. A writer takes (Gaussians, path) and what it names of: orbit,
    axes. axes: that the format lays down; None: the scene's own world.
    """

    suffix: str
    what: str
    reader: str
    writer: str = ""
    axes: Axes | None = None


FORMATS = {f.suffix: f for f in (
    SplatFormat(".ply", "splats of any trainer", "any_ply:read_any_ply", "any_ply:write_any_ply"),
    SplatFormat(".compressed.ply", "16 to 61 bytes a Gaussian, of PlayCanvas",
                "any_ply:read_any_ply", "packed_ply:write_packed", COLMAP),
    SplatFormat(".splat", "32 bytes a Gaussian, of antimatter15", "plain_splat:read_plain_splat",
                "plain_splat:write_splat"),
    SplatFormat(".ksplat", "of mkkellogg's viewer", "ksplat:read_ksplat"),
    SplatFormat(".spz", "of Niantic", "spz:read_spz", "spz:write_spz", GLTF),
    SplatFormat(".sog", "of PlayCanvas", "sog:read_sog", "sog_writer:write_sog", COLMAP),
    SplatFormat(".glb", "glTF with KHR_gaussian_splatting", "glb:read_glb", "glb:write_glb", GLTF))}
SUFFIXES = tuple(FORMATS)
NAMES = ", ".join(SUFFIXES[:-1]) + f" or {SUFFIXES[-1]}"


def function(target: str) -> Callable:
    """Return the function behind "module:function" of this package."""
    module, name = target.split(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)


def identify(path) -> SplatFormat | None:
    """Return the format of a file, or of a folder with an unpacked SOG; None where it is none.

    The content decides; `.splat`, which has no mark of its own, is told by the suffix.
    """
    from .ksplat import HEADER, looks_like
    from .sog import META, is_meta

    path = Path(path)
    if path.is_dir():
        return FORMATS[".sog"] if is_meta(path / META) else None
    if not path.is_file():
        return None
    with readable(path, "splat file"), open(path, "rb") as f:
        head = f.read(HEADER)
    for start, suffix in ((b"ply\n", ".ply"), (b"ply\r\n", ".ply"), (b"NGSP", ".spz"),
                          (b"\x1f\x8b", ".spz"), (b"glTF", ".glb")):
        if head.startswith(start):
            return FORMATS[suffix]
    if is_meta(path) or head.startswith(b"PK") and _holds_meta(path):
        return FORMATS[".sog"]
    if path.suffix.lower() == ".splat":
        return FORMATS[".splat"]
    return FORMATS[".ksplat"] if looks_like(head) else None


def _holds_meta(path: Path) -> bool:
    try:
        with open_zip(path) as opened:
            return "meta.json" in opened.namelist()
    except (ValueError, OSError):
        return False


def read(path) -> SplatModel:
    """Return the Gaussians of a file of any splat format. IdfError where it is none."""
    path = Path(path)
    found = identify(path)
    if found is None:
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise IdfError(f"{path} is no splat file", suffix or "no suffix",
                           f"give a {NAMES} file")
        found = FORMATS[suffix]  # its reader says what is wrong
    return function(found.reader)(path)
