"""The order of frames in time, and choices of views that are spread as far as possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .cameras import Camera, scene_frame, yaw_pitch
from .dataset import Frame


def frame_number(name: str) -> int | None:
    """Return the last number in a frame's name, its place in the video; None where it has none."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else None


def in_time(frames: Iterable[Frame]) -> list[Frame]:
    """Return frames in the order of their numbers, across splits; those without one come last."""
    def key(frame: Frame):
        number = frame_number(frame.name)
        return number is None, number or 0, frame.name

    return sorted(frames, key=key)


def natural_key(name: str) -> list:
    """Return a key that sorts names with numbers as numbers: r_2 before r_10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def frame_times(names: Sequence[str]) -> np.ndarray:
    """Return when each frame was taken, (N,) int in frames, from the number that ends its name.

    Splits of one sequence are numbered through (train/f_0214, val/f_0215); where numbers repeat,
    every split is a sequence of its own, far from the others. Names without numbers count in the
    order given.
    """
    numbers = [re.search(r"(\d{1,12})$", name) for name in names]
    if not names or not all(numbers):
        return np.arange(len(names))
    times = np.array([int(n[1]) for n in numbers])
    if len(np.unique(times)) == len(times):
        return times
    folders = sorted({name.rpartition("/")[0] for name in names})
    apart = int(times.max()) + 1000
    times = times + np.array([apart * folders.index(name.rpartition("/")[0]) for name in names])
    return times if len(np.unique(times)) == len(times) else np.arange(len(names))


def farthest_first(distance_to: Callable[[int], np.ndarray], first: int, count: int) -> list[int]:
    """Return up to `count` of N things, each the farthest from those before it, `first` first.

    distance_to: number of a thing -> (N,) distances of all to it, in any unit that grows with
    the distance.
    """
    chosen, nearest = [first], np.array(distance_to(first), np.float64)
    while len(chosen) < min(count, len(nearest)):
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance_to(chosen[-1]))
    return chosen


def front_view(cameras: Sequence[Camera]) -> int:
    """Return the number of the view most in front, at eye level."""
    return views_by_yaw(cameras, [0.0])[0][1]


def views_by_yaw(cameras: Sequence[Camera], yaws: Iterable[float]) -> list[tuple[float, int]]:
    """Return for each yaw in degrees the view nearest to it, at eye level, each view once: its own
    yaw and its number."""
    scene = scene_frame(cameras)
    angles = [yaw_pitch(c, scene) for c in cameras]
    nearest = [min(range(len(angles)), key=lambda i: abs(angles[i][0] - yaw)
                   + 0.5 * abs(angles[i][1] - 5.0)) for yaw in yaws]
    return [(angles[i][0], i) for i in dict.fromkeys(nearest)]


def frames_by_yaw(frames: Sequence[Frame], yaws: Iterable[float]) -> list[tuple[float, Frame]]:
    """Return `views_by_yaw` with the frames themselves."""
    return [(yaw, frames[i]) for yaw, i in views_by_yaw([f.camera for f in frames], yaws)]
