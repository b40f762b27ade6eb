"""What the footage shows, and the frames of it that are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..data.footage import Source
from ..data.media import read_image, write_image
from ..errors import IdfError
from ..face.detector import LandmarkDetector
from ..face.frame_landmarks import (
    FrameDetector,
    extract,
    picture_name,
    read_landmarks,
    read_more,
)
from ..face.person_mask import PersonMask
from ..runtime.progress import Reporter
from .cameras import Frames
from .choose import around, candidates, spread
from .config import CaptureConfig
from .motion import Motion, motion
from .neck import Neck
from .scan import Scan, is_still, scan, takes

PERSONS = "masks"  # folder of the persons' masks, in the work folder
LONGEST = 800  # pixels of the longer side, where no size is asked for
PERSON = 0.4  # of the largest face: smaller ones are of no account
SMALL = 0.6  # of the usual height of the largest face: another person's
APART = 1.2  # heights of a face between two that are not one person's, nor linked by others
BUST = 1.7  # heights of a face, from its middle to where head and shoulders end
PAIRS = 8  # of frames, by which it is told what moves
SOMEBODY = 0.02  # share of the picture that a person fills at least
FEWEST = 8  # frames


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of the footage before any frame was chosen.

    found: of all frames. take: first frame taken, and one past the last. seconds: of the take, None
    for pictures. numbers (C,), pictures
    and points (C, 468, 3) of the candidates. people: share of them that show several.
    """

    found: Scan
    take: tuple[int, int]
    breaks: tuple[str, ...]
    fps: float
    seconds: float | None
    numbers: np.ndarray
    pictures: tuple[Path, ...]
    points: np.ndarray
    width: int
    height: int
    people: float


@dataclass(frozen=True, eq=False)
class Choice:
    """Frames that were chosen, what moves in them, numbers of the frames that were left out by the
    reason, and whether the masks end at the neck."""

    frames: Frames
    motion: Motion
    left_out: dict[str, list[int]]
    head_only: bool


def look_at(footage: Source, work: Path, config: CaptureConfig, reporter: Reporter) -> Look:
    """Look at all frames small, and at the candidates closely. IdfError: nothing moves, or nobody
    shows a face."""
    found = scan(footage, reporter)
    if len(found) < FEWEST or is_still(found):
        raise IdfError(f"{footage.path} shows no turn", f"{len(found)} frames" +
                       (" of one picture" if len(found) >= FEWEST else ""),
                       "give a video in which the camera goes round the head, or the head turns; "
                       "a picture needs no capture: idf swap")
    fps = footage.fps
    parts, breaks = takes(found, fps)
    if parts[0][1] - parts[0][0] < FEWEST:
        raise IdfError(f"{footage.path} is cut into pieces", f"the longest has "
                       f"{parts[0][1] - parts[0][0]} frames", "give one unbroken take")
    numbers = candidates(found, parts[0], config.frames, fps)
    width, height = extract(footage, work, size=size_of(found, config.size or LONGEST),
                            only=set(numbers.tolist()), detector=LargestFace(),
                            effort=1, reporter=reporter)
    numbers, points = read_landmarks(work / "landmarks.f32")
    several = read_more(work / "more.f32", len(numbers)).others > 0
    pictures = tuple(work / f"{picture_name(int(n))}.png" for n in numbers)
    points = of_one_person(points, several)
    if not np.isfinite(points[:, 0, 0]).any():
        raise IdfError(f"No face was found in {footage.path}", f"{len(numbers)} frames looked at",
                       "film the face too, upright and larger than about 64 pixels")
    seconds = None if footage.pictures else (parts[0][1] - parts[0][0]) / fps
    return Look(found, parts[0], tuple(breaks), fps, seconds, numbers, pictures, points, width,
                height, float(several.mean()))


class LargestFace(FrameDetector):
    """The largest face of each frame by itself: candidates lie too far apart to follow one."""

    def __init__(self) -> None:
        self.detector = LandmarkDetector()

    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        faces = sorted(self.detector.detect(rgb, max_faces=4), key=lambda f: -f.size)
        self.others = sum(f.size > PERSON * faces[0].size for f in faces[1:])
        return faces[0].points if faces else None


def of_one_person(points: np.ndarray, several: np.ndarray) -> np.ndarray:
    """Return landmarks (C, 468, 3) without those of others: faces much smaller than the large ones,
    of somebody in the back, seen while the person is turned away; and, where some candidates show
    several people (several: (C,) bool), faces at another place than most are."""
    height = np.ptp(points[..., 1], axis=1)
    seen = np.isfinite(height)
    usual = np.quantile(height[seen], 0.8) if seen.any() else 1.0
    same = height > SMALL * usual
    if several.any() and same.any():
        same[same] = _at_one_place(points[same, :, :2].mean(1), APART * usual)
    return np.where(same[:, None, None], points, np.nan)


def _at_one_place(centers: np.ndarray, reach: float) -> np.ndarray:
    """Return which of the centers (N, 2) belong to the most that steps of `reach` connect: one
    person moves through the picture by small steps, another one sits elsewhere."""
    near = np.linalg.norm(centers[:, None] - centers[None], axis=2) < reach
    _, groups = connected_components(near)
    return groups == np.bincount(groups).argmax()


