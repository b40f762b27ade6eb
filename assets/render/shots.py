"""What is photographed in each sample set: identity, expression, camera, and the set's JSON.

A set is read back from the transforms of the bundled one, so that it can be rendered again as it
is, or drawn anew from a seed. Needs numpy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pack import CAMERA_DISTANCE, CENTER, HeadPack, to_world
from performance import Moves, performed, rehearsed

from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.errors import IdfError
from idf_helpers.runtime.files import read_json

FOV_X = math.radians(29.0)  # of every camera
SETS = {"head_multiview": 320, "head_turntable": 320, "head_talking": 256, "source_photos": 512}
GRAY = (176, 184, 190)  # behind the source photos, sRGB
EXPRESSIONS_LONG = 76  # NeRFace's networks have this width built in; the rest is zeros

# Multiview: two low-discrepancy sequences (steps 1/golden ratio and 1/plastic number, the first
# numbers of https://en.wikipedia.org/wiki/Low-discrepancy_sequence with those steps) from a start
# in [0, 1)^2 for every split. These starts give the bundled set.
YAW_STEP, PITCH_STEP = (math.sqrt(5) - 1) / 2, 1 / 1.324717957244746
STARTS = {"train": (0.067983736418, 0.083036544801), "val": (0.074956901885, 0.965427046443),
          "test": (0.638869183191, 0.742604604849)}
COUNTS = {"train": 100, "val": 10, "test": 20}
FRONT_YAW = 75.0  # degrees; three views of five lie within, two behind
PITCH_RANGE = (-14.0, 34.0)  # degrees; lower shows the open bust, higher only hair

# Photos: identity, yaw, pitch (degrees), camera distance (Blender units).
PHOTOS = {"B": ("B", 4.0, 2.0, 6.0), "C": ("C", -5.0, 2.0, 6.0),
          "B_three_quarter": ("B", -18.0, 3.0, 6.0)}


@dataclass(frozen=True)
class Shot:
    """One picture.

    file: path in the set's folder. identity: of the pack. c2w: (4, 4) OpenGL camera-to-world in
    Blender units. weights: expression, None for the resting face. room: (4, 4) pose of the lights.
    entry: the frame of the transforms JSON ({} where the set has none). worn: accessories.
    """

    file: str
    identity: str
    c2w: np.ndarray
    weights: dict[str, float] | None = None
    room: np.ndarray = field(default_factory=lambda: np.eye(4))
    entry: dict = field(default_factory=dict)
    worn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A set: its shots, and for every transforms file (header, shots)."""

    name: str
    shots: tuple[Shot, ...]
    tables: dict[str, tuple[dict, tuple[Shot, ...]]]


def camera_at(yaw: float, pitch: float, distance: float = CAMERA_DISTANCE) -> np.ndarray:
    """(4, 4) camera-to-world in Blender units, looking at CENTER. Degrees; yaw 0 is the front."""
    y, p = math.radians(yaw), math.radians(pitch)
    d = np.array([math.sin(y) * math.cos(p), -math.cos(y) * math.cos(p), math.sin(p)])
    return look_at_matrix(CENTER + distance * d, CENTER, (0, 0, 1))


def rescale(c2w, of: float, to: float) -> np.ndarray:
    """A camera-to-world with its position scaled from distance `of` to distance `to`."""
    out = np.array(c2w, np.float64)
    out[:3, 3] *= to / of
    return out


def to_set(c2w, distance: float) -> np.ndarray:
    """Blender units -> a set's world, cameras at `distance` from its origin."""
    out = np.array(c2w, np.float64)
    out[:3, 3] -= CENTER
    return rescale(out, CAMERA_DISTANCE, distance)


def from_set(c2w, distance: float) -> np.ndarray:
    """A set's world -> Blender units; the inverse of `to_set`."""
    out = rescale(c2w, distance, CAMERA_DISTANCE)
    out[:3, 3] += CENTER
    return out


