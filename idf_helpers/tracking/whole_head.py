"""Poses corrected by the whole head: hair, ears, forehead and outline, not the face alone.

Landmarks of a face that speaks cannot tell a jaw that opens from a head that comes nearer, or brows
that rise from a nod; a pixel at the chin is several at the top of the hair. What does not move with
expressions can: the colors on the rigid parts of `face.head_shape.HeadShape`, which are the same in
all frames, and the outline. Each frame is aligned with the median of all (Gauss-Newton on six
numbers, robust), and the median made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from ..data.cameras import Camera
from ..data.media import resize_area
from ..face.head_shape import HeadFrame, HeadShape

SIZE = 160  # px, longer side of the pictures that are compared
POINTS = 2500  # on the surface
FRONT = 0.35  # cosine between normal and view from which a point's color counts
RIM = 0.15  # below which it may lie on the outline
# Levels on the average head, cm: colors count above LOWER, before the ears above BROWS or between
# eyes and mouth; the outline above CROWN, where neither ears nor long hair are.
LOWER, BROWS, CROWN = -1.0, 7.5, 5.0
EYES = (1.2, 7.5)
ROUNDS, STEPS = 3, 3
COLOR, OUTLINE = 0.06, 1.0  # scale of the errors: gray of 1; px
EACH = 60.0  # so many points count as one that errs by itself
ALLOWED = np.array([2.0, 2.0, 2.0, 0.4, 0.4, 1.5])  # standard deviation of a correction: °, cm
SMOOTH = 1.0  # frames


def refine_poses(picture: Callable[[int], np.ndarray], mattes: Sequence[np.ndarray],
                 cameras: Sequence[Camera], shape: HeadShape,
                 progress: Callable[[float], None] | None = None) -> list[Camera]:
    """Return the cameras with their poses corrected; their mean stays.

    picture: frame -> (H, W, 3) uint8. mattes: (H, W) uint8 silhouettes at any size. cameras: of the
    frames, in their order in time. shape: of the head in the cameras' world.
    """
    frame = shape.frame
    points, rigid, crown = _points(shape)
    _, normals = shape.sample(points)
    images, edges, small = [], [], []
    for i, camera in enumerate(cameras):
        c = camera.fitted(SIZE)
        gray = cv2.cvtColor(resize_area(picture(i)[..., :3], c.width, c.height),
                            cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        images.append(cv2.GaussianBlur(gray, (0, 0), 1.0))
        matte = cv2.resize(np.asarray(mattes[i]), (c.width, c.height),
                           interpolation=cv2.INTER_AREA) > 127
        inside = cv2.distanceTransform(matte.astype(np.uint8), cv2.DIST_L2, 3)
        outside = cv2.distanceTransform((~matte).astype(np.uint8), cv2.DIST_L2, 3)
        edges.append(np.clip(outside - inside, -8, 8).astype(np.float32))
        small.append(c)
    moves = np.zeros((len(cameras), 6))
    prior = np.diag(1 / np.concatenate([np.radians(ALLOWED[:3]), ALLOWED[3:]]) ** 2)
    for turn in range(ROUNDS):
        values = np.full((len(cameras), len(points)), np.nan, np.float32)
        offsets = np.full_like(values, np.nan)
        for i, c in enumerate(small):
            uv, facing = _seen(frame, points, normals, c, moves[i])
            color, off = _read(images[i], uv), _read(edges[i], uv)
            values[i] = np.where(rigid & (facing > FRONT), color, np.nan)
            offsets[i] = np.where(crown & (np.abs(facing) < RIM), off, np.nan)
        texture, rim = _median(_even(values)), _median(offsets)
        for i, c in enumerate(small):
            for _ in range(STEPS):
                moves[i] += _step(frame, points, normals, c, moves[i], images[i], edges[i], texture,
                                  rim, prior)
            if progress:
                progress((turn + (i + 1) / len(small)) / ROUNDS)
        moves -= np.median(moves, axis=0)
    if len(moves) > 4:
        moves = gaussian_filter1d(moves, SMOOTH, axis=0, mode="nearest")
    return [replace(c, c2w=_world(frame, -1, m) @ c.c2w)
            for c, m in zip(cameras, moves, strict=True)]


def _points(shape: HeadShape):
    """Points (N, 3) cm; (N,) bool, whose color expressions leave alone, and which lie so high that
    the outline there is that of the skull's hair."""
    points = shape.surface(POINTS, np.random.default_rng(0))
    level, depth = shape.on_average(points)
    face = (depth > 5) & (level < BROWS)
    eyes = (depth > 5) & (level > EYES[0]) & (level < EYES[1])
    nose = (depth > 9) & (np.abs(points[:, 0]) < 1.5) & (level > LOWER)
    rigid = (level > LOWER) & (~face | ~eyes | nose)
    return points, rigid, level > CROWN