def size_of(found: Scan, wanted: int) -> int:
    """Return the longer side, pixels, at which frames are taken so that what is cropped out of
    them, head and shoulders, has `wanted` pixels; no more than twice that."""
    detector, share = LandmarkDetector(), 0.0
    for sample in found.samples:
        h, w = sample.shape[:2]
        for face in detector.detect(sample):
            x0, y0, x1, y1 = face.box
            reach = BUST * (y1 - y0)
            share = max(share, (abs((x0 + x1) / 2 - w / 2) + reach) / (max(h, w) / 2),
                        (abs((y0 + y1) / 2 - h / 2) + reach) / (max(h, w) / 2))
    return min(found.longer, round(wanted / min(max(share, 0.5), 1.0))) if share else wanted


def choose(look: Look, work: Path, config: CaptureConfig, person: PersonMask, faces_only: bool,
           reporter: Reporter) -> Choice:
    """Choose frames and cut the person out of them, or the head where it turns by itself."""
    seen = np.isfinite(look.points[:, 0, 0])
    usable = seen.copy() if faces_only else np.ones(len(seen), bool)
    path = np.nancumsum(look.found.moved[look.take[0]:look.take[1]])
    path = path[look.numbers - look.take[0]]
    sharp = around(look.found.sharpness, look.take, look.fps)[look.numbers - look.take[0]]
    blurred = look.found.sharpness[look.numbers] < 0.5 * sharp
    neck = Neck.of(look.points, look.width, look.height)
    moved = motion(_pairs(seen), look.pictures, neck, person.rough)
    moves = moved.moves if config.moves == "auto" else config.moves
    nobody = np.zeros(len(seen), bool)
    kept: dict[int, Path] = {}
    head_only = moves == "head" and not moved.turns_whole
    for _ in range(3):  # who shows nobody is found once masks are made
        chosen = spread(look.points, path, usable & ~blurred & ~nobody, config.frames)
        rows = np.flatnonzero(chosen)
        for k, i in enumerate(rows.tolist()):
            if i not in kept:
                kept[i] = work / PERSONS / f"{look.pictures[i].stem}.png"
                if not kept[i].is_file():
                    write_mask(kept[i], person.alpha(read_image(look.pictures[i])[..., :3],
                                                      at=_place(look, seen, i)))
            nobody[i] = (read_image(kept[i])[..., 0] > 128).mean() < SOMEBODY
            reporter.step("cutting the person out", (k + 1) / len(rows))
        if not (nobody & chosen).any():
            break
    rows = np.flatnonzero(chosen & ~nobody)
    if len(rows) < FEWEST:
        raise IdfError("Too few frames show a person" if not faces_only else
                       "Too few frames show a face", f"{len(rows)} that differ, of "
                       f"{len(look.found)}", "film a head that turns, or walk round it: 15 to 30 "
                       "seconds, from ear to ear at least")
    frames = Frames(look.numbers[rows], tuple(look.pictures[i] for i in rows),
                    tuple(kept[int(i)] for i in rows), look.points[rows], look.width,
                    look.height, moves)
    if head_only:
        frames = above_necks(frames, Neck(neck.middle[rows], neck.up[rows]), "heads")
    return Choice(frames, moved, _left_out(look, rows, blurred, nobody, usable), head_only)


def above_necks(frames: Frames, neck: Neck, folder: str) -> Frames:
    """Return the frames with masks of the heads alone, written to `folder` beside those of the
    persons.

    neck: of these frames; those whose line is NaN keep the masks that they have.
    """
    masks = []
    for i, old in enumerate(frames.masks):
        if not np.isfinite(neck.middle[i]).all():
            masks.append(old)
            continue
        alpha = read_image(old.parents[1] / PERSONS / old.name)[..., 0] / 255
        masks.append(old.parents[1] / folder / old.name)
        write_mask(masks[-1], alpha * neck.above(i, frames.width, frames.height))
    return replace(frames, masks=tuple(masks))


def _place(look: Look, seen: np.ndarray, i: int) -> tuple[float, float] | None:
    """Return where the person is in a frame, x and y in pixels: at the face, or among several
    people where the nearest frame has it. None: the largest person is the one."""
    if not seen[i] and not look.people:
        return None
    rows = np.flatnonzero(seen)
    x, y = look.points[rows[np.abs(rows - i).argmin()], :, :2].mean(0)
    return float(x), float(y)


def _pairs(seen: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of candidates next to each other that show a face, all over the take."""
    both = np.flatnonzero(seen[1:] & seen[:-1])
    if not len(both):
        return []
    return [(int(i), int(i) + 1)
            for i in both[np.linspace(0, len(both) - 1, min(PAIRS, len(both))).astype(int)]]


def write_mask(file: Path, alpha: np.ndarray) -> None:
    """Write an alpha, (H, W) in [0, 1], as a mask of `Frames`."""
    gray = (alpha * 255 + 0.5).astype(np.uint8)
    write_image(file, np.repeat(gray[..., None], 3, 2), effort=1)


def _left_out(look: Look, rows: np.ndarray, blurred: np.ndarray, nobody: np.ndarray,
              usable: np.ndarray) -> dict[str, list[int]]:
    """Numbers of the frames that are not used, by the reason."""
    first, last = look.take
    every = np.arange(len(look.found))
    out = {"another take": every[(every < first) | (every >= last)],
           "blurred": look.numbers[blurred], "nobody in the picture": look.numbers[nobody],
           "no face seen": look.numbers[~usable & ~blurred]}
    told = np.concatenate([look.numbers[rows], *out.values()])
    out["much like a frame that is used"] = np.setdiff1d(every, told)
    return {reason: [int(n) for n in numbers] for reason, numbers in out.items() if len(numbers)}
