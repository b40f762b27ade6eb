"""Instants of a moving head: a still model refuses several of them, an avatar uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..errors import IdfError
from .address import Address
from .dataset import Dataset
from .frame import Frame

TIMES_A_FUNCTION, MOST_FUNCTIONS = 4, 12  # of time, where it stands in for expressions
ENOUGH = 3  # views of one instant from which it is worth naming


def moves(frames: Iterable[Frame]) -> bool:
    """Whether frames show something that moves: several instants, or, where nobody tells the
    instants, expressions."""
    frames = list(frames)
    times = {f.time for f in frames if f.time is not None}
    return len(times) > 1 if times else any(f.expression is not None for f in frames)


def check_still(data: Dataset) -> None:
    """Raise IdfError where the frames of a dataset show more than one instant, which would become a
    smeared still model."""
    times = data.times
    if len(times) < 2:
        return
    views = Counter(f.time for f in data.frames)
    time, most = max(views.items(), key=lambda item: (item[1], -item[0]))
    do = "train an avatar, which moves: idf avatar; take `time` out of the camera file if " \
         "nothing moves"
    if most >= ENOUGH:
        named = replace(Address.parse(data.address or str(data.root)), time=time)
        do += f"; or name one instant, of {most} views: \"{named}\""
    else:
        do += "; one instant has too few views for a still head"
    raise IdfError(f"The frames of {data.root} show {len(times)} instants of something that moves",
                   f"time {times[0]:g} to {times[-1]:g}, at most {most} views of one", do)


def told_apart(data: Dataset) -> Dataset:
    """Return a dataset whose frames can drive an avatar: where they have instants but no
    expressions, smooth functions of time stand in for these (cos πkt, k = 1 …, t from 0 to 1); else
    the dataset itself."""
    times = data.times
    if len(times) < 2 or any(f.expression is not None or f.time is None for f in data.frames):
        return data
    count = int(np.clip(len(times) // TIMES_A_FUNCTION, 1, MOST_FUNCTIONS))
    k = np.arange(1, count + 1)

    def with_time(f: Frame) -> Frame:
        t = ((f.time or 0.0) - times[0]) / (times[-1] - times[0])
        return replace(f, expression=np.cos(np.pi * k * t).astype(np.float32))

    splits = {s: tuple(map(with_time, part)) for s, part in data.splits.items()}
    return replace(data, splits=splits, expression_names=tuple(f"time_{i}" for i in k),
                   notes=(*data.notes, f"the frames have no expressions: {count} smooth functions "
                          "of their instant stand in for these"))
