"""Whether cameras and faces tell the same story, as a whole and frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import IdfError
from ..face.head_model import FaceModel
from ..face.pose import fit_pose
from ..face.shape_fit import guessed_lens
from .cameras import Cameras, Frames, Moves
from .choose import yaws
from .fill import Fit

FRONTAL = 40.0  # degrees up to which a face's pose is good to three
PROFILE = 60.0  # degrees from which landmarks turn with the face, but lie beside it
FEWEST = 5  # such frames; where there are fewer, all that show a face are asked
TURNED = 2.0  # so many times as far may the cameras then be from the faces
# Degrees that a quarter of them exceed, by what moves: 1 to 4.7 of nine captures that came out
# right; 7 of one of a head whose few frames, 13 degrees apart, were put together wrongly, although
# its points fitted to 0.3 pixels. A room behind the head hardly lets that happen.
CONTRADICTS = {"head": 6.0, "camera": 10.0}
# Degrees from which a single frame contradicts the face. Of frames that came out right, the
# landmarks err by up to 7 where the face is frontal and by up to 11 beyond; of heads put together
# wrongly the frames on one side were 27 to 68 degrees off.
ALONE = 20.0


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well the cameras of N frames go with their faces.

    whole: degrees by which the cameras turn differently from the faces, the upper quartile of the
    frames that see a face from the front, or half of that of all where these are few; 0 where no
    more than four show a face. wrong: (N,) bool, frames whose camera contradicts their own face, or
    that lie without a face between two such.
    """

    whole: float
    wrong: np.ndarray

    def contradiction(self, moves: Moves) -> str:
        """Return in words that the cameras as a whole contradict the faces, "" if they do not."""
        return "" if self.whole <= CONTRADICTS[moves] else \
            f"its cameras turn {self.whole:.0f} degrees differently from the face"


def agreement(frames: Frames, cameras: Cameras) -> Agreement:
    """Compare the heads' poses in the pictures with what the cameras make of them: they must be one
    pose in the world, and the face's points, triangulated, must lie where the landmarks are."""
    model, lens = FaceModel.load(), guessed_lens(frames.width, frames.height)
    wrong = np.zeros(len(frames), bool)
    rows, heads = [], []
    for i in np.flatnonzero(cameras.registered & frames.seen):
        try:
            pose = fit_pose(frames.points[i], lens, model=model).pose
        except IdfError:
            continue
        camera = cameras.cameras[i]
        assert camera is not None
        rows.append(i)
        heads.append(camera.c2w[:3, :3] @ pose[:3, :3])  # the head in the cameras' world
    index = np.array(rows, int)
    if len(index) < FEWEST:
        return Agreement(0.0, wrong)
    yaw = np.abs(yaws(frames.points)[index])
    asked, exact = yaw < FRONTAL, 1.0
    if asked.sum() < FEWEST:
        asked, exact = np.ones(len(index), bool), TURNED
    turns = Rotation.from_matrix(np.array(heads))
    middle = _middle(turns[asked])
    apart = np.degrees((middle.inv() * turns).magnitude())
    whole = float(np.quantile(apart[asked], 0.75)) / exact
    good = index[apart <= ALONE]
    if len(good) >= FEWEST:
        fit = Fit.of(frames, cameras, good)
        off = np.array([fit.off(cameras.cameras[i], frames.points[i, :, :2]) for i in index])
        drawn = yaw < PROFILE
        wrong[index] = (apart > ALONE) | ((off > fit.limit) & drawn)
        wrong |= _between(wrong, index, cameras.registered)
    return Agreement(whole, wrong)


def without(cameras: Cameras, wrong: np.ndarray) -> Cameras:
    """Return the cameras without those of the frames that are wrong, (N,) bool."""
    return replace(cameras, cameras=tuple(
        None if bad else c for bad, c in zip(wrong, cameras.cameras, strict=True)))


def _middle(turns: Rotation) -> Rotation:
    """Return the mean of turns, those far from it of little weight."""
    middle = turns.mean()
    for _ in range(5):
        apart = np.degrees((middle.inv() * turns).magnitude())
        middle = turns.mean(1 / (1 + (apart / 5.0) ** 2))
    return middle


def _between(wrong: np.ndarray, judged: np.ndarray, registered: np.ndarray) -> np.ndarray:
    """(N,) bool: frames with a camera and no face that was judged, whose neighbors with one, on
    both sides, are wrong: a model that is bent there is bent in them as well."""
    out = np.zeros(len(wrong), bool)
    for i in np.setdiff1d(np.flatnonzero(registered), judged):
        before, after = judged[judged < i], judged[judged > i]
        near = [*before[-1:], *after[:1]]
        out[i] = len(near) == 2 and bool(wrong[near].all())
    return out
