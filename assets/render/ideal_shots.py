"""The set `ideal`: targets, photos of other people, and what a perfect swap of these gives.

    targets/A_rest/            a dataset: views of a still head, transforms_train.json
    ideals/B_on_A_rest/r_2.png head A with B's face in view 2, r_2.mask.png where the face is
    photos/B_smile.png         a photo of B; what cameras and files do to it comes later
"""

from __future__ import annotations

import math

import numpy as np
from ideal import JOIN
from performance import REST, both
from shots import Plan, Shot, camera_at, gather, rows, to_set

FOV_X = math.radians(24.0)  # the head fills the picture
DISTANCE = 4.0  # of the cameras, in the datasets' world
PHOTO_DISTANCE = 6.0  # Blender units
SMILE = both(mouthSmile=0.9, cheekSquint=0.6, mouthUpperUp=0.25, eyeSquint=0.25)
LAUGH = SMILE | {"jawOpen": 0.32} | both(mouthLowerDown=0.2)
EXPRESSIONS = {"rest": REST, "smile": SMILE | {"jawOpen": 0.12}}
# Yaw and pitch in degrees. Pictures are compared in IDEAL_VIEWS; with ALL of them a target is a
# dataset that a face can be fitted to, with these alone it is for swaps of single pictures.
VIEWS = ((-75, 4), (-56, 6), (-40, -4), (-27, 9), (-12, 0), (0, 4), (14, 10), (31, -3), (45, 5),
         (58, 8), (75, 0))
IDEAL_VIEWS = (1, 3, 5, 7, 9)
ALL = tuple(range(len(VIEWS)))
# head, expression, whose faces, views
TARGETS = (("A", "rest", "BC", ALL), ("A", "smile", "BC", IDEAL_VIEWS),
           ("C", "rest", "A", IDEAL_VIEWS), ("B", "rest", "C", IDEAL_VIEWS))
# name: yaw, pitch, expression, turn of the lights in degrees, worn
PHOTOS = {"rest": (3, 2, REST, 0, ()), "turned": (-20, 3, REST, 0, ()),
          "smile": (3, 2, LAUGH, 0, ()), "smile_turned": (20, 3, LAUGH, 0, ()),
          "side_light": (3, 2, REST, 62, ()), "glasses": (3, 2, REST, 0, ("glasses",)),
          "fringe": (3, 2, REST, 0, ("fringe",))}


def ideal_plan() -> Plan:
    """All shots of the set, and the transforms of its targets."""
    shots, tables = [], {}
    for head, mood, faces, seen in TARGETS:
        name = f"{head}_{mood}"
        weights = EXPRESSIONS[mood]
        views = {}
        for k in seen:
            c2w = camera_at(*VIEWS[k])
            entry = {"file_path": f"./train/r_{k}",
                     "transform_matrix": rows(to_set(c2w, DISTANCE))}
            views[k] = Shot(f"targets/{name}/train/r_{k}.png", head, c2w, weights, entry=entry)
        tables[f"targets/{name}/transforms_train.json"] = ({"camera_angle_x": FOV_X},
                                                           tuple(views.values()))
        shots += views.values()
        shots += [Shot(f"ideals/{face}{JOIN}{name}/r_{k}.png", face + JOIN + head, views[k].c2w,
                       weights) for face in faces for k in IDEAL_VIEWS]
    for who in sorted({face for _, _, faces, _ in TARGETS for face in faces}):
        for name, (yaw, pitch, weights, turn, worn) in PHOTOS.items():
            shots.append(Shot(f"photos/{who}_{name}.png", who,
                              camera_at(yaw, pitch, PHOTO_DISTANCE), weights, turned(turn),
                              worn=worn))
    return gather("ideal", tables, shots)


def turned(degrees: float) -> np.ndarray:
    """(4, 4) the lights turned about the vertical axis, counterclockwise from above: 60 brings
    the key light from the front to the head's left side."""
    out = np.eye(4)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    out[:2, :2] = (c, -s), (s, c)
    return out
