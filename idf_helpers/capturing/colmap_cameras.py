"""Cameras by structure from motion: pycolmap (BSD), which is optional.

Where the camera walks round a still head, the room behind it counts most: no masks, sequential
pairs with loops. Where the head turns before a still camera, the room says that nothing moved:
features are taken inside the mask only. All frames share one lens with one radial term. Where few
frames fit together, features are looked at closely, and in the end all pairs of frames.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..data.cameras import GL_TO_CV, Camera
from ..data.media import read_image, write_image
from ..errors import IdfError
from ..runtime.files import read_json, sha256_file, stable_hash, write_json
from ..runtime.machine import cpu_count
from .cameras import Cameras, Frames
from .colmap_process import WORKER, run_worker

SECONDS = 1200.0  # for all of it; 90 frames of 800 x 800 take three minutes on two cores
ALL_PAIRS = 30  # frames up to which every pair is matched
NEAR = (1, 2, 3, 4, 5, 6, 8, 12, 16)  # a frame's partners after it, in frames
LOOP_EVERY = 5  # frames: one of so many is matched with all others of them
ENOUGH = 0.9  # share of frames with a camera below which all pairs are tried
FEWEST = 8  # frames with a camera, below which there is no capture
POINT_ERROR, TRACK = 2.0, 3  # pixels at most and pictures at least, of the points handed on
# Most in a picture, longer side that it is looked at, start octave (-1: enlarged; four times the
# work), least contrast. Half the usual contrast, since skin and hair have little: with the room's
# far features alone the head lies 4 of 800 pixels beside where it should, with its own 2.
FEATURES = {"features": 4000, "size": 1000, "first_octave": 0, "peak": 0.003}
CLOSE = {"features": 1500, "size": 640}  # where they are looked at closely, which takes longer
ERROR = 2.0  # pixels of 800: of a point that stays. The usual 4 made turns of a head twice as wrong
MAPPING = {"ba_global_max_refinements": 3, "ba_global_frames_ratio": 1.25,
           "ba_global_points_ratio": 1.25, "min_model_size": 5}
SMALL = 640  # pixels of the longer side, below which pictures are enlarged: they have few features
BENT = 0.4  # of a radial term: more than lenses have that are sold for this


def is_installed() -> bool:
    """Return whether pycolmap can be imported, without doing it."""
    return importlib.util.find_spec("pycolmap") is not None


def solve(frames: Frames, folder: Path, report: Callable[[str, float], None],
          seconds: float = SECONDS, worker: Path = WORKER) -> Cameras:
    """Find the cameras of `frames`; see `cameras.Solver`.

    folder: keeps features and matches for a second run over the same pictures. seconds: after which
    the process is killed. worker: another program that speaks its language.
    IdfError: pycolmap is missing, crashed or took too long, or too few frames fit together.
    """
    spec = importlib.util.find_spec("pycolmap")
    if spec is None or spec.origin is None:
        raise IdfError("Cameras by structure from motion need pycolmap", "it is not installed",
                       "pip install pycolmap, or use landmark cameras (--method landmarks)")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parent = frames.pictures[0].parent
    if any(p.parent != parent for p in frames.pictures):
        raise ValueError("the pictures lie in different folders")
    job = {"names": [p.name for p in frames.pictures], "pictures": str(parent.resolve()),
           "masks": "", "threads": cpu_count(), "camera_model": "SIMPLE_RADIAL", "focal": 1.2,
           "drop_still": frames.moves == "head", "mapping": _mapping(frames),
           **FEATURES}
    if max(frames.width, frames.height) < SMALL:
        job["first_octave"] = -1
    if frames.moves == "head":
        job["masks"] = str(_write_masks(frames, folder / "masks").resolve())
    site = str(Path(spec.origin).parents[1])
    models: list[dict] = []
    deadline = time.monotonic() + seconds
    for pairs, close in _rounds(len(frames)):
        left, place = deadline - time.monotonic(), folder / "close" if close else folder
        job |= {"close": close, **(CLOSE if close else {})}
        place.mkdir(exist_ok=True)
        _forget_others(place, frames, job)
        write_json(place / "job.json", {**job, "site": site, "pairs": pairs,
                                        "mapping_seconds": int(0.6 * left)})
        try:
            run_worker(place / "job.json", left, report, worker)
        except IdfError:
            if not models:
                raise
            break  # what the first rounds gave is better than nothing
        found = read_json(place / "models.json", "list of models")
        models = max(models, found, key=_size)
        if _size(models) >= ENOUGH * len(frames):
            break
    return _cameras(frames, models)


def _size(models: list[dict]) -> int:
    """Return how many frames the largest model has. One without a point in space, which a camera
    that only pans leaves, has none: its poses hold nowhere."""
    return len(models[0]["poses"]) if models and models[0]["points"] else 0


def _mapping(frames: Frames) -> dict[str, float | bool]:
    """Return the mapper's settings. A head alone, in the middle of the picture, does not tell a
    lens that bends from one that does not, nor from another focal length: no radial term then."""
    error = ERROR * max(1.0, max(frames.width, frames.height) / 800)
    bends = frames.moves == "camera"
    return {**MAPPING, "mapper.filter_max_reproj_error": error,
            "triangulation.complete_max_reproj_error": error,
            "triangulation.merge_max_reproj_error": error, "ba_refine_extra_params": bends,
            "mapper.abs_pose_refine_extra_params": bends}


def _rounds(n: int) -> list[tuple[list[list[int]], bool]]:
    """Return the pairs of frames to match, and whether closely, with features that follow a
    surface as it turns: those near each other and loops, these closely, then all closely.

    All pairs with the usual features were no help: 62 of 90 frames of a scan stayed 62, 29 of 44
    coarse pictures 29; closely they became 90 and 43.
    """
    every = [[i, j] for i in range(n) for j in range(i + 1, n)]
    some = [[i, j] for i, j in every if j - i in NEAR or i % LOOP_EVERY == j % LOOP_EVERY == 0]
    if n <= ALL_PAIRS:
        return [(every, False), (every, True)]
    return [(some, False), (some, True), (every, True)]


def _forget_others(folder: Path, frames: Frames, job: dict) -> None:
    """Remove what was kept for other pictures or settings."""
    files = [*frames.pictures, *(frames.masks if job["masks"] else ())]
    kept = {k: v for k, v in job.items() if k not in ("threads", "mapping")}
    key = {"job": stable_hash(kept), "files": stable_hash([sha256_file(f) for f in files])}
    note = folder / "inputs.json"
    if note.exists() and read_json(note) == key:
        return
    for name in ("database.db", "database.db-shm", "database.db-wal", "database.db-journal",
                 "models.json"):
        (folder / name).unlink(missing_ok=True)
    write_json(note, key)


def _write_masks(frames: Frames, folder: Path) -> Path:
    """Write masks as pycolmap wants them: 0 = ignored. A rim is left out, since a feature there
    sees what is behind."""
    rim = max(3, round(max(frames.width, frames.height) / 80))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    for picture, mask in zip(frames.pictures, frames.masks, strict=True):
        alpha = read_image(mask)[..., :3].max(2)
        inside = cv2.erode((alpha > 127).astype(np.uint8) * 255, kernel, borderValue=255)
        write_image(folder / f"{picture.name}.png", np.repeat(inside[..., None], 3, 2))
    return folder


def _cameras(frames: Frames, models: list[dict]) -> Cameras:
    """Return the largest model."""
    best = models[0]["poses"] if models else {}
    if len(best) < min(FEWEST, len(frames)):
        raise IdfError("pycolmap found too little that fits together", f"{len(best)} of "
                       f"{len(frames)} frames", "film slowly, sharp and with a room that shows "
                       "things, or use landmark cameras (--method landmarks)")
    f, cx, cy, k1 = models[0]["params"]
    number = {p.name: int(n) for p, n in zip(frames.pictures, frames.numbers, strict=True)}
    cameras = tuple(_camera(best[p.name], f, cx, cy, frames) if p.name in best else None
                    for p in frames.pictures)
    others = [sorted(number[n] for n in m["poses"] if n not in best) for m in models[1:]]
    rows = np.array(models[0]["points"], np.float64).reshape(-1, 8)
    errors = rows[:, 6]
    good = rows[(errors < POINT_ERROR) & (rows[:, 7] >= TRACK)]
    points = np.concatenate([good[:, :3], good[:, 3:6] / 255], 1).astype(np.float32)
    return Cameras("colmap", cameras, (k1, 0.0, 0.0, 0.0) if k1 else None, float(np.median(errors)),
                   tuple(n for m in others for n in m), points)


def _camera(pose, f: float, cx: float, cy: float, frames: Frames) -> Camera:
    """Return a camera of COLMAP's world-to-camera matrix (3, 4), OpenCV axes."""
    R, t = np.asarray(pose)[:, :3], np.asarray(pose)[:, 3]
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = R.T, -R.T @ t
    return Camera(c2w @ GL_TO_CV, f, f, cx, cy, frames.width, frames.height)
