"""Which way is up in a splat file that does not say: where faces are found in its renders."""

from __future__ import annotations

import math

import numpy as np

from ...data.cameras import Camera
from ...errors import IdfError, nearest
from .formats.axes import COLMAP, NAMES, Axes, axis_name, usual_front
from .formats.splat_model import SplatModel
from .framing import guess_frame, thinned
from .scene import GaussianScene

# Views along the axes, the usual ones first: splats of one photo show a face from behind as well.
FRONTS = ("-z", "-y", "z", "y", "x", "-x")
SIZE = 224  # side of the renders that faces are looked for in, pixels
BETTER = 0.05  # detector score by which another view must beat an earlier one
OWN_TILT = 15.0  # degrees by which a head may be tilted or turned though its file is upright
FLATTEST = 0.25  # variance of the flattest axis, of the next, below which a scene lies on a plane
LEANS = 60.0  # degrees from the usual up within which the normal of that plane counts


def find_axes(scene, model: SplatModel, up: str = "auto") -> tuple[Axes, list[str]]:
    """Return where a file's up and front are, and what to tell the user: [] where it says both.

    scene: a `GaussianScene` of the model, to render it. up: a key of `NAMES`, or "auto".
    IdfError for another word.
    """
    if up != "auto" and up not in NAMES:
        raise IdfError("There is no such axis to point up", f"{up}{nearest(up, NAMES)}",
                       f"one of: auto, {', '.join(NAMES)}")
    if up == "auto" and model.axes is not None:
        return model.axes, []
    known = NAMES[up] if up != "auto" else model.up
    found = _by_faces(scene, known)
    if found:
        return found, [] if up != "auto" else [
            f"a face was found in it: {_words(found.up)} is up and it looks to "
            f"{_words(found.front)}; --up sets another axis"]
    if known is not None:
        return Axes(known, usual_front(known)), []
    normal = _plane(thinned(scene.gaussians))
    if normal is not None:
        front = np.array(COLMAP.front) - normal * (normal @ COLMAP.front)
        return Axes(tuple(normal), tuple(front / np.linalg.norm(front))), [
            "no face was found in it: up is at right angles to the plane that it lies in; --up "
            "sets an axis"]
    return COLMAP, [f"no face was found in it: {axis_name(COLMAP.up)} is taken as up, as in most "
                    "files of splat trainers; --up sets another axis"]


def _by_faces(scene, up) -> Axes | None:
    """Return the axes under which a face stands upright in a view along an axis, or None: no face,
    or the detector's files are not there.

    up: the one that is known, or None. Each view along an axis is drawn once; the detector sees
    faces at any roll, and the roll says which side is up.
    """
    from ...face.detector import LandmarkDetector

    g = thinned(scene.gaussians)  # faces are large
    frame, best = guess_frame(g), (0.0, None)
    try:
        detector = LandmarkDetector()
        for front in map(NAMES.__getitem__, FRONTS):
            if up is not None and abs(np.dot(front, up)) > 0.5:
                continue
            above = np.array(up if up is not None else usual_up(front))
            camera = Camera.look_at(frame.center + frame.distance * np.array(front), frame.center,
                                    above, 2 * math.atan(frame.radius / frame.distance), SIZE, SIZE)
            picture = np.rint(255 * _draw(scene, g, camera)).astype(np.uint8)
            for face in detector.detect(picture):
                if up is not None and abs(face.roll) > 45:
                    continue
                score = face.score * math.cos(math.radians(face.yaw))
                if score > best[0] + BETTER:
                    best = (score, _axes(face, above, np.array(front), up is not None))
    except IdfError:  # its files were not downloaded: `idf download` is not forced on anybody
        return None
    return best[1]


def _axes(face, above: np.ndarray, front: np.ndarray, fixed: bool) -> Axes:
    """Return the axes of a face that was seen from `front`, with `above` at the top of the picture
    (`fixed`: and up); angles that a head may well have of itself are taken as none."""
    right = np.cross(above, front)
    roll = 0 if fixed else _plain(face.roll)
    top = math.cos(math.radians(roll)) * above + math.sin(math.radians(roll)) * right
    yaw = math.radians(_plain(face.yaw))
    # the picture's right, as the face stands upright in it
    front = math.cos(yaw) * front + math.sin(yaw) * np.cross(top, front)
    return Axes(tuple(np.round(top, 9)), tuple(np.round(front, 9)))


def _plain(degrees: float) -> float:
    """Return the multiple of 90 that an angle is near to, else the angle."""
    whole = 90 * round(degrees / 90)
    return whole if abs(degrees - whole) < OWN_TILT else degrees


def _words(vector) -> str:
    """Return the name of an axis, or three numbers."""
    name = axis_name(vector)
    return name if np.dot(NAMES[name], vector) > 0.9999 else "({:.2f}, {:.2f}, {:.2f})".format(
        *vector)


def usual_up(front) -> tuple[float, float, float]:
    """Return an axis at right angles to a front, for a first look."""
    return (0.0, -1.0, 0.0) if abs(front[1]) < 0.5 else (0.0, 0.0, 1.0)


def _draw(scene, g, camera: Camera) -> np.ndarray:
    return GaussianScene(g, scene.rasterizer, [], (0.5, 0.5, 0.5)).render(camera)


def _plane(g) -> np.ndarray | None:
    """Return the unit normal of the plane that a scene lies in, toward the usual up; None where it
    lies in none, or the plane stands rather than lies."""
    means = g.means[g.opacities > 0.1].astype(np.float64)
    if len(means) < 16:
        return None
    low, high = np.percentile(means, [2, 98], axis=0)
    inside = means[((means >= low) & (means <= high)).all(axis=1)]
    if len(inside) < 16:
        return None
    values, vectors = np.linalg.eigh(np.cov(inside.T))
    normal = vectors[:, 0] * (1 if vectors[:, 0] @ COLMAP.up > 0 else -1)
    lies = normal @ COLMAP.up > math.cos(math.radians(LEANS))
    return normal if lies and values[0] < FLATTEST * values[1] else None
