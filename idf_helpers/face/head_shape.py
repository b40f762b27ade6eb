"""A whole head as a solid: where skin and hair are, also where no frame looks.

A head before one camera is seen from the front alone, and its outline says nothing about depth. So
three things make a solid on a grid: the face's mesh where there is one, the outlines of all frames,
which bound what is beside the head and above it, and for what is left a table of the average head's
horizontal sections. The table was measured on the mean head of ICT-FaceKit (MIT), ears left out,
in the frame of `face.head_model`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..data.training_views import TrainingViews
from ..errors import IdfError
from .head_model import FaceModel
from .raster import rasterize
from .topology import CHIN, FACE_LEFT, FACE_RIGHT, FOREHEAD, TRIANGLES

# Height of a section, half its width, its rear and front end; cm.
SECTIONS = np.array([
    (-18.0, 12.4, -9.0, 4.5), (-15.0, 12.4, -9.0, 3.8), (-13.5, 12.4, -8.9, 3.9),
    (-12.0, 9.5, -8.1, 4.5), (-10.5, 6.5, -6.9, 5.1), (-9.0, 5.7, -6.2, 6.0),
    (-8.3, 5.7, -6.0, 8.8), (-7.5, 5.7, -5.9, 10.6), (-6.0, 5.8, -5.7, 11.0),
    (-4.5, 6.3, -5.8, 11.4), (-3.0, 6.7, -6.1, 11.5), (-1.5, 7.5, -6.7, 11.5),
    (0.0, 7.8, -7.4, 11.3), (1.5, 8.1, -8.1, 11.0), (3.0, 8.2, -8.5, 10.7),
    (4.5, 7.9, -8.7, 10.7), (6.0, 7.9, -8.7, 10.8), (7.5, 7.9, -8.6, 10.6), (9.0, 7.7, -8.2, 10.1),
    (10.5, 7.2, -7.5, 9.5), (12.0, 6.5, -6.4, 8.4), (13.5, 5.0, -5.1, 6.2), (14.5, 2.0, -2.5, 2.5)])
CROWN = 4.5  # cm; above it the sections are stretched until they reach the top of the outline
STRETCH = (0.8, 1.6)  # within this
CELL = 0.5  # cm, side of a cell of the grid
LOW, HIGH = np.array([-22.0, -18.0, -14.0]), np.array([22.0, 24.0, 17.0])  # cm, its corners
EARS = (-2.5, 5.0)  # cm, heights between which an outline up to EAR wider is that of ears
EAR, BEHIND_EAR = 2.0, -1.5  # cm; cells further back than the latter are none of an ear
HAIR = (4.0, 1.5)  # cm, most that hair adds behind and before
SMOOTH = 0.7  # cm, standard deviation of the blur that rounds steps off
OUTSIDE = 0.02  # of the frames that may see background where there is head: mattes are not exact
LEAST = 800.0  # cubic cm of a head, which has some 4000
OUTLINED = 0.6  # of the face that the middle frame's outline holds at least
FACE_DEPTH = 4.0  # cm behind the face's mesh that is filled


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """Where a head lies in the world: world = scale · rotation · cm + position.

    face: (468, 3) float64 cm, its mesh at rest in the frame of `face.head_model`.
    """

    scale: float
    rotation: np.ndarray
    position: np.ndarray
    face: np.ndarray

    def to_world(self, cm: np.ndarray) -> np.ndarray:
        """Return (N, 3) points of the world."""
        return self.scale * np.asarray(cm) @ self.rotation.T + self.position

    def to_head(self, world: np.ndarray) -> np.ndarray:
        """Return (N, 3) cm."""
        return (np.asarray(world) - self.position) @ self.rotation / self.scale


@dataclass(frozen=True)
class AverageHead:
    """How a face's head differs from the average: factors on width, height and depth; where the
    average's chin lies, cm, and how far behind it the head stands."""

    wide: float
    tall: float
    deep: float
    chin: tuple[float, float]
    back: float

    @classmethod
    def of(cls, face: np.ndarray) -> AverageHead:
        """Return the differences of a face at rest, (468, 3) cm."""
        rest = FaceModel.load().rest
        sides, middle = [FACE_LEFT, FACE_RIGHT], [FOREHEAD, CHIN]
        wide = float(np.ptp(face[sides, 0]) / np.ptp(rest[sides, 0]))
        tall = float(np.ptp(face[middle, 1]) / np.ptp(rest[middle, 1]))
        deep = float(np.sqrt(wide * tall))
        return cls(wide, tall, deep, (float(face[CHIN, 1]), float(rest[CHIN, 1])),
                   float(face[sides, 2].mean() - deep * rest[sides, 2].mean()))

    def level(self, y: np.ndarray) -> np.ndarray:
        """Return the same heights on the average head, cm."""
        return (y - self.chin[0]) / self.tall + self.chin[1]


