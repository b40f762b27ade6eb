"""Instants of a moving head: what needs a still one refuses several of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..errors import IdfError
from .address import Address
from .dataset import Dataset

ENOUGH = 3  # views of one instant from which it is worth naming


def check_still(data: Dataset) -> None:
    """Raise IdfError where the frames of a dataset show more than one instant, which would become a
    smeared still model."""
    times = data.times
    if len(times) < 2:
        return
    views = Counter(f.time for f in data.frames)
    time, most = max(views.items(), key=lambda item: (item[1], -item[0]))
    if data.train[0].expression is None:
        do = "an avatar moves, but these frames have no expressions: `idf track` finds them in a " \
             "video"
    else:
        do = "train an avatar, which moves: idf avatar"
    if most >= ENOUGH:
        named = replace(Address.parse(data.address or str(data.root)), time=time)
        do += f"; or name one instant, of {most} views: \"{named}\""
    else:
        do += "; one instant has too few views for a still head"
    raise IdfError(f"The frames of {data.root} show {len(times)} instants of something that moves",
                   f"time {times[0]:g} to {times[-1]:g}, at most {most} views of one", do)