def multiview_directions(count: int, start: tuple[float, float]) -> np.ndarray:
    """(count, 2) yaw and pitch in degrees, evenly spread; three of five within FRONT_YAW."""
    i = np.arange(count)
    u, v = (start[0] + i * YAW_STEP) % 1, (start[1] + i * PITCH_STEP) % 1
    front = FRONT_YAW * (2 * u - 1)
    behind = FRONT_YAW + (360 - 2 * FRONT_YAW) * u
    low, high = PITCH_RANGE
    return np.stack([np.where(i % 5 < 3, front, behind), low + (high - low) * v], axis=1)


def plan(name: str, pack: HeadPack, size: int, poses: Path | None, seed: int | None) -> Plan:
    """The shots of a set.

    poses: folder with the transforms to render again; None, or a seed, draws the set itself
    (without a seed: with the starts of the bundled multiview set, and seed 0 for talking).
    Raises IdfError where the folder's JSON cannot be read.
    """
    if name not in SETS:
        raise IdfError(f"There is no sample set {name!r}", "sets: " + ", ".join(SETS))
    if name == "source_photos":
        shots = tuple(Shot(f"{n}.png", who, camera_at(y, p, d))
                      for n, (who, y, p, d) in PHOTOS.items())
        return Plan(name, shots, {})
    if seed is None and poses is not None and any(poses.glob("transforms_*.json")):
        return _read(name, poses, size)
    if name == "head_talking":
        return talking(pack, size, 0 if seed is None else seed)
    if name == "head_turntable":
        views = {"train_main": np.stack([np.arange(48) * 7.5, np.full(48, 6.0)], axis=1)}
    else:
        rng = np.random.default_rng(seed)
        starts = STARTS if seed is None else {s: tuple(rng.random(2)) for s in COUNTS}
        views = {s: multiview_directions(n, starts[s]) for s, n in COUNTS.items()}
    tables = {}
    for split, directions in views.items():
        shots = []
        for k, (yaw, pitch) in enumerate(directions):
            c2w = camera_at(yaw, pitch)
            entry = {"file_path": f"./{split}/r_{k}", "transform_matrix": rows(to_set(c2w, 4.0))}
            shots.append(Shot(f"{split}/r_{k}.png", "A", c2w, entry=entry))
        tables[f"transforms_{split}.json"] = ({"camera_angle_x": FOV_X}, tuple(shots))
    return gather(name, tables)


def rows(matrix) -> list:
    """A matrix as JSON has it, rounded."""
    return np.round(np.asarray(matrix, np.float64), 7).tolist()


def gather(name: str, tables: dict, shots=None) -> Plan:
    """A plan of all shots of `tables`, or of `shots` where the set has more than its tables."""
    if shots is None:
        shots = [s for _, of_split in tables.values() for s in of_split]
    return Plan(name, tuple(shots), tables)


def _read(name: str, folder: Path, size: int) -> Plan:
    """A set's shots from its own JSON."""
    tables = {}
    for path in sorted(folder.glob("transforms_*.json")):
        try:
            table = read_json(path)
            frames = table.pop("frames")
            names = table.get("expression_names")
            distance = 0.5 if names else 4.0
            shots = []
            for entry in frames:
                c2w = from_set(entry["transform_matrix"], distance)
                weights = room = None
                if names:
                    weights = {n: w for n, w in zip(names, entry["expression"], strict=False) if w}
                    room = room_of(c2w)
                shots.append(Shot(entry["file_path"].removeprefix("./") + ".png", "A", c2w,
                                  weights, np.eye(4) if room is None else room, entry))
        except (ValueError, KeyError, TypeError) as e:
            raise IdfError(f"{path} does not describe a sample set", f"{type(e).__name__}: {e}",
                           "give --poses a folder with the transforms of such a set") from e
        if "intrinsics" in table:
            table["intrinsics"] = _intrinsics(size)
        tables[path.name] = (table, tuple(shots))
    return gather(name, tables)