@dataclass(frozen=True, eq=False)
class HeadShape:
    """A solid head.

    frame: where it lies. distance: (X, Y, Z) float32 cm on the grid from LOW, CELL apart: to the
    surface, negative inside.
    """

    frame: HeadFrame
    distance: np.ndarray

    @classmethod
    def fit(cls, frame: HeadFrame, views: TrainingViews) -> HeadShape:
        """Return the solid within the outlines (alpha) of `views`. IdfError: they do not hold the
        face."""
        inside = _face_inside(frame, views)
        grid = np.stack(np.meshgrid(*(np.arange(a, b, CELL) for a, b in
                                      zip(LOW, HIGH, strict=True)), indexing="ij"), axis=-1)
        hull = _hull(frame, views, grid)
        before = grid[..., 2] - _face_depth(frame.face, grid)  # cm; NaN beside the face
        face = (before <= 0) & (before > -FACE_DEPTH)
        solid = hull & (_sections(frame.face, hull, grid) | face) & ~(before > 0)
        soft = ndimage.gaussian_filter(solid.astype(np.float32), SMOOTH / CELL)
        solid = soft > 0.5
        size = solid.sum() * CELL**3
        if inside < OUTLINED or size < LEAST:
            raise IdfError(
                "The outlines of the head miss most of it",
                f"{100 * inside:.0f} % of the face lies inside them, in the middle one of "
                f"{len(views.cameras)} frames, and all together they leave {size:.0f} of a head's "
                "4000 cubic cm",
                "if there is a background picture, it shows the head: give one without the person, "
                "or track the video again without it")
        distance = (ndimage.distance_transform_edt(~solid) - ndimage.distance_transform_edt(solid))
        # half a cell: the surface lies between cells
        distance = distance - 0.5 * np.sign(distance)
        return cls(frame, ndimage.gaussian_filter(distance * CELL, 0.8).astype(np.float32))

    def sample(self, cm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (N,) signed distance and (N, 3) unit vectors away from the head at (N, 3) cm."""
        at = ((np.asarray(cm, np.float64) - LOW) / CELL).T
        here = ndimage.map_coordinates(self.distance, at, order=1, mode="nearest")
        slope = np.empty_like(at)
        for axis in range(3):
            step = np.zeros((3, 1))
            step[axis] = 1.0
            slope[axis] = (ndimage.map_coordinates(self.distance, at + step, order=1,
                                                   mode="nearest")
                           - ndimage.map_coordinates(self.distance, at - step, order=1,
                                                     mode="nearest"))
        slope /= np.maximum(np.linalg.norm(slope, axis=0), 1e-9)
        return here, slope.T

    def on_average(self, cm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return height and depth (N,) of points on the average head, cm."""
        average = AverageHead.of(self.frame.face)
        return average.level(cm[:, 1]), (cm[:, 2] - average.back) / average.deep

    def surface(self, count: int, rng: np.random.Generator, depth: float = 0.0) -> np.ndarray:
        """Return (count, 3) cm, spread evenly over the surface, or `depth` cm below it."""
        near = np.argwhere(np.abs(self.distance + depth) < CELL)
        pick = near[rng.integers(len(near), size=4 * count)]
        points = LOW + CELL * (pick + rng.uniform(-0.5, 0.5, pick.shape))
        for _ in range(3):
            d, normal = self.sample(points)
            points = points - (d + depth)[:, None] * normal
        d, _ = self.sample(points)
        good = np.flatnonzero(np.abs(d + depth) < 0.3 * CELL)
        return points[rng.permutation(good)[:count]]


def _face_inside(frame: HeadFrame, views: TrainingViews) -> float:
    """Return the share of the face that lies inside the outline, in the middle frame. A background
    that has the head in it makes the head vanish from the difference to it."""
    points, inside = frame.to_world(frame.face), []
    for camera, pixels in zip(views.cameras, views.pixels, strict=True):
        uv, z = camera.project(points)
        seen = (z > 0) & (uv >= 0).all(1) & (uv < (camera.width, camera.height)).all(1)
        j, i = uv[seen].astype(np.int32).T
        inside.append(float((pixels[3, i, j] >= 0.3 * 255).mean()) if len(i) else 0.0)
    return float(np.median(inside))


def _hull(frame: HeadFrame, views: TrainingViews, grid: np.ndarray) -> np.ndarray:
    """Return the cells that frames see, and hardly any of them beside the outline."""
    points = frame.to_world(grid.reshape(-1, 3))
    seen, missed = (np.zeros(len(points), np.int32) for _ in range(2))
    for camera, pixels in zip(views.cameras, views.pixels, strict=True):
        uv, z = camera.project(points)
        inside = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < camera.width) & (uv[:, 1] < camera.height)
        j, i = uv[inside].astype(np.int32).T
        seen += inside
        missed[inside] += pixels[3, i, j] < 0.3 * 255
    return ((seen > 0) & (missed <= OUTSIDE * seen)).reshape(grid.shape[:3])


