"""Camera paths as other programs write them: what a video is filmed along.

Read are nerfstudio's (`camera_path`, of its viewer and its Blender add-on), SuperSplat's (the
`settings.json` of a published scene, `animTracks`; the `document.json` of its editor, `poseSets`)
and a list of cameras as graphdeco's trainer leaves it (`cameras.json`), which SuperSplat's editor
reads as poses. Written is one file with the keys of nerfstudio and of SuperSplat's viewer, and the
list.

Conventions: nerfstudio has ours (OpenGL camera-to-world, row by row) and a vertical field of view.
SuperSplat turns a model by half a turn about z when it loads it, keeps +y up, and its field of view
is that of the longer side. Sources: nerfstudio/cameras/camera_paths.py `get_path_from_json`,
supersplat-viewer/src/schemas/v2.ts and src/animation/anim-state.ts, supersplat/src/camera-poses.ts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IdfError
from ..runtime.files import read_json, write_json
from .cameras import Camera, look_at_matrix, scene_frame
from .cameras_file import read_cameras

USUAL_FPS = 30.0
MOST_FRAMES = 100_000
SUPERSPLAT = np.diag([-1.0, -1.0, 1.0])  # our world to its and back
WHAT = "camera path"


@dataclass(frozen=True, eq=False)
class CameraPath:
    """cameras: one for each frame of a video. fps: frames a second, > 0."""

    cameras: list[Camera]
    fps: float = USUAL_FPS

    def fitted(self, resolution: int | None) -> CameraPath:
        """Return it with the longer side at `resolution` pixels; None: as it is. Sides are even,
        as video wants them."""
        out = []
        for c in self.cameras:
            c = c.fitted(resolution)
            out.append(c.resized(max(2, c.width // 2 * 2), max(2, c.height // 2 * 2)))
        return CameraPath(out, self.fps)


def read_camera_path(path: str | Path, width: int = 400, height: int = 400) -> CameraPath:
    """Return the path of a file of any of the kinds above.

    width, height: of the pictures, pixels, where the file does not say. SuperSplat's poses are
    filled in between as it does. IdfError: no such file, none of these kinds, lenses that are no
    pinhole, numbers that make no camera, more than MOST_FRAMES frames.
    """
    path = Path(path)
    data = read_json(path, WHAT)
    if isinstance(data, list):
        return CameraPath(read_cameras(path))
    kinds = {"camera_path": _nerfstudio, "animTracks": _supersplat_track,
             "poseSets": _supersplat_document}
    if not isinstance(data, dict) or not (found := [k for k in kinds if data.get(k)]):
        raise IdfError(f"{path} is not a camera path",
                       "neither `camera_path` nor `animTracks` nor `poseSets`, nor a list",
                       "export the path from nerfstudio's or SuperSplat's viewer as JSON")
    try:
        return kinds[found[0]](data, width, height)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise IdfError(f"The camera path {path} is damaged",
                       f"`{found[0]}`: {type(error).__name__}: {error}"[:160],
                       "export it again") from None


def write_camera_path(path: str | Path, track: CameraPath, **extra: Any) -> None:
    """Write one JSON that nerfstudio (`ns-render camera-path`) and SuperSplat's viewer (as its
    settings) read; every camera is a key. extra: further keys at the top."""
    cameras, center = track.cameras, scene_frame(track.cameras).center
    first, seconds = cameras[0], len(cameras) / track.fps
    frames = [{"camera_to_world": c.c2w.reshape(-1).tolist(),
               "fov": math.degrees(2 * math.atan(0.5 * c.height / c.fy)),
               "aspect": c.width / c.height} for c in cameras]
    nerfstudio = {"camera_type": "perspective", "render_height": first.height,
                  "render_width": first.width, "fps": track.fps, "seconds": seconds,
                  "smoothness_value": 0, "is_cycle": False, "crop": None, "camera_path": frames}
    write_json(path, extra | nerfstudio | _supersplat_settings(track, center, seconds))


# --- nerfstudio ----------------------------------------------------------------------------------

def _nerfstudio(data: dict, width: int, height: int) -> CameraPath:
    lens = str(data.get("camera_type", "perspective")).lower()
    if lens != "perspective":
        raise IdfError("This camera path is not of a pinhole lens", f"camera_type {lens}",
                       "export it as perspective")
    width, height = (_size(data.get(key, size)) for key, size in
                     (("render_width", width), ("render_height", height)))
    rows = _bounded(data["camera_path"])
    cameras = [_camera(np.array(row["camera_to_world"], np.float64).reshape(4, 4),
                       float(row["fov"]), width, height, "vertical") for row in rows]
    fps = data.get("fps") or (len(rows) / data["seconds"] if data.get("seconds") else USUAL_FPS)
    return CameraPath(cameras, _rate(fps))


# --- SuperSplat ----------------------------------------------------------------------------------

def _supersplat_settings(track: CameraPath, center: np.ndarray, seconds: float) -> dict:
    """Version 2 of the settings of SuperSplat's viewer, all keys that it asks for."""
    positions, targets, fovs = [], [], []
    for c in track.cameras:
        distance = max(float((center - c.position) @ c.forward), 1e-3)
        positions.append(SUPERSPLAT @ c.position)
        targets.append(SUPERSPLAT @ (c.position + distance * c.forward))
        fovs.append(math.degrees(2 * math.atan(max(0.5 * c.width / c.fx, 0.5 * c.height / c.fy))))
    flat = {"position": np.ravel(positions).tolist(), "target": np.ravel(targets).tolist(),
            "fov": fovs}
    start = {"position": positions[0].tolist(), "target": targets[0].tolist(), "fov": fovs[0]}
    effects = {"sharpness": {"enabled": False, "amount": 0},
               "bloom": {"enabled": False, "intensity": 1, "blurLevel": 2},
               "grading": {"enabled": False, "brightness": 0, "contrast": 1, "saturation": 1,
                           "tint": [1, 1, 1]},
               "vignette": {"enabled": False, "intensity": 0.5, "inner": 0.3, "outer": 0.75,
                            "curvature": 1},
               "fringing": {"enabled": False, "intensity": 0.5}}
    return {"version": 2, "tonemapping": "none", "highPrecisionRendering": False,
            "background": {"color": [1, 1, 1]}, "postEffectSettings": effects,
            "animTracks": [{"name": "path", "duration": seconds, "frameRate": track.fps,
                            "loopMode": "repeat", "interpolation": "spline", "smoothness": 1,
                            "keyframes": {"times": list(range(len(fovs))), "values": flat}}],
            "cameras": [{"initial": start}], "annotations": [], "startMode": "animTrack"}


