"""A user's MediaPipe `face_landmarker.task`: its 52 scores and pose matrix in place of our fit.

The file is a zip of Google's models (Apache-2.0; not bundled, a download of its own); the package
`mediapipe` runs it and is imported here alone. Scores get the face model's names: `eyeBlinkLeft` is
`eyeBlink_L`; `browInnerUp` and `cheekPuff` count for both sides; `tongueOut` has no place.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import IdfError, shorten
from ..face.frame_landmarks import FrameDetector, read_landmarks
from ..face.head_model import FaceModel
from ..face.pose import rigid_inverse
from ..face.topology import POINTS
from ..runtime.archives import open_zip
from ..runtime.files import sha256_file
from .config import TrackConfig
from .fit import Track, fit_clip

VERTICAL_FOV = 63.0  # degrees, of the camera that MediaPipe's pose matrix assumes
MEMBERS = ("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite")


def our_names(category: str, names) -> list[str]:
    """Return which of the model's expressions a MediaPipe category stands for; [] for none."""
    for side in ("Left", "Right"):
        one = f"{category.removesuffix(side)}_{side[0]}"
        if category.endswith(side) and one in names:
            return [one]
    both = [f"{category}_L", f"{category}_R"]
    return both if both[0] in names else [category] if category in names else []


class TaskLandmarker(FrameDetector):
    """Calls the task file frame by frame; its scores are kept in `scores.f32` of the run.

    IdfError: the file is no such task, or mediapipe is not installed.
    """

    def __init__(self, path):
        self.path = Path(path)
        try:
            with open_zip(self.path) as z:
                lacking = [m for m in MEMBERS if m not in z.namelist()]
        except FileNotFoundError:
            raise IdfError(f"The task file {path} does not exist", "no such file",
                           "give Google's face_landmarker.task, or leave --task out") from None
        except (OSError, ValueError) as error:
            raise IdfError(f"{path} is not a MediaPipe task file", str(error)[:120],
                           "give Google's face_landmarker.task, or leave --task out") from None
        if lacking:
            raise IdfError(f"The task file {path} is not a face_landmarker.task",
                           "it lacks " + ", ".join(lacking),
                           "scores come only with the one that holds face_blendshapes.tflite")
        self.names = FaceModel.load().expression_names
        self.record = len(self.names) + 16
        self._landmarker = self._file = None

    def fingerprint(self) -> dict:
        return {"task_sha256": sha256_file(self.path)}

    def open(self, folder) -> None:
        """Start the landmarker; it goes on after the frames that `folder` has landmarks of."""
        try:
            import mediapipe as mp
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise IdfError("A .task file needs the package mediapipe", str(error)[:120],
                           "pip install mediapipe, or leave --task out: the embedded landmark "
                           "model needs nothing") from None
        self._image = lambda rgb: mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)
        try:
            self._landmarker = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_path=str(self.path)), num_faces=1,
                    output_face_blendshapes=True, output_facial_transformation_matrixes=True))
        except (RuntimeError, ValueError) as error:
            raise IdfError(f"mediapipe cannot open {self.path}", str(error)[:160],
                           "download face_landmarker.task again") from None
        store = Path(folder) / "scores.f32"
        done = len(read_landmarks(Path(folder) / "landmarks.f32")[0])
        self._file = open(store, "r+b" if store.exists() else "w+b")
        self._file.truncate(done * self.record * 4)
        self._file.seek(0, 2)
        self._store = store

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._landmarker is not None:
            self._landmarker.close()
        self._file = self._landmarker = None

    def __call__(self, rgb: np.ndarray) -> np.ndarray | None:
        """Return (468, 3) pixels, or None. IdfError where the file's models do not belong together.
        """
        result = self._landmarker.detect(self._image(np.ascontiguousarray(rgb)))
        row = np.full(self.record, np.nan, np.float32)
        points = None
        if result.face_landmarks:
            h, w = rgb.shape[:2]
            points = np.array([[p.x * w, p.y * h, p.z * w] for p in result.face_landmarks[0]])
            if len(points) < POINTS or not points[:, 2].any():
                # the landmark model of an older package in a new zip: 478 points of garbage
                raise IdfError(f"The models in {self.path} do not belong together",
                               f"{len(points)} points" if len(points) < POINTS
                               else "every depth is 0", "use Google's file as it was downloaded")
            points = points[:POINTS]
            row[:] = 0
            for category in result.face_blendshapes[0]:
                for name in our_names(category.category_name, self.names):
                    row[self.names.index(name)] = category.score
            row[-16:] = np.asarray(result.facial_transformation_matrixes[0]).reshape(-1)
        self._file.write(row.tobytes())
        self._file.flush()
        return points

    def track(self, points, width: int, height: int, config: TrackConfig) -> Track:
        """Return the clip with the file's scores as expressions, and its matrices as poses in the
        face model's frame: one rigid move between both heads' frames, the mean over all frames."""
        fov = 2 * np.degrees(np.arctan(np.tan(np.radians(VERTICAL_FOV) / 2) * width / height))
        fitted = fit_clip(points, width, height, replace(config, fov=float(fov)))
        rows = np.fromfile(self._store, np.float32).reshape(-1, self.record)
        if len(rows) != len(points):
            raise IdfError(f"{self._store} does not belong to these landmarks",
                           shorten([f"{len(rows)} rows", f"{len(points)} frames"]),
                           "run again with --no-resume")
        matrices = rows[:, -16:].astype(np.float64).reshape(-1, 4, 4)
        used = fitted.used & np.isfinite(rows).all(1)
        for M in matrices[used]:
            M[:3, :3] /= np.cbrt(np.linalg.det(M[:3, :3]))
        moves = np.stack([rigid_inverse(M) @ P for M, P in
                          zip(matrices[used], fitted.poses[used], strict=True)])
        move = np.eye(4)  # of the face model's frame into MediaPipe's
        move[:3, :3] = Rotation.from_matrix(moves[:, :3, :3]).mean().as_matrix()
        move[:3, 3] = np.median(moves[:, :3, 3], axis=0)
        poses = np.full_like(fitted.poses, np.nan)
        for i in np.flatnonzero(used):
            M = matrices[i].copy()
            M[:3, :3] = Rotation.from_matrix(M[:3, :3]).as_matrix()
            poses[i] = M @ move
        scores = np.clip(np.nan_to_num(rows[:, :-16]), 0, 1)
        quiet = np.argsort(np.where(used, scores.sum(1), np.inf))[:max(1, int(used.sum()) // 10)]
        return replace(fitted, poses=poses, expressions=scores, resting=scores[quiet].mean(0),
                       used=used)
