"""Which solver's cameras are taken: all of one, or those of one filled up by another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError
from ..face.person_mask import PersonMask
from ..runtime.progress import Reporter
from ..runtime.registry import Entry
from .cameras import Cameras, Frames, Solver
from .check import CONTRADICTS, disagreement
from .config import CaptureConfig
from .fill import filled
from .look import Choice, Look, choose
from .methods import LANDMARKS

ENOUGH = 0.9  # share of frames with a camera below which something else is tried


@dataclass(frozen=True, eq=False)
class Solved:
    """Frames, their cameras and how it came to them: why first, then sentences of doubt."""

    choice: Choice
    cameras: Cameras
    notes: list[str]


def find_cameras(look: Look, work: Path, config: CaptureConfig, person: PersonMask, entry: Entry,
                 why: str, auto: bool, reporter: Reporter) -> Solved:
    """Choose frames and find their cameras.

    entry: the solver, and why it; auto: another one may help or take over. IdfError: none found.
    """
    choice, notes = choose(look, work, config, person, entry is LANDMARKS, reporter), [why]
    if entry.name == LANDMARKS.name:
        return Solved(choice, entry.load()(choice.frames, work / entry.name, reporter.step), notes)
    solve: Solver = entry.load()
    cameras, error = _tried(solve, choice.frames, work / entry.name, reporter)
    frames = choice.frames
    if cameras is not None and \
            (apart := disagreement(frames, cameras)) > CONTRADICTS[frames.moves]:
        said = f"its cameras turn {apart:.0f} degrees differently from the face"
        if auto:
            cameras = None
            error = IdfError(f"{entry.name} put the frames together wrongly", said, "")
        else:
            notes.append(f"{entry.name} may have put the frames together wrongly: {said}")
    if cameras is None and not auto:
        assert error is not None
        raise error
    if cameras is None:
        assert error is not None
        notes.append(f"{entry.name} failed ({error.what}: {error.found}): landmark cameras in its "
                     "place")
        reporter.note(notes[-1])
        choice = choose(look, work, config, person, True, reporter)
        cameras = LANDMARKS.load()(choice.frames, work / LANDMARKS.name, reporter.step)
    elif auto and not _enough(cameras, choice.frames):
        cameras, said = _helped(cameras, choice.frames, work, reporter)
        notes += said
    return Solved(choice, cameras, notes)


def _helped(cameras: Cameras, frames: Frames, work: Path, reporter: Reporter
            ) -> tuple[Cameras, list[str]]:
    """Return the cameras with those that landmarks find for the same frames, or these alone where
    they are more, and what to say of it."""
    others, _ = _tried(LANDMARKS.load(), frames, work / LANDMARKS.name, reporter)
    if others is None:
        return cameras, []
    both = filled(frames, cameras, others)
    if _count(others) > _count(both):
        return others, [f"{cameras.method} found cameras for {_count(cameras)} of {len(frames)} "
                        f"frames, landmarks for {_count(others)}: those are taken"]
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