def _sections(face: np.ndarray, hull: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the cells of a head of average depth, as wide as the outline."""
    average = AverageHead.of(face)
    wide, deep, back = average.wide, average.deep, average.back
    x, y, z = grid[:, 0, 0, 0], grid[0, :, 0, 1], grid[0, 0, :, 2]
    middle = hull[:, :, np.abs(z - back - 1.0) < 1.5].mean(axis=2) > 0.5  # (X, Y)
    column = middle[np.abs(x) < 3].any(axis=0)
    level = average.level(y)
    top = level[column].max(initial=14.5)
    stretch = np.clip((top - CROWN) / (SECTIONS[-1, 0] - CROWN), *STRETCH)
    level = np.where(level > CROWN, CROWN + (level - CROWN) / stretch, level)
    out = np.zeros(hull.shape, bool)
    for row in range(len(y)):
        if level[row] > SECTIONS[-1, 0]:
            continue
        half, rear, front = (np.interp(level[row], SECTIONS[:, 0], SECTIONS[:, k])
                             for k in (1, 2, 3))
        half, rear, front = half * wide, back + rear * deep, back + front * deep
        left, right = half, -half
        inside = np.flatnonzero(middle[:, row])
        if len(inside):
            right, left = x[inside[0]] - CELL / 2, x[inside[-1]] + CELL / 2
        more = max(0.0, (left - right) / 2 - half)
        if level[row] > 2:
            rear -= min(more, HAIR[0])
            front += min(more, HAIR[1]) if level[row] > 9 else 0
        v = (z - (front + rear) / 2) / max((front - rear) / 2, CELL)
        wide_at = np.full(len(z), max((left - right) / 2, CELL))
        if EARS[0] < level[row] < EARS[1] and more < EAR:
            wide_at[z < back + BEHIND_EAR] = half
        u = (x - (left + right) / 2)[:, None] / wide_at
        out[:, row] = u**2 + v**2 <= 1
    return out


def _face_depth(face: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return (X, Y, 1) cm: z of the face's mesh over each column of cells, NaN beside it."""
    points = (face[:, :2] - LOW[:2]) / CELL + 0.5
    columns, rows = grid.shape[:2]
    _, drawn, depth = rasterize(TRIANGLES, points, -face[:, 2], np.zeros((len(face), 1)), rows,
                                columns)
    return np.where(drawn >= 0, -depth, np.nan).T[..., None]
