"""Measures of single frames of a swap, before and after, gathered and put into bins of yaw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..data.media import over_gray
from ..face.detector import LandmarkDetector
from ..face.downloads import IDENTITY
from ..face.fidelity import REGIONS, expression_error, fit_faces, head_yaw, pose_error
from ..face.frame_fitter import Lens
from ..face.identity import SAME_PERSON, IdentityNet, identity_distance
from ..face.landmarks import FaceLandmarks
from ..lpips_weights import LPIPS
from ..perceptual import Lpips
from ..runtime import download
from .metrics import (
    cosine,
    eye_opening,
    hog_similarity,
    landmark_error,
    mouth_opening,
    opening_correlation,
)
from .neural.model_files import RECOGNIZER
from .neural.onnx_swap import Embedder, recognizer_net
from .source import SourceFace

NEAR, FRONTAL = 60.0, 30.0  # degrees of yaw
YAW_BINS = {"0-30": (0.0, 30.0), "30-60": (30.0, 60.0), "60-90": (60.0, 90.0)}
MOST_FACES = 4  # of a frame with several, that is measured which changed most
LPIPS_SIZE = 256  # px, what faces are scaled to
LPIPS_SQUARE = 1.5  # of the face's longer side

# What is measured of each frame, in the order of the table, with what it is.
BINNED = {
    "identity_source": "identity distance, result to source",
    "identity_target": "identity distance, result to target",
    "identity_before": "identity distance, source to target",
    "arcface_source": "ArcFace cosine, result and source",
    "arcface_target": "ArcFace cosine, result and target",
    "arcface_before": "ArcFace cosine, source and target",
    "lpips_target": "LPIPS of the face, result to target",
    "pose_error": "head turned away from the target's, degrees",
    **{f"{region}_error": f"{region} moved by another expression than the target's, mm"
       for region in REGIONS},
}
OF_SOURCE = ("identity_source", "identity_before", "arcface_source", "arcface_before")


@dataclass(frozen=True)
class Networks:
    """What compares faces; None = not there. identity, arcface: (image, face) -> embedding.
    lpips: (picture, picture) -> number."""

    identity: Callable | None = None
    arcface: Callable | None = None
    lpips: Callable | None = None

    @classmethod
    def here(cls, arcface, notes: dict) -> Networks:
        """Return those whose files are here; what is missing stands in `notes`, by measure.

        arcface: a user's ONNX file, None = the download where it is there. IdfError where that file
        is none.
        """
        identity = lpips = None
        if lack := download.missing(IDENTITY):
            notes |= dict.fromkeys(("identity_source", "identity_target", "identity_before",
                                    "same_person", "retrieval"), lack)
        else:
            identity = IdentityNet().open().embed
        if lack := download.missing(LPIPS):
            notes["lpips_target"] = lack
        else:
            lpips = Lpips().open()
        if arcface is None and not download.is_present(RECOGNIZER):
            notes |= dict.fromkeys(("arcface_source", "arcface_target", "arcface_before"),
                                   "no recognizer; name one with --arcface FILE, or idf download "
                                   f"{RECOGNIZER.name} ({RECOGNIZER.license})")
            return cls(identity, None, lpips)
        net = recognizer_net(arcface)
        net.open()
        return cls(identity, Embedder(net), lpips)


@dataclass(eq=False)
class FramePair:
    """A swapped frame that shows a face before and after. yaw: degrees, NaN = not known."""

    old: FaceLandmarks
    new: FaceLandmarks
    lens: Lens
    yaw: float
    values: dict[str, float]


class FrameMeasures:
    """The measures of a run's frames.

    photos: the sources, () = not known; with several, the nearest counts. zoom: look for small
    faces too.
    """

    def __init__(self, photos: Sequence[SourceFace], networks: Networks, zoom: bool = False):
        self.networks, self.zoom, self.detector = networks, zoom, LandmarkDetector()
        self.photos = tuple(photos)
        self.values: dict[str, list] = defaultdict(list)
        self.pairs: list[FramePair] = []
        self._identity = [networks.identity(p.image, p.landmarks) for p in self.photos] \
            if networks.identity else []
        self._arcface = [networks.arcface(p.image, p.landmarks) for p in self.photos] \
            if networks.arcface else []

    def add(self, before, after, swapped: bool, yaw: float, lens: Lens) -> bool:
        """Measure one frame before and after; return whether its original shows a face.

        yaw: degrees, NaN where it is not known; then the frame counts as near to the front.
        """
        faces = self.detector.detect(before, max_faces=MOST_FACES, zoom=self.zoom)
        values = self.values
        if not swapped:
            return bool(faces)
        values["changed"].append(float((before != after).any(axis=2).mean()))
        if before.shape[2] == 4:
            values["alpha"].append(int((before[..., 3] != after[..., 3]).sum())
                                   if after.shape[2] == 4 else before[..., 3].size)
        if not faces or abs(yaw) > YAW_BINS["60-90"][1]:
            return bool(faces)
        old = max(faces, key=lambda f: _change(before, after, f)) if len(faces) > 1 else faces[0]
        new = _same_place(old, self.detector.detect(after, max_faces=MOST_FACES, zoom=self.zoom))
        near = not abs(yaw) > NEAR
        if near:
            values["refound"].append(new is not None)
        if new is None:
            return True
        if near:
            values["error"].append(landmark_error(old, new))
            values["mouth"].append((mouth_opening(old), mouth_opening(new)))
            values["eyes"].append((eye_opening(old), eye_opening(new)))
        if self.photos and not abs(yaw) > FRONTAL:
            photo = self.photos[0]
            values["hog"].append([hog_similarity(image, face.points, photo.image,
                                                 photo.landmarks.points)
                                  for image, face in ((before, old), (after, new))])
        self.pairs.append(FramePair(old, new, lens, yaw, self._compared(before, after, old, new)))
        return True

    def _compared(self, before, after, old, new) -> dict[str, float]:
        """Return what the networks say of one frame, by the names of BINNED."""
        out, nets = {}, self.networks
        if nets.identity:
            was, now = nets.identity(before, old), nets.identity(after, new)
            out["identity_target"] = identity_distance(now, was)
            if self._identity:
                for name, e in (("identity_source", now), ("identity_before", was)):
                    out[name] = min(identity_distance(e, s) for s in self._identity)
        if nets.arcface:
            was, now = nets.arcface(before, old), nets.arcface(after, new)
            out["arcface_target"] = cosine(now, was)
            if self._arcface:
                for name, e in (("arcface_source", now), ("arcface_before", was)):
                    out[name] = max(cosine(e, s) for s in self._arcface)
        if nets.lpips:
            out["lpips_target"] = nets.lpips(*(face_square(i, old) for i in (before, after)))
        return out

    def fit(self) -> None:
        """Measure pose and expression, once all frames are there; fill yaws that are not known."""
        lenses = [p.lens for p in self.pairs]
        old = fit_faces([p.old for p in self.pairs], lenses)
        new = fit_faces([p.new for p in self.pairs], lenses, old)
        for pair, was, now in zip(self.pairs, old, new, strict=True):
            if not np.isfinite(pair.yaw):
                pair.yaw = pair.old.yaw if was is None else head_yaw(was.pose)
            if was is None or now is None:
                continue
            pair.values["pose_error"] = pose_error(was, now)
            for region in REGIONS:
                pair.values[f"{region}_error"] = expression_error(was, now, region)

    def by_yaw(self) -> dict[str, dict]:
        """Return {bin: {"faces": n, measure: mean or None}}, after `fit`."""
        out = {}
        for name, (low, high) in YAW_BINS.items():
            inside = [p.values for p in self.pairs
                      if low <= abs(p.yaw) < high or abs(p.yaw) == high == 90]
            found = {key: [v[key] for v in inside if key in v] for key in BINNED}
            out[name] = {"faces": len(inside)} | {
                key: _round(np.mean(v)) if v else None for key, v in found.items()}
        return out

    def row(self, run: Path, backend: str, swapped, near, unseen, notes: dict) -> dict:
        """Return the part of a row that all swaps have. swapped, near, unseen: (N,) bool."""
        self.fit()
        errors = self.values["error"]
        out = {"run": run.name, "backend": backend, "views": len(swapped),
               "swapped": int(swapped.sum()),
               "lost_near": percent(~swapped[near]),
               "false_faces": int((swapped & unseen).sum()),
               "landmark_error": _round(100 * np.mean(errors)) if errors else None,
               "landmark_error_p95": _round(100 * np.percentile(errors, 95)) if errors else None,
               "refound": percent(self.values["refound"])}
        for name, part in (("mouth", "mouth of the target keeps"),
                           ("eye", "eyes of the target keep")):
            key = f"{name}_correlation"
            out[key] = _round(opening_correlation(self.values[part.split()[0]]))
            if out[key] is None:
                notes[key] = f"the {part} still"
        if not self.photos:
            notes |= dict.fromkeys((*OF_SOURCE, "hog_before", "hog_after", "same_person",
                                    "retrieval"), "give the source photo with --source")
        return out | self.likeness() | {"by_yaw": self.by_yaw()}

    def likeness(self) -> dict:
        """Return how like the source the faces are that look at the camera; None where nothing was
        measured."""
        out: dict = dict.fromkeys(("hog_before", "hog_after", "same_person", "retrieval"))
        if hog := self.values["hog"]:
            out["hog_before"], out["hog_after"] = (_round(v) for v in np.mean(hog, axis=0))
        seen = [p.values for p in self.pairs
                if abs(p.yaw) <= FRONTAL and "identity_source" in p.values]
        if seen:
            out["same_person"] = percent([v["identity_source"] < SAME_PERSON for v in seen])
            out["retrieval"] = percent([v["identity_source"] < v["identity_target"] for v in seen])
        return out


def face_square(image: np.ndarray, face: FaceLandmarks) -> np.ndarray:
    """Return (256, 256, 3) uint8: the face with some of what surrounds it, as far as the picture
    goes. image: (H, W, 3|4) uint8, RGBA over mid-gray."""
    h, w = image.shape[:2]
    middle, half = (face.box[:2] + face.box[2:]) / 2, LPIPS_SQUARE * face.size / 2
    low = np.clip(np.floor(middle - half), 0, (w - 1, h - 1)).astype(int)
    high = np.clip(np.ceil(middle + half), low + 1, (w, h)).astype(int)
    part = over_gray(image)[low[1]:high[1], low[0]:high[0]]
    shrinks = min(part.shape[:2]) > LPIPS_SIZE
    return cv2.resize(part, (LPIPS_SIZE, LPIPS_SIZE),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _change(before, after, face: FaceLandmarks) -> float:
    """Return the mean change inside a face's box, levels."""
    h, w = before.shape[:2]
    x0, y0, x1, y1 = np.clip(np.round(face.box), 0, (w, h, w, h)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return 0.0
    a, b = (i[y0:y1, x0:x1, :3].astype(np.int16) for i in (before, after))
    return float(np.abs(a - b).mean())


def _same_place(old: FaceLandmarks, faces: Sequence[FaceLandmarks]) -> FaceLandmarks | None:
    """Return the face that lies where another lay; None where there is none."""
    def away(face):
        return float(np.linalg.norm(face.xy - old.xy, axis=1).mean())

    nearest = min(faces, key=away, default=None)
    return nearest if nearest is not None and away(nearest) < 0.5 * old.size else None


def percent(values) -> float | None:
    """Return the share of what is true, %; None of nothing."""
    return round(100 * float(np.mean(values)), 2) if len(values) else None


def _round(value, digits: int = 3) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
