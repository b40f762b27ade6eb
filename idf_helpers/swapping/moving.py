"""Animations as targets: a short video on the way in, an animation again on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.animations import (
    MOST,
    SUFFIXES,
    animation_info,
    is_animation,
    loops,
    read_animation,
    write_animation,
    write_lossless,
)
from ..data.media import over_gray
from ..errors import IdfError


@dataclass(frozen=True)
class Moving:
    """An animation whose frames get another face.

    kind: Pillow's name of the format. size: width, height. durations: milliseconds of each frame.
    """

    path: Path
    kind: str
    size: tuple[int, int]
    durations: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> Moving | None:
        """Return it where the file is one. IdfError: too large to be written again."""
        if not is_animation(path):
            return None
        kind, width, height, durations = animation_info(path)
        if width * height * len(durations) > MOST:
            raise IdfError(f"The animation {path} is too large",
                           f"{len(durations)} frames of {width}x{height}",
                           "make a video of it: ffmpeg -i ANIMATION -pix_fmt yuv420p video.mp4")
        return cls(path, kind, (width, height), durations)

    @property
    def suffix(self) -> str:
        """What the result ends in."""
        return SUFFIXES[self.kind]

    def unpack(self, folder: Path) -> Path:
        """Return a video of the frames, over gray, with each pixel as it is; made once."""
        film = folder / "frames.mkv"
        if not film.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            fps = 1000 * len(self.durations) / sum(self.durations)
            write_lossless(film, map(over_gray, read_animation(self.path)), fps)
        return film

    def pack(self, path: Path, frames: Iterable[np.ndarray], labeled: bool, xmp: str) -> str:
        """Write the animation of these frames; return what is to be said of its sound.

        frames: (H, W, 3) uint8 as `unpack` gave them, swapped. labeled: whether they carry the
        label, which is opaque. path: as it is, so give a temporary name.
        """
        write_animation(path, self._with_alpha(frames, labeled), self.durations, self.kind,
                        loops(self.path), xmp)
        return "none"

    def _with_alpha(self, frames: Iterable[np.ndarray], labeled: bool) -> Iterator[np.ndarray]:
        width, height = self.size
        gray = np.full((height, width, 3), 128, np.uint8)
        plate = (provenance.label(gray) != gray).any(-1) & labeled
        for given, frame in zip(read_animation(self.path), frames, strict=True):
            rgb, alpha = given[..., :3].copy(), given[..., 3].copy()
            changed = (over_gray(given) != frame).any(-1)
            seen = changed & (alpha > 0)
            a = alpha[seen][:, None] / 255.0
            rgb[seen] = np.clip((frame[seen] - 128 * (1 - a)) / a + 0.5, 0, 255)
            rgb[plate], alpha[plate] = frame[plate], 255
            yield np.dstack([rgb, alpha])