def _supersplat_track(data: dict, width: int, height: int) -> CameraPath:
    track = data["animTracks"][0]
    values, times = track["keyframes"]["values"], _bounded(track["keyframes"]["times"])
    n = len(times)
    fov = values.get("fov") or [float((data.get("camera") or {}).get("fov") or 60)] * n
    keys = np.concatenate([np.reshape(values["position"], (n, 3)),
                           np.reshape(values["target"], (n, 3)), np.reshape(fov, (n, 1))], axis=1)
    rate = track.get("frameRate")
    seconds = float(track["duration"])
    if not rate:  # the first version: times in seconds
        rate, times = USUAL_FPS, [t * USUAL_FPS for t in times]
    fps = USUAL_FPS if float(rate) < 10 else _rate(rate)  # a turn may have one key a second
    length = seconds * float(rate)
    if seconds == times[-1] / float(rate):
        length += float(rate)  # as the viewer does: the last key and the first are not one
    frames = _count(seconds * fps)
    return _spline(times, keys, np.arange(frames) / fps * float(rate), length,
                   float(track.get("smoothness", 0)), fps, width, height)


def _supersplat_document(data: dict, width: int, height: int) -> CameraPath:
    timeline = data.get("timeline") or {}
    fps = _rate(timeline.get("frameRate") or USUAL_FPS)
    poses = _bounded(data["poseSets"][0]["poses"])
    fov = (data.get("camera") or {}).get("fov") or 60
    rows = sorted((float(p.get("frame", i * fps)), [*p["position"], *p["target"],
                                                    float(p.get("fov") or fov)])
                  for i, p in enumerate(poses))
    times = [t for t, _ in rows]
    frames = _count(timeline.get("frames") or times[-1] + 1)
    return _spline(times, np.array([k for _, k in rows], np.float64), np.arange(frames), frames,
                   float(timeline.get("smoothness", 1)), fps, width, height)


