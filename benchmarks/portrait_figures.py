"""Figures of one swapped portrait against its source and its target, for `public_portraits.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from idf_helpers.face import fidelity
from idf_helpers.face.color import rgb_to_lab
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.frame_fitter import FrameFitter, Lens
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.identity import IdentityNet, identity_distance
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.shape_fit import FittedFace
from idf_helpers.face.topology import (
    INNER_MOUTH,
    LEFT_BROW,
    LEFT_EYE,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
)

FOV = 30.0  # degrees across the longer side, of cameras of which nothing is known
# High pass inside the face, as shares of its size: width of the low pass, rim that is left out.
HIGH_PASS, RIM = 0.03, 0.08
FLOOR = 0.5  # Lab units: below it the target's own energy is rounding
GRAY = 3.0  # Lab units: no color of the target's face exceeds it
EDGE_BLUR = 0.012  # of the face's size, before its gradient is taken
MILLIMETERS = 10.0  # in a centimeter, the face model's unit


@dataclass(frozen=True, eq=False)
class Measured:
    """A picture (H, W, 3) uint8 RGB, and the landmarks of its face."""

    image: np.ndarray
    face: FaceLandmarks

    @classmethod
    def find(cls, image: np.ndarray, detector: LandmarkDetector, near: Measured | None = None
             ) -> Measured | None:
        """Return the picture with its largest face, or the one over that of `near`; None where
        there is none."""
        faces = detector.detect(image, max_faces=8, zoom=True)
        if near is not None:
            faces = [f for f in faces
                     if np.linalg.norm(f.xy.mean(0) - near.face.xy.mean(0)) < 0.3 * near.face.size]
        return cls(image, max(faces, key=lambda f: f.size)) if faces else None

    @cached_property
    def lab(self) -> np.ndarray:
        return rgb_to_lab(self.image)

    @cached_property
    def skin(self) -> np.ndarray:
        """(H, W) bool: inside the face, without its rim, eyes, mouth and brows."""
        inside = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillConvexPoly(inside, _hull(self.face.xy), 1)
        inside = cv2.erode(inside, np.ones((3, 3), np.uint8),
                           iterations=max(1, int(RIM * self.face.size)))
        for ring in (LEFT_EYE, RIGHT_EYE, OUTER_LIPS, LEFT_BROW, RIGHT_BROW):
            cv2.fillConvexPoly(inside, _hull(self.face.xy[ring]), 0)
        return inside > 0

    @cached_property
    def energy(self) -> tuple[float, float]:
        """Root mean square of what is finer than 3 % of the face: of a, b and of L."""
        fine = self.lab - cv2.GaussianBlur(self.lab, (0, 0), max(1.0, HIGH_PASS * self.face.size))
        fine = fine[self.skin]
        return (float(np.sqrt((fine[:, 1:] ** 2).sum(1).mean())),
                float(np.sqrt((fine[:, 0] ** 2).mean())))

    @property
    def largest_chroma(self) -> float:
        """Largest |a| or |b| of the face."""
        return float(np.abs(self.lab[self.skin][:, 1:]).max())

    @property
    def lens(self) -> Lens:
        h, w = self.image.shape[:2]
        return Lens.of(2 * np.degrees(np.arctan(np.tan(np.radians(FOV) / 2) * w / max(w, h))), w, h)

    @cached_property
    def own_fit(self) -> FittedFace | None:
        """By a shape of its own, as `idf eval` fits it."""
        return fidelity.fit_faces([self.face], [self.lens])[0]

    @cached_property
    def mean_fit(self) -> FittedFace:
        """By the face model's mean shape, which is the same for all."""
        fitter = FrameFitter(FaceModel.load(), self.lens)
        return FittedFace(*fitter.fit(self.face.xy)[:2], fitter, np.zeros(0))


def figures(net: IdentityNet, source: Measured, target: Measured, result: Measured,
            mask: np.ndarray | None = None) -> dict[str, float]:
    """Return the figures of one result, by name.

    source_id, target_id: identity distance of the result to each; before: of source and target.
    chroma, grain: energy finer than 3 % of the face, result over target; chroma NaN where the
    target is gray, gray (the largest |a| or |b|) NaN where it is not. pose, lips_own: degrees and
    millimeters between target and result as `idf eval` measures them, NaN where no pose explains a
    face. lips: see `lip_error`. edge: see `added_edge`; NaN without a mask (H, W) in [0, 1].
    """
    a, b, t = (net.embed(m.image, m.face) for m in (source, result, target))
    gray = target.largest_chroma < GRAY
    nan, own = float("nan"), (target.own_fit, result.own_fit)
    (chroma, grain), (own_chroma, own_grain) = result.energy, target.energy
    return {"source_id": identity_distance(a, b), "target_id": identity_distance(b, t),
            "before": identity_distance(a, t),
            "chroma": nan if gray else chroma / max(own_chroma, FLOOR),
            "gray": result.largest_chroma if gray else nan,
            "grain": grain / max(own_grain, FLOOR),
            "pose": fidelity.pose_error(*own) if None not in own else nan,
            "lips_own": fidelity.expression_error(*own) if None not in own else nan,
            "lips": lip_error(target, result),
            "edge": nan if mask is None else added_edge(target, result, mask)}


def lip_error(target: Measured, result: Measured) -> float:
    """Return millimeters on the model's head by which mouth and jaw weights move the outer lips
    away from the target's expression: mean over the ring and the three axes. Both faces are taken
    as of the mean shape, so that a part of what another shape does to the lips counts as well."""
    fitter = target.mean_fit.fitter
    change = (result.mean_fit.weight_of("mouth", "jaw")
              - target.mean_fit.weight_of("mouth", "jaw"))
    moved = np.tensordot(change, fitter.shapes, 1)
    return MILLIMETERS * float(np.abs(moved[OUTER_LIPS]).mean())


def added_edge(target: Measured, result: Measured, mask: np.ndarray) -> float:
    """Return mean gradient where the two faces blend, result over target; 1 = no rim was added.
    Eyes and mouth, whose borders are edges anyway, do not count."""
    h, w = mask.shape
    oval = np.zeros((h, w), np.uint8)
    cv2.fillConvexPoly(oval, _hull(target.face.xy), 1)
    size = float(np.sqrt(max(np.count_nonzero(oval), 1)))
    holes = np.zeros((h, w), np.uint8)
    for ring in (LEFT_EYE, RIGHT_EYE, INNER_MOUTH):
        cv2.fillConvexPoly(holes, _hull(target.face.xy[ring]), 1)
    reach = 2 * max(1, round(0.02 * size))
    holes = cv2.dilate(holes, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
    blend = (mask > 0.05) & (mask < 0.95) & (holes == 0)
    if not blend.any():
        return 1.0
    before, after = (_gradient(m.image, EDGE_BLUR * size)[blend].mean() for m in (target, result))
    return float(after / max(before, 1e-3))


def _gradient(image, sigma: float) -> np.ndarray:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gray = cv2.GaussianBlur(gray, (0, 0), max(0.8, sigma))
    return np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))


def _hull(xy) -> np.ndarray:
    return cv2.convexHull(np.round(xy).astype(np.int32))
