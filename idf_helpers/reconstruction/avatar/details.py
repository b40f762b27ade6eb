"""Details of an expression: what its named values leave out, measured as motion of the skin.

The main directions of `tracking.skin_motion` over the training frames, beside the named values. The
names predict most of each, by ridge regression, and the avatar keeps what is beyond that apart: an
expression given by names alone, from a slider or another person, has the details that go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...data.dataset import Frame
from ...errors import IdfError
from ...face.head_shape import HeadFrame
from ...runtime.npz import read_arrays, save_arrays
from ...tracking.skin_motion import skin_motion
from .expression_pca import RIDGES, STRETCHES
from .frame_source import FrameSource
from .sequence import sequence_number

COUNT = 24  # directions of motion


@dataclass(frozen=True, eq=False)
class Details:
    """D numbers of every frame beside its E named values; D is 0 where there are none.

    train: (N, D) float32 of the training frames, in the unit of the expressions: their variance, of
    all together, is that of the named values. others: {name of a frame: (D,)}.
    """

    train: np.ndarray
    others: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def none(cls, frames: int) -> Details:
        """Return no details of so many frames."""
        return cls(np.zeros((frames, 0), np.float32))

    def beyond(self, expressions: np.ndarray, frames: Sequence[Frame]) -> dict[str, list[float]]:
        """Return {name: D values} of frames: their details less what the names say of them.
        expressions: (N, E) of the training frames."""
        said = predicted(expressions, self.train)
        return {f.name: np.round(self.others[f.name] - self.train.mean(axis=0)
                                 - (f.expression - expressions.mean(axis=0)) @ said, 5).tolist()
                for f in frames if f.name in self.others}


def measure_details(source: FrameSource, others: Sequence[Frame], cameras, head: HeadFrame,
                    cache: Path, progress: Callable[[float], None]) -> Details:
    """Return the details of the frames of `source` and of others, read from `cache` (a file) where
    they were measured before.

    cameras: {name: `Camera`} of frames whose pose was aligned; the others have their own.
    """
    frames = sorted([*source.frames, *others], key=lambda f: (sequence_number(f) or 0, f.name))
    names = [f.name for f in frames]
    motion = _cached(cache, names)
    if motion is None:
        trained = {f.name for f in source.frames}
        known = [i for i, name in enumerate(names) if name in trained]
        motion = skin_motion(lambda i: frames[i].image()[..., :3],
                             [cameras.get(f.name, f.camera) for f in frames], known, head, progress)
        save_arrays(cache, {"motion": motion, "names": np.array(names)})
    row = {name: k for k, name in enumerate(names)}
    train = motion[[row[f.name] for f in source.frames]].astype(np.float64)
    middle = train.mean(axis=0)
    _, s, vt = np.linalg.svd(train - middle, full_matrices=False)
    count = min(COUNT, int((s > 1e-6 * max(s[0], 1e-12)).sum()))
    axes = vt[:count] * np.sign(vt[np.arange(count), np.abs(vt[:count]).argmax(axis=1)])[:, None]
    unit = np.sqrt(source.expressions.var(axis=0).sum() / max((s[:count] ** 2).sum() / len(train),
                                                              1e-12))
    found = (unit * (motion - middle) @ axes.T).astype(np.float32)
    return Details(found[[row[f.name] for f in source.frames]],
                   {f.name: found[row[f.name]] for f in others})


def _cached(path: Path, names: list[str]) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path, {"motion": "f! N M", "names": "U N"})
    except IdfError:  # damaged: it is made again
        return None
    return arrays["motion"] if list(arrays["names"]) == names else None


def predicted(expressions: np.ndarray, details: np.ndarray) -> np.ndarray:
    """Return (E, D) float32: ridge regression of (N, D) details on (N, E) expressions, both from
    their means, its ridge the one that predicts stretches of time held out best."""
    x = (expressions - expressions.mean(axis=0)).astype(np.float64)
    y = (details - details.mean(axis=0)).astype(np.float64)
    size = (x**2).sum() / len(x)
    if size < 1e-12 or not y.shape[1]:
        return np.zeros((x.shape[1], y.shape[1]), np.float32)
    stretch = np.arange(len(x)) * STRETCHES // len(x)

    def fitted(rows, ridge):
        a = x[rows]
        return np.linalg.solve(a.T @ a + ridge * size * np.eye(x.shape[1]), a.T @ y[rows])

    missed = [sum(((y[stretch == k] - x[stretch == k] @ fitted(stretch != k, r)) ** 2).sum(axis=0)
                  for k in range(STRETCHES)) for r in RIDGES]
    best = np.argmin(missed, axis=0)
    out = np.stack([fitted(slice(None), RIDGES[r])[:, d] for d, r in enumerate(best)],
                   axis=1).astype(np.float32)
    out[np.ptp(expressions, axis=0) <= 1e-6] = 0
    return out
