"""What a user filmed: a video, or a folder with its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import IdfError
from ..runtime.files import content_hash, sha256_file, stable_hash
from .animations import is_animation
from .media import is_image, is_video, read_image, read_video, video_info
from .sequence import natural_key
from .video_header import READ


class Source:
    """A video, or a folder of pictures in the order of their names (numbers count as numbers).

    crop: x0, y0, x1, y1 of the part of every frame that is taken, pixels; nothing: all.
    IdfError where the path is neither.
    """

    def __init__(self, path, crop: Sequence[int] = ()):
        self.path, self.crop = Path(path), tuple(crop)
        self.pictures: list[Path] = []
        if self.path.is_dir():
            self.pictures = sorted(filter(is_image, self.path.iterdir()),
                                   key=lambda p: natural_key(p.name))
            if not self.pictures:
                raise IdfError(f"The folder {path} holds no pictures",
                               "nothing that ends in .png, .jpg …",
                               "give a video, or the folder in which its frames lie")
        elif is_video(self.path) or is_animation(self.path):
            video_info(self.path)  # says what is wrong with it
        else:
            raise IdfError(f"{path} is neither a video nor a folder of pictures",
                           "a file of another kind" if self.path.exists() else "no such file",
                           f"give a video ({READ}) or a folder of pictures")

    def fingerprint(self) -> dict:
        """Return what identifies it in a manifest."""
        if self.pictures:
            stats = [(p.name, s.st_size, s.st_mtime_ns) for p in self.pictures for s in [p.stat()]]
            return {"folder": str(self.path.resolve()), "files": stable_hash(stats),
                    "frames": len(stats), "content": stable_hash(
                        [(p.name, content_hash(p)) for p in self.pictures])}
        return {"folder": str(self.path.resolve()), "video_sha256": sha256_file(self.path)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the frames of a video on reading, in words."""
        return () if self.pictures else video_info(self.path).notes

    @property
    def fps(self) -> float:
        """Frames a second; 25 for pictures."""
        return 25.0 if self.pictures else video_info(self.path).fps

    def count(self, every: int = 1, limit: int | None = None) -> int:
        """Return how many frames `frames` gives; of a video by its header, so roughly."""
        count = len(self.pictures)
        if not count:
            info = video_info(self.path)
            count = round(info.duration * info.fps)
        count = -(-max(count, 1) // every)
        return min(count, limit) if limit else count

    def frames(self, every: int = 1, limit: int | None = None
               ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (number in the source, uint8 RGB or RGBA picture) one at a time: every N-th, at
        most `limit`."""
        count = 0
        pictures = (read_image(p, "frame") for p in self.pictures) if self.pictures \
            else read_video(self.path)
        for number, picture in enumerate(pictures):
            if number % every:
                continue
            if limit and count == limit:
                return
            count += 1
            if self.crop:
                x0, y0, x1, y1 = self.crop
                picture = picture[y0:y1, x0:x1]
            yield number, picture