# -- the talking head ------------------------------------------------------------------------------


def room_of(c2w) -> np.ndarray:
    """Pose of the room (lights) seen from the head, for a camera that stands still in the room.

    The head never moves in Blender: camera and lights move by the inverse of its pose P.
    c2w = P^-1 C0 with C0 the camera straight in front of the head at rest, so P^-1 = c2w C0^-1.
    """
    return np.asarray(c2w) @ np.linalg.inv(camera_at(0.0, 0.0))


def talking(pack: HeadPack, size: int, seed: int, frames: int = 280) -> Plan:
    """Head A before a fixed camera, turning and speaking; the last 60 frames are the test split.
    A rehearsal of every expression follows: training frames, numbered on.

    frames: of the performance, at least 70.
    """
    if frames < 70:
        raise IdfError("A talking sequence is too short to split", f"{frames} frames",
                       "ask for at least 70")
    moves = performed(np.random.default_rng(seed), frames)
    names = list(pack.expression_names[:53])
    header = {"camera_angle_x": FOV_X, "intrinsics": _intrinsics(size), "expression_names": names}
    bounds = {"train": (0, frames - 65), "val": (frames - 65, frames - 60),
              "test": (frames - 60, frames)}
    shots = {split: talking_shots(pack, moves, names, split, 0, range(*ends))
             for split, ends in bounds.items()}
    shots["train"] += rehearsal(pack, names, frames)
    return gather("head_talking",
                   {f"transforms_{s}.json": (header, tuple(x)) for s, x in shots.items()})


def rehearsal(pack: HeadPack, names: list[str], first: int) -> list[Shot]:
    """The shots of `performance.rehearsed`, numbered from `first`."""
    moves = rehearsed()
    return talking_shots(pack, moves, names, "train", first, range(len(moves.faces)))


def talking_shots(pack: HeadPack, moves: Moves, names: list[str], split: str, first: int,
                  which: range) -> list[Shot]:
    """A split's shots of a moving head: the frames `which` of `moves`, numbered from `first`."""
    out = []
    for t in which:
        face, c2w = moves.faces[t], np.linalg.inv(moves.head(t, CENTER)) @ camera_at(0.0, 0.0)
        vector = [face.get(n, 0.0) for n in names]
        entry = {"file_path": f"./{split}/f_{first + t:04d}",
                 "bbox": _bbox(pack, face, c2w),
                 "transform_matrix": rows(to_set(c2w, 0.5)),
                 "expression": vector + [0.0] * (EXPRESSIONS_LONG - len(vector))}
        out.append(Shot(entry["file_path"][2:] + ".png", "A", c2w, face, room_of(c2w), entry))
    return out


def _intrinsics(size: int) -> list[float]:
    """NeRFace's [fx, fy, cx, cy]: pixels, and the principal point as fractions. NeRFace shoots its
    rays through whole pixels, so the middle of the picture stands half a pixel before 0.5."""
    f = round(0.5 * size / math.tan(FOV_X / 2), 4)
    middle = 0.5 - 0.5 / size
    return [f, f, middle, middle]


def _bbox(pack: HeadPack, weights: dict[str, float], c2w) -> list[float]:
    """NeRFace's [top, bottom, left, right] as fractions: hair to below the chin, with a margin."""
    skin = pack.vertices("A", weights)[:len(pack.core["mask_ear"])]
    hair = pack.strands("A")["hair"].reshape(-1, 3)[::7]
    points = np.concatenate([skin[skin[:, 1] > -10.0], hair])
    uv, _ = Camera.from_fov(to_set(c2w, 4.0), FOV_X, 1, 1).project(to_world(points))
    (left, top), (right, bottom) = uv.min(0) - 0.02, uv.max(0) + 0.02
    return [round(float(np.clip(x, 0, 1)), 4) for x in (top, bottom, left, right)]
