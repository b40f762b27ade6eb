"""Which solver's cameras are taken: all of one, or those of one filled up by another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import IdfError, counted, shorten
from ..face.person_mask import PersonMask
from ..runtime.progress import Reporter
from ..runtime.registry import Entry
from .cameras import Cameras, Frames, Solver
from .check import agreement, without
from .config import CaptureConfig
from .fill import filled
from .look import Choice, Look, choose
from .methods import LANDMARKS

ENOUGH = 0.9  # share of frames with a camera below which something else is tried
NAMED = 12  # frames that a sentence names at most


@dataclass(frozen=True, eq=False)
class Solved:
    """Frames, their cameras and how it came to them: why first, then sentences of doubt."""

    choice: Choice
    cameras: Cameras
    notes: list[str]


def find_cameras(look: Look, work: Path, config: CaptureConfig, person: PersonMask, entry: Entry,
                 why: str, auto: bool, reporter: Reporter) -> Solved:
    """Choose frames and find their cameras; those that contradict the face in their frame go,
    unless both solvers agree on them.

    entry: the solver, and why it; auto: another one may help or take over. IdfError: none found.
    """
    alone = entry.name == LANDMARKS.name
    choice, notes = choose(look, work, config, person, alone, reporter), [why]
    frames, solve = choice.frames, entry.load()
    cameras, error = _tried(solve, frames, work / entry.name, reporter)
    found = None if cameras is None else agreement(frames, cameras)
    helps = auto and not alone
    if helps and found is not None and (said := found.contradiction(frames.moves)):
        error = IdfError(f"{entry.name} put the frames together wrongly", said, "")
    if error is not None and not helps:
        raise error
    if error is not None:
        notes.append(f"{entry.name} failed ({error.what}: {error.found}): landmark cameras in its "
                     "place")
        reporter.note(notes[-1])
        choice, helps = choose(look, work, config, person, True, reporter), False
        frames = choice.frames
        cameras, second = _tried(LANDMARKS.load(), frames, work / LANDMARKS.name, reporter)
        if second is not None:
            raise _neither(entry.name, error, second) from second
        found = None
    assert cameras is not None
    found = found or agreement(frames, cameras)
    if said := found.contradiction(frames.moves):  # and so no frame is judged by the others
        notes.append(f"{cameras.method} may have put the frames together wrongly: {said}")
        return Solved(choice, cameras, notes)
    own = cameras.method == LANDMARKS.name  # from points that were followed, beside the faces
    kept = cameras if own else without(cameras, found.wrong)
    if helps and (found.wrong.any() or not _enough(kept, frames)):
        kept, others = _helped(kept, frames, work, reporter, cameras)
        notes += others
    return Solved(choice, kept, [*notes, *_doubted(frames, cameras, kept, found.wrong)])


def _doubted(frames: Frames, cameras: Cameras, kept: Cameras, wrong: np.ndarray) -> list[str]:
    """Return what to say of the frames whose camera contradicts the face, by what became of them.
    Where both solvers agree against the face, nothing."""
    there = kept.registered
    same = np.array([a is b for a, b in zip(cameras.cameras, kept.cameras, strict=True)])
    out = []
    for rows, end in ((wrong & there & ~same, "landmark cameras are there in its place"),
                      (wrong & there & same & (kept.method == LANDMARKS.name),
                       "look there in the overlay"),
                      (wrong & ~there, "left out; film that side again if the overlay lacks it")):
        if rows.any():
            out.append(f"what {cameras.method} found for frame{'s' * int(rows.sum() > 1)} "
                       f"{shorten(frames.numbers[rows], NAMED)} contradicts the face: {end}")
    return out


def _neither(name: str, first: IdfError, second: IdfError) -> IdfError:
    """Return what to say where no solver came to an end that holds."""
    return IdfError(
        f"Neither {name} nor the landmarks found cameras that hold",
        f"{name}: {first.what} ({first.found}); landmarks: {second.what} ({second.found})",
        "film again: the face large and sharp, a slow turn from ear to ear without zoom, the face "
        f"seen in most of it; or look at {name}'s cameras as they are (--method {name})")


def _helped(cameras: Cameras, frames: Frames, work: Path, reporter: Reporter, before: Cameras
            ) -> tuple[Cameras, list[str]]:
    """Return the cameras with those that landmarks find for the same frames, or these alone where
    they are more, and what to say of it. before: with those that contradict the face."""
    others, _ = _tried(LANDMARKS.load(), frames, work / LANDMARKS.name, reporter)
    if others is None:
        return cameras, []
    if agreement(frames, others).contradiction(frames.moves):
        return cameras, []
    both = filled(frames, cameras, others, before)
    if _count(others) > _count(both):
        return others, [f"{cameras.method} found cameras for {_count(cameras)} of "
                        f"{counted(len(frames))}, landmarks for {_count(others)}: those are taken"]
    return both, []


def _tried(solve: Solver, frames: Frames, folder: Path, reporter: Reporter
           ) -> tuple[Cameras | None, IdfError | None]:
    try:
        return solve(frames, folder, reporter.step), None
    except IdfError as error:
        if isinstance(error.__cause__, OSError):  # a full disk is no fault of the solver
            raise
        return None, error


def _count(cameras: Cameras | None) -> int:
    return 0 if cameras is None else int(cameras.registered.sum())


def _enough(cameras: Cameras | None, frames: Frames) -> bool:
    return _count(cameras) >= ENOUGH * len(frames)
