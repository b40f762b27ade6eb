"""Which points a training starts from: those that the camera file names, or COLMAP's beside it.

nerfstudio turns COLMAP's world before it writes `transforms.json` (`applied_transform`), and older
versions leave the points in COLMAP's own. Both know the same cameras, which say how to bring one
into the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import IdfError
from .colmap_files import read_poses
from .colmap_places import find_sparse
from .frame import Frame
from .pictures import picture_name
from .points import count_points
from .remarks import Remarks

MIN_POINTS = 100  # fewer cannot start a training
FIT = 0.01  # of the cameras' spread, and radians: farther off, the two are not the same cameras


def enough(path: Path | None, where: str, remarks: Remarks) -> Path | None:
    """Return a file of points that can start a training, None where it is none. where: of the
    points, for the note."""
    count = 0 if path is None else count_points(path)
    if count >= MIN_POINTS:
        return path
    remarks.say(f"{count} points {where}: too few to start a training from, which will begin as if "
                "there were none")
    return None


def listed_points(path: Path, inside: Path, mirrored: bool, remarks: Remarks) -> Path | None:
    """Return the file that `ply_file_path` names, None where it is not used, which is told.

    inside: the folder that it must not leave, resolved. mirrored: whether the cameras' world is."""
    if mirrored:
        remarks.say(f"the points of {path.name} are not used: the cameras' world is mirrored")
    elif not path.resolve().is_relative_to(inside):
        raise IdfError("`ply_file_path` points outside the dataset folder", str(path),
                       "copy the points into the dataset folder")
    elif not path.is_file():
        remarks.say(f"`ply_file_path` names {path.name}, which is missing: a training begins "
                    "without points")
    else:
        return enough(path, f"of {path.name}", remarks)
    return None


def points_beside(root: Path, frames: Sequence[Frame], remarks: Remarks
                  ) -> tuple[Path | None, np.ndarray | None]:
    """Return the points of the reconstruction in a folder and the (4, 4) similarity that brings
    them into the frames' world; None for both where there are none, or their cameras do not
    fit."""
    sparse = find_sparse(root)
    if sparse is None or sparse.points is None:
        return None, None
    there = {PurePosixPath(picture_name(p.name)).name: p.c2w() for p in read_poses(sparse.images)}
    pose = similarity([(there[end], f.camera.c2w) for f in frames
                       if (end := PurePosixPath(f.name).name) in there])
    where = sparse.points.relative_to(root).as_posix()
    if pose is None:
        remarks.say(f"the points of {where} are not used: its cameras are not those of the camera "
                    "file")
        return None, None
    remarks.say(f"the points of {where} are brought into the cameras' world")
    return enough(sparse.points, f"of {where}", remarks), pose


def similarity(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | None:
    """Return the (4, 4) matrix that brings the first camera of every pair to the second, up to
    scale; None where there are fewer than 3, or none does."""
    if len(pairs) < 3:
        return None
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    turns = b[:, :3, :3] @ a[:, :3, :3].transpose(0, 2, 1)
    u, _, vt = np.linalg.svd(turns.sum(0))
    R = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    from_mean_a, from_mean_b = (m[:, :3, 3] - m[:, :3, 3].mean(0) for m in (a, b))
    spread_a, spread_b = np.linalg.norm(from_mean_a), np.linalg.norm(from_mean_b)
    if min(spread_a, spread_b) < 1e-9:
        return None
    out = np.eye(4)
    out[:3, :3] = spread_b / spread_a * R
    out[:3, 3] = b[:, :3, 3].mean(0) - out[:3, :3] @ a[:, :3, 3].mean(0)
    off = np.linalg.norm(from_mean_a @ out[:3, :3].T - from_mean_b, axis=1).max()
    if off > FIT * spread_b or np.abs(turns - R).max() > FIT:
        return None
    return out