def _spline(times: Sequence[float], keys: np.ndarray, at: np.ndarray, length: float,
            smoothness: float, fps: float, width: int, height: int) -> CameraPath:
    """Hermite pieces with the tangents (p[i+1] - p[i-1]) / (t[i+1] - t[i-1]) times smoothness, the
    keys repeated before and behind, so that the path closes."""
    t, keys = np.array(times, np.float64), np.asarray(keys, np.float64)  # files hold integers too
    if keys.shape != (len(t), 7) or not np.isfinite(keys).all() or not np.isfinite(t).all() \
            or (np.diff(t) <= 0).any() or not length > t[-1] - t[0]:
        raise ValueError("times and poses do not fit each other")
    if len(t) > 1:
        t = np.concatenate([t[-2:] - length, t, t[:2] + length])
        keys = np.concatenate([keys[-2:], keys, keys[:2]])
        if (np.diff(t) <= 0).any():
            raise ValueError("the path is longer than its timeline")
        slope = np.zeros_like(keys)
        slope[1:-1] = (keys[2:] - keys[:-2]) / (t[2:] - t[:-2])[:, None]
        i = np.clip(np.searchsorted(t, at, side="right") - 1, 0, len(t) - 2)
        step = t[i + 1] - t[i]
        u = ((at - t[i]) / step)[:, None]
        m = slope * smoothness
        keys = (keys[i] * (1 + 2 * u) * (1 - u)**2 + m[i] * step[:, None] * u * (1 - u)**2
                + keys[i + 1] * u**2 * (3 - 2 * u) + m[i + 1] * step[:, None] * u**2 * (u - 1))
    else:
        keys = np.repeat(keys, len(at), axis=0)
    up = SUPERSPLAT @ (0.0, 1.0, 0.0)
    return CameraPath([_camera(look_at_matrix(SUPERSPLAT @ k[:3], SUPERSPLAT @ k[3:6], up), k[6],
                               width, height, "longer") for k in keys], fps)


# --- both ----------------------------------------------------------------------------------------

def _camera(c2w: np.ndarray, fov: float, width: int, height: int, side: str) -> Camera:
    R = c2w[:3, :3]
    size = np.cbrt(np.linalg.det(R)) if np.isfinite(c2w).all() else 0.0
    if not (size > 1e-9 and np.abs(R.T @ R / size**2 - np.eye(3)).max() < 5e-3 and 0.1 < fov < 175):
        raise ValueError(f"a pose that is no camera (field of view {fov:g} degrees)")
    c2w = c2w.copy()
    c2w[:3, :3] = R / size
    across = height if side == "vertical" else max(width, height)
    f = 0.5 * across / math.tan(0.5 * math.radians(fov))
    return Camera(c2w, f, f, width / 2, height / 2, width, height)


def _bounded(rows) -> list:
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_FRAMES:
        raise ValueError(f"{len(rows)} poses; 1 to {MOST_FRAMES} are read")
    return rows


def _count(frames: float) -> int:
    if not 1 <= frames <= MOST_FRAMES:
        raise ValueError(f"{frames:g} frames; 1 to {MOST_FRAMES} are read")
    return round(frames)


def _size(value) -> int:
    if not 2 <= int(value) <= 8192:
        raise ValueError(f"pictures {int(value)} pixels wide or high")
    return int(value)


def _rate(value) -> float:
    if not 0.1 <= float(value) <= 1000:
        raise ValueError(f"{value} frames a second")
    return float(value)
