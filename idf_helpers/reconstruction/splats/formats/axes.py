"""Which way is up and where the front is, in the conventions of the splat formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....data.cameras import SceneFrame


@dataclass(frozen=True)
class Axes:
    """up, front: (3,) unit vectors at right angles; the front is where a face looks."""

    up: tuple[float, float, float]
    front: tuple[float, float, float]

    def matrix(self) -> np.ndarray:
        """Return (3, 3) with rows right (as the viewer sees it), up, front."""
        return np.stack([np.cross(self.up, self.front), self.up, self.front]).astype(np.float64)

    def turn_to(self, other: Axes) -> np.ndarray:
        """Return the (3, 3) rotation that brings these axes onto the other ones."""
        return other.matrix().T @ self.matrix()

    @classmethod
    def of(cls, frame: SceneFrame) -> Axes:
        """Return the axes of a scene, made orthonormal."""
        up = np.asarray(frame.up, np.float64) / np.linalg.norm(frame.up)
        front = np.asarray(frame.front, np.float64)
        front = front - up * (up @ front)
        return cls(tuple(up), tuple(front / np.linalg.norm(front)))


BLENDER = Axes((0.0, 0.0, 1.0), (0.0, -1.0, 0.0))  # this project's samples and exports
GLTF = Axes((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))  # glTF 2.0, and RUB of .spz: +y up, +z to the viewer
COLMAP = Axes((0.0, -1.0, 0.0), (0.0, 0.0, -1.0))  # RDF: as a COLMAP camera sees it, +y down
NAMES = {"x": (1.0, 0.0, 0.0), "-x": (-1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0),
         "-y": (0.0, -1.0, 0.0), "z": (0.0, 0.0, 1.0), "-z": (0.0, 0.0, -1.0)}
AXES_COMMENT = "idf axes"  # in the header of a .ply; then six numbers: up, front
AS_SHOWN = " as shown"  # after it, where no cameras said so


def axes_comment(axes: Axes, of_cameras: bool = True) -> str:
    """Return the comment line that says what is up and front in a `.ply`. of_cameras: among the
    cameras that it was trained with."""
    numbers = "".join(f" {v:.6f}" for v in (*axes.up, *axes.front))
    return AXES_COMMENT + AS_SHOWN * (not of_cameras) + numbers


def usual_front(up) -> tuple[float, float, float]:
    """Return the front that goes with an up in the conventions above; -z where none has it."""
    for axes in (BLENDER, GLTF, COLMAP):
        if np.allclose(axes.up, up):
            return axes.front
    return (0.0, 0.0, -1.0) if abs(up[2]) < 0.9 else (0.0, 1.0, 0.0)


def axis_name(vector) -> str:
    """Return the name of the axis nearest to a direction, as `--up` takes it."""
    return max(NAMES, key=lambda n: float(np.dot(NAMES[n], vector)))
