"""The finished runs below a folder, by kind: what is in them, whose face it is, and when."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..data import samples
from ..errors import IdfError
from ..runtime.files import read_json, read_record, sha256_file
from ..runtime.runs import read_manifest

VIEWS = "views"  # a head that keeps still, from many sides
TALKING = "talking"  # frames with expressions
# Stages whose run folder is a dataset; a swap or a restyling can be of either kind.
MADE = {"swap": "swap", "capture": "own video", "track": "own video", "stylize": "restyled"}
DEPTH = ("", "*/", "*/*/", "*/*/*/")


@dataclass(frozen=True)
class FoundRun:
    """A finished run folder that is a dataset.

    kind: VIEWS or TALKING. made: a value of `MADE`. face: whose, in words. frames: how many.
    when: of its manifest, seconds since 1970; a run that is read back is touched, so that what was
    used last is the newest.
    """

    folder: Path
    kind: str
    made: str
    face: str
    frames: int
    when: float

    @property
    def label(self) -> str:
        """One line for a list."""
        at = datetime.fromtimestamp(self.when).strftime("%b %d, %H:%M")
        return f"{self.made}: {self.face}, {self.frames} frames, {at} ({self.folder.name})"


def found_runs(runs, kind: str, made: tuple[str, ...] = ("swap", "own video")) -> list[FoundRun]:
    """Return the finished runs of one kind below `runs` (three levels deep), the newest first."""
    found = []
    for depth in DEPTH:
        for path in Path(runs).glob(depth + "run.json"):
            with contextlib.suppress(IdfError, OSError):
                run = describe_run(path.parent)
                if run is not None and run.kind == kind and run.made in made:
                    found.append(run)
    return sorted(found, key=lambda r: (r.when, r.folder.name), reverse=True)


def describe_run(folder: Path) -> FoundRun | None:
    """Return what a run folder holds; None where it is no finished dataset. IdfError where there is
    no manifest that can be read."""
    manifest = read_manifest(folder)
    stage = str(manifest.get("stage"))
    if stage not in MADE or manifest.get("status") != "finished":
        return None
    entries = _entries(folder)
    if not entries:
        return None
    return FoundRun(folder, TALKING if "expression" in entries[0] else VIEWS, MADE[stage],
                    face_of(folder, manifest), len(entries),
                    (folder / "run.json").stat().st_mtime)


def face_of(folder: Path, manifest: dict) -> str:
    """Return whose face a run shows: a bundled photo's letter, or the name of the user's photo."""
    source = manifest["inputs"].get("source_sha256")
    if source is None:
        return "no face put in"
    for name in samples.PHOTOS:
        with contextlib.suppress(IdfError):
            if sha256_file(samples.photo(name)) == source:
                return f"face {name} (bundled)"
    with contextlib.suppress(IdfError):
        names = read_record(folder / "swap_report.json")
        if names.get("photos"):
            return f"face of {', '.join(map(str, names['photos']))}"
    return f"face of a photo of yours ({str(source)[:6]})"


def _entries(folder: Path) -> list[dict]:
    """Return the frames of a dataset's splits."""
    found: list[dict] = []
    for path in sorted(folder.glob("transforms*.json")):
        with contextlib.suppress(IdfError):
            content = read_json(path)
            frames = content.get("frames") if isinstance(content, dict) else None
            found += [f for f in frames or () if isinstance(f, dict)]
    return found
