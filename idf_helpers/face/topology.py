"""The 468-point face mesh: its triangles, named points and rings of points.

Point order and connectivity are those of the MediaPipe face mesh (Apache-2.0; origin in
data/face_triangles.txt). Left and right are the head's own: in a picture of a face that looks at
the camera, the right eye lies to the left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

POINTS = 468
IRIS_POINTS = 10  # of both eyes, beside the mesh
_DATA = Path(__file__).with_name("data")


def _read_only(values) -> np.ndarray:
    out = np.ascontiguousarray(values, np.int32)
    out.setflags(write=False)
    return out


# (852, 3) int32; every inner edge is used once in each direction, so the mesh is oriented. The
# openings (both eyes, the mouth, the outside of the face oval) are its only four borders.
TRIANGLES = _read_only(np.loadtxt(_DATA / "face_triangles.txt", dtype=np.int32))

# (468,) int32: MIRROR[i] is the point opposite i, MIRROR[MIRROR[i]] == i; all but six pairs of
# triangles are mirror images of each other too (their quads are cut along the other diagonal).
MIRROR = _read_only(np.concatenate([np.array(line.split(), np.int32) for line in
                                    (_DATA / "face_mirror.txt").read_text().splitlines()
                                    if not line.startswith("#")]))

# Rings are closed polygons (the first point is not repeated), int32.
LEFT_EYE = _read_only([263, 249, 390, 373, 374, 380, 381, 382,
                       362, 398, 384, 385, 386, 387, 388, 466])
RIGHT_EYE = _read_only([33, 7, 163, 144, 145, 153, 154, 155,
                        133, 173, 157, 158, 159, 160, 161, 246])
# Rows of `FaceLandmarks.iris`: the center, then right, top, left and bottom of the rim as one sees
# a head that looks at the camera.
RIGHT_IRIS = _read_only([0, 1, 2, 3, 4])
LEFT_IRIS = _read_only([5, 6, 7, 8, 9])
INNER_MOUTH = _read_only([78, 95, 88, 178, 87, 14, 317, 402, 318, 324,
                          308, 415, 310, 311, 312, 13, 82, 81, 80, 191])
OUTER_LIPS = _read_only([61, 146, 91, 181, 84, 17, 314, 405, 321, 375,
                         291, 409, 270, 269, 267, 0, 37, 39, 40, 185])
FACE_OVAL = _read_only([10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288,
                        397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
                        172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109])
LEFT_BROW = _read_only([276, 283, 282, 295, 285, 336, 296, 334, 293, 300])
RIGHT_BROW = _read_only([46, 53, 52, 65, 55, 107, 66, 105, 63, 70])
# Points around the inner, middle and outer stretch of the right brow, then of the left one.
BROW_STRETCHES = ((107, 55, 66, 65), (105, 52, 66, 65), (63, 53, 105, 52),
                  (336, 285, 296, 295), (334, 282, 296, 295), (293, 283, 334, 282))

# Patches that are skin on every face.
RIGHT_CHEEK = _read_only([117, 118, 101, 36, 205, 187, 123])
LEFT_CHEEK = _read_only(MIRROR[RIGHT_CHEEK])
NOSE_RIDGE = _read_only([6, 196, 198, 4, 420, 419])  # bridge and sides
NOSTRILS = _read_only([64, 98, 97, 2, 326, 327, 294, 4])  # the nose from below
SKIN_PATCHES = (RIGHT_CHEEK, LEFT_CHEEK, NOSE_RIDGE)

RIGHT_EYE_OUTER, RIGHT_EYE_INNER, LEFT_EYE_INNER, LEFT_EYE_OUTER = 33, 133, 362, 263
NOSE_TIP, CHIN, FOREHEAD = 4, 152, 10
MOUTH_RIGHT, MOUTH_LEFT, LIP_UPPER, LIP_LOWER = 61, 291, 13, 14
FACE_RIGHT, FACE_LEFT = 234, 454  # the oval's ends in front of the ears
