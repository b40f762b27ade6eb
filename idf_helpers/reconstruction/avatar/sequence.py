"""Sequences of a talking head: requirements, frame order and splits."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from ...data.dataset import Dataset, Frame
from ...errors import IdfError, shorten


def check_expressions(frames: list[Frame]) -> None:
    """Raise IdfError: no frames, frames without expression, of another length, NaN, or no change.
    """
    if not frames:
        raise IdfError("There is no frame to train on", "0 frames in the train split",
                       "give a dataset whose transforms_train.json names pictures")
    without = [f.name for f in frames if f.expression is None]
    if without:
        raise IdfError(f"{len(without)} of {len(frames)} frames have no expression",
                       shorten(without), "an avatar needs one for every frame: track the video "
                       "with `idf track`, or train a still head with `idf splat`")
    lengths: dict[int, str] = {}
    for f in frames:
        lengths.setdefault(len(f.expression), f.name)
    if len(lengths) > 1:
        raise IdfError("The expressions of the frames differ in length",
                       shorten(f"{name} {n}" for n, name in lengths.items()),
                       "give every frame the same number of values")
    if not next(iter(lengths)):
        raise IdfError("The expressions of the frames are empty", frames[0].name,
                       "track the video again with `idf track`")
    bad = [f.name for f in frames if not np.isfinite(f.expression).all()]
    if bad:
        raise IdfError(f"The expressions of {len(bad)} frames hold NaN or infinity", shorten(bad),
                       "take those frames out of the camera files, or track them again")
    if len(frames) > 1 and np.ptp([f.expression for f in frames], axis=0).max() < 1e-6:
        raise IdfError("The expression never changes", f"{len(frames)} frames alike",
                       "train a still head with `idf splat`, or track the video again")


def expression_names(dataset: Dataset) -> tuple[str, ...]:
    """Return a name for each value: those of the dataset, then "e53", "e54", … by their place."""
    frame = next(f for f in dataset.frames if f.expression is not None)
    n = len(frame.expression)
    names = list(dataset.expression_names[:n])
    if len(set(names)) < len(names):
        raise IdfError("The dataset names an expression twice",
                       shorten({x for x in names if names.count(x) > 1}), "give each its own name")
    return tuple(names + [f"e{i}" for i in range(len(names), n)])


def sequence_number(frame: Frame) -> int | None:
    """Return the last number in a frame's name: its place in the video."""
    digits = re.findall(r"\d+", frame.name)
    return int(digits[-1]) if digits else None


def hold_out_last(dataset: Dataset, count: int) -> Dataset:
    """Return the same frames in the order of their numbers, the last `count` as the test split, all
    others for training, as NeRFace's and INSTA's protocols do. IdfError for too few frames."""
    frames = sorted(dataset.frames, key=lambda f: (sequence_number(f) is None,
                                                   sequence_number(f) or 0, f.name))
    if not 1 <= count < len(frames):
        raise IdfError("Not that many frames can be held out", f"{count} of {len(frames)}",
                       "leave at least one for training")
    train = tuple(replace(f, split="train") for f in frames[:-count])
    test = tuple(replace(f, split="test") for f in frames[-count:])
    return replace(dataset, splits={"train": train, "val": (), "test": test},
                   notes=(*(n for n in dataset.notes if not n.startswith("no test split")),
                          f"the last {count} of {len(frames)} frames are held out for testing"))


def split_for(dataset: Dataset, holdout_last: int | None) -> Dataset:
    """Return the dataset with its last frames held out; with its own splits where that is None."""
    return dataset if holdout_last is None else hold_out_last(dataset, int(holdout_last))


def gaps(frames: list[Frame]) -> list[tuple[int, int]]:
    """Return (last before, first after) where numbers are missing in the middle of a sequence."""
    numbers = sorted({n for n in map(sequence_number, frames) if n is not None})
    if len(numbers) < 3:
        return []
    steps = np.diff(numbers)
    usual = int(np.median(steps))
    return [(numbers[i], numbers[i + 1]) for i in np.flatnonzero(steps > usual)]