def _world(frame: HeadFrame, sign: int, move: np.ndarray) -> np.ndarray:
    """(4, 4) of the world: a move of the head about its middle, rotation vector and cm in its own
    axes; sign -1: the inverse."""
    T = np.eye(4)
    T[:3, :3] = frame.rotation @ Rotation.from_rotvec(move[:3]).as_matrix() @ frame.rotation.T
    T[:3, 3] = frame.position - T[:3, :3] @ frame.position \
        + frame.scale * frame.rotation @ move[3:]
    return T if sign > 0 else np.linalg.inv(T)


def _seen(frame, points, normals, camera, move):
    """Pixels (N, 2) and cosines (N,) between normal and view of the head moved by `move`."""
    R = Rotation.from_rotvec(move[:3]).as_matrix()
    moved, turned = points @ R.T + move[3:], normals @ R.T
    uv, _ = camera.project(frame.to_world(moved))
    toward = frame.to_head(camera.position[None]) - moved
    return uv, (toward * turned).sum(1) / np.linalg.norm(toward, axis=1)


def _read(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N,) float32 of a picture at pixels (N, 2), NaN beside it."""
    at = (uv - 0.5).astype(np.float32)
    out = cv2.remap(image, at[:, None], None, cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)[:, 0]
    height, width = image.shape
    away = (uv < 1).any(1) | (uv[:, 0] > width - 1) | (uv[:, 1] > height - 1)
    return np.where(away, np.nan, out)


def _even(values: np.ndarray) -> np.ndarray:
    """Rows of values with their own gain and offset taken out, by the median of all."""
    middle = _median(values)
    out = values.copy()
    for row in out:
        there = np.isfinite(row) & np.isfinite(middle)
        if there.sum() > 20:
            row -= np.median(row[there] - middle[there])
    return out


def _median(values: np.ndarray) -> np.ndarray:
    """(N,) median over the frames, NaN where fewer than three, or a tenth of them, tell."""
    count = np.isfinite(values).sum(axis=0)
    filled = np.where(np.isfinite(values), values, np.inf)
    filled.sort(axis=0)
    middle = filled[np.maximum(count // 2, 0).clip(max=len(values) - 1), np.arange(values.shape[1])]
    return np.where(count >= max(3, len(values) // 10), middle, np.nan)


def _step(frame, points, normals, camera, move, image, edge, texture, rim, prior) -> np.ndarray:
    """One step of Gauss-Newton for one frame."""
    uv, facing = _seen(frame, points, normals, camera, move)
    lhs, rhs = prior.copy(), -prior @ move
    moved = []
    for k in range(6):
        d = np.zeros(6)
        d[k] = 1e-4
        moved.append((_seen(frame, points, normals, camera, move + d)[0] - uv) / 1e-4)
    jacobian = np.stack(moved, axis=2)  # (N, 2, 6)
    for picture, wanted, scale, use in ((image, texture, COLOR, facing > FRONT),
                                        (edge, rim, OUTLINE, np.abs(facing) < RIM)):
        error = _read(picture, uv) - wanted
        use = use & np.isfinite(error)
        if use.sum() < 12:
            continue
        if picture is image:
            error = error - np.median(error[use])
        slope = np.stack([_read(picture, uv + (1, 0)) - _read(picture, uv - (1, 0)),
                          _read(picture, uv + (0, 1)) - _read(picture, uv - (0, 1))], 1) / 2
        use &= np.isfinite(slope).all(1)
        J = np.einsum("ni,nik->nk", slope[use], jacobian[use])
        e = error[use]
        weight = 1 / (1 + (e / scale) ** 2) ** 2 / scale**2 / EACH * 20
        lhs += J.T @ (J * weight[:, None])
        rhs -= J.T @ (weight * e)
    return np.linalg.solve(lhs, rhs)
