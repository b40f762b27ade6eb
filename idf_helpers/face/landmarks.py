"""The points of a face in a picture: 468 on its surface and both irises."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import topology
from .mesh import vertex_normals


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """One face.

    points: (468, 3) float32; x to the right and y down in pixels of the picture, the center of the
        first pixel at (0.5, 0.5); z in the same pixels, smaller = nearer to the camera, 0 at about
        the middle of the head.
    presence: probability that there is a face, in (0, 1), from the mesh model and, where the
        detector is sure, from both.
    score: the detector's probability, in (0, 1).
    iris: (10, 3) float32 like `points`: center of the iris of the head's right eye and four points
        of its rim, then the same of the left eye (`topology.RIGHT_IRIS`, `LEFT_IRIS`); None where
        it is not known.
    """

    points: np.ndarray
    presence: float
    score: float
    iris: np.ndarray | None = None

    @property
    def xy(self) -> np.ndarray:
        """(468, 2) float32 pixels."""
        return self.points[:, :2]

    @property
    def box(self) -> np.ndarray:
        """(4,) float32: x0, y0, x1, y1 of the points, pixels; may reach outside the picture."""
        return np.concatenate([self.xy.min(0), self.xy.max(0)])

    @property
    def size(self) -> float:
        """Longer side of `box`, pixels."""
        b = self.box
        return float(max(b[2] - b[0], b[3] - b[1]))

    @property
    def width(self) -> float:
        """Distance of the oval's ends in front of the ears, pixels, seen in three dimensions."""
        p = self.points
        return float(np.linalg.norm(p[topology.FACE_LEFT] - p[topology.FACE_RIGHT]))

    @property
    def eye_distance(self) -> float:
        """Distance of the outer eye corners, pixels, seen in three dimensions."""
        p = self.points
        return float(np.linalg.norm(p[topology.LEFT_EYE_OUTER] - p[topology.RIGHT_EYE_OUTER]))

    @property
    def yaw(self) -> float:
        """Degrees that the head is turned, from the points; 0 = looks at the camera, positive =
        toward its own left, in an upright picture the picture's right. Good to about 10 degrees up
        to 60, too small beyond."""
        p = self.points
        across = p[topology.FACE_LEFT] - p[topology.FACE_RIGHT]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @property
    def roll(self) -> float:
        """Degrees that the face is turned in the picture, in (-180, 180]; 0 = upright, positive =
        clockwise."""
        p = self.xy
        down = p[topology.CHIN] - p[topology.FOREHEAD]
        return float(np.degrees(np.arctan2(-down[0], down[1])))

    @property
    def quarter_turns(self) -> int:
        """How often the picture has to be turned counterclockwise by 90 degrees (`np.rot90`) for
        the face to be as upright as that makes it: 0 to 3."""
        return int(np.round(self.roll / 90)) % 4

    def turned(self, times: int, width: int, height: int) -> FaceLandmarks:
        """Return the face as it lies in `np.rot90(picture, times)`; width, height: of the picture,
        pixels."""
        def one(points):
            if points is None or times % 4 == 0:
                return points
            x, y, z = points.T
            return np.column_stack([(y, width - x), (width - x, height - y),
                                    (height - y, x)][times % 4 - 1] + (z,)).astype(np.float32)
        return replace(self, points=one(self.points), iris=one(self.iris))

    def in_part(self, corner, ratio=(1.0, 1.0)) -> FaceLandmarks:
        """Return the face as it lies in a part of the picture that was cut out and resized.

        corner: (x, y) of the part, pixels. ratio: pixels of the result over those before, along x
        and y; depths are multiplied by their geometric mean.
        """
        shift = np.array([*corner, 0], np.float64)
        scale = np.array([*ratio, np.sqrt(ratio[0] * ratio[1])], np.float64)
        return replace(self, points=((self.points - shift) * scale).astype(np.float32),
                       iris=None if self.iris is None
                       else ((self.iris - shift) * scale).astype(np.float32))


def lid_gaps(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the (2, 7) distances of the lids of the right and the left eye, from corner to corner,
    the fourth in the middle, and the (2,) widths of both eyes.

    points: (468, 2 or 3).
    """
    rims = np.asarray(points, np.float64)[np.stack([topology.RIGHT_EYE, topology.LEFT_EYE])]
    # A rim runs from corner to corner below, and back above.
    gaps = np.linalg.norm(rims[:, 1:8] - rims[:, :8:-1], axis=-1)
    return gaps, np.maximum(np.linalg.norm(rims[:, 0] - rims[:, 8], axis=-1), 1e-9)


def vertex_facing(points: np.ndarray) -> np.ndarray:
    """Return (468,) float32 cosine between each point's normal and the direction to the camera,
    seen orthographically: 1 = faces the camera, < 0 = turned away.

    points: (468, 3), x right, y down, z away from the camera, one unit. The normal is the sum of
    the adjacent triangles' normals (weighted by area).
    """
    # The triangles turn counterclockwise on screen: with y down and z away from the camera their
    # cross product points toward it, along -z.
    return -vertex_normals(np.asarray(points, np.float64))[:, 2].astype(np.float32)
