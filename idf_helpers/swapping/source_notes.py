"""What is told of a source photo that can be used, but not in full."""

from __future__ import annotations

import cv2
import numpy as np

from ..face import topology
from ..face.color import fill_rings
from .mesh.chart_eyes import openness
from .source import SourceFace

CLOSED = 0.3  # of 1, how open both eyes of a photo are at most for it to be told
# A pixel is flat where all around it differ by at most one level, and not for being black. Photos
# and renders of faces have up to 0.3 of such, a drawing of areas in one color 0.9.
LEVELS, BLACK, DRAWN = 1, 48, 0.6


def source_notes(faces: tuple[SourceFace, ...]) -> list[str]:
    """Return sentences that name the photos whose eyes are closed, and those that are drawings.

    Drawings are told by areas of a single color: pencil, paint and JPEG of small drawings pass.
    """
    shut = [f.name for f in faces if openness(f.landmarks.points).max() < CLOSED]
    drawn = [f.name for f in faces if flat_share(f) > DRAWN]
    return [*(f"the eyes are closed in the source {name}: the target's stay" for name in shut),
            *(f"the source {name} looks like a drawing: its lines are put onto the face"
              for name in drawn)]


def flat_share(face: SourceFace) -> float:
    """Return the share of a face's pixels, in [0, 1], whose surroundings are of one color."""
    image = face.image if face.given is None else face.given
    block = np.ones((3, 3), np.uint8)
    step = (cv2.dilate(image, block) - cv2.erode(image, block)).max(-1)
    oval = fill_rings([face.landmarks.xy[topology.FACE_OVAL]], *image.shape[:2]) > 0.5
    flat = (step <= LEVELS) & (image.max(-1) > BLACK)
    return float(flat[oval].mean()) if oval.any() else 0.0
