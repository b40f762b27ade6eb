"""What reading another program's layout gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..frame import Frame


@dataclass(frozen=True)
class Reading:
    """layout: the program's name. splits: frames of "train", "val" and "test". files: those that
    say where the cameras are. expression_names, notes, fps: as of a `Dataset`."""

    layout: str
    splits: dict[str, tuple[Frame, ...]]
    files: tuple[Path, ...]
    expression_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    fps: float | None = None
