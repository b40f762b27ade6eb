"""Whether cameras and faces tell the same story."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import IdfError
from ..face.head_model import FaceModel
from ..face.pose import fit_pose
from ..face.shape_fit import guessed_lens
from .cameras import Cameras, Frames
from .choose import yaws

FRONTAL = 40.0  # degrees up to which a face's pose is good to three
FEWEST = 5  # such frames
# Degrees that a quarter of them exceed, by what moves: 1 to 4.7 of nine captures that came out
# right; 7 of one of a head whose few frames, 13 degrees apart, were put together wrongly, although
# its points fitted to 0.3 pixels. A room behind the head hardly lets that happen.
CONTRADICTS = {"head": 6.0, "camera": 10.0}


def disagreement(frames: Frames, cameras: Cameras) -> float:
    """Return by how many degrees cameras turn differently from what the faces in their frames do,
    the upper quartile of the frames that see a face from the front; 0 where these are few."""
    model, lens = FaceModel.load(), guessed_lens(frames.width, frames.height)
    yaw, heads = yaws(frames.points), []
    for i in np.flatnonzero(cameras.registered & frames.seen):
        if abs(yaw[i]) < FRONTAL:
            try:
                pose = fit_pose(frames.points[i], lens, model=model).pose
            except IdfError:
                continue
            camera = cameras.cameras[i]
            assert camera is not None
            heads.append(camera.c2w[:3, :3] @ pose[:3, :3])  # the head in the cameras' world
    if len(heads) < FEWEST:
        return 0.0
    heads = Rotation.from_matrix(np.array(heads))
    middle = heads.mean()
    for _ in range(5):
        apart = np.degrees((middle.inv() * heads).magnitude())
        middle = heads.mean(1 / (1 + (apart / 5.0) ** 2))
    return float(np.quantile(np.degrees((middle.inv() * heads).magnitude()), 0.75))
