"""How a swap comes about, as pictures: what is made of the photo, and the bands of the compositor.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..data.contact_sheet import BACKGROUND, PAPER, contact_sheet
from ..data.media import resize_area
from ..errors import IdfError
from ..face.color import lab_to_rgb, masked_blur
from ..face.detector import LandmarkDetector
from ..face.topology import TRIANGLES
from ..swapping.mesh.compositor import BAND, Aligned
from ..swapping.mesh.fine_detail import GRAINS
from ..swapping.mesh.per_picture import swap_mesh
from ..swapping.source import SourceFace, load_source

FEATURES_SHOWN, GRAIN_SHOWN = 1.5, 4.0  # a band is shown so many times as strong as it is
SHOWN = 0.02  # weight of the source from which a pixel is shown
ROWS = ("target", "source, fitted to it", "result")
BANDS = ("the face", "coarse: light, skin tone", "middle: features", "fine: grain")


def source_picture(photo, width: int = 300) -> np.ndarray:
    """Return three pictures of a photo side by side: as given, with its face mesh; without glasses
    and with even light; the part of that which is used, on gray: (H, 3·width, 3) uint8.

    photo: path or bytes. width: of each, pixels. IdfError as `load_source`.
    """
    face = load_source(photo)
    even = face.image if face.even is None else face.even
    scale = width / face.image.shape[1]
    height = round(face.image.shape[0] * scale)
    left = resize_area(face.image if face.given is None else face.given, width, height).copy()
    points = face.landmarks.xy * scale
    corners = [np.round((points[t] - 0.5) * 16).astype(np.int32) for t in TRIANGLES]
    cv2.polylines(left, corners, True, (80, 255, 160), 1, cv2.LINE_AA, shift=4)
    even = resize_area(even, width, height)
    weight = cv2.resize(face.weight, (width, height), interpolation=cv2.INTER_AREA)[..., None]
    used = (even * weight + np.array(PAPER) * (1 - weight)).astype(np.uint8)
    return contact_sheet([left, even, used], 3, width,
                         ["the photo and its mesh", "glasses off, light evened",
                          "the part that is used"])


def bands_picture(image: np.ndarray, photo, cell: int = 220) -> np.ndarray:
    """Swap one picture by `mesh`, and return what the compositor was given and made, by bands.

    Rows: the target, bent toward the source's proportions; the source, laid onto it; the result.
    Columns: the face as it is, then the bands that add up to it. Features and grain are shown on
    gray, stronger than they are. image: (H, W, 3|4) uint8. photo: path, bytes or `SourceFace`.
    cell: width of each picture, pixels. Returns (H', 4·cell, 3) uint8. IdfError as `load_source`,
    and where the picture is not swapped.
    """
    source = photo if isinstance(photo, SourceFace) else load_source(photo)
    seen: list[tuple[Aligned, np.ndarray]] = []
    found = LandmarkDetector().detect(image)
    result = swap_mesh(image, found[0], source, watch=lambda *both: seen.append(both)) \
        if found else None
    if not seen:
        raise IdfError("There is no swap of which bands could be shown",
                       result.reason if result else "no face was found",
                       "choose a view in which the face looks at the camera")
    pair, face = seen[0]
    pictures = []
    for lab in (pair.target, pair.source, face):
        pictures += [_on_paper(p, pair.weight) for p in (lab, *_shown(lab, pair))]
    captions = [*BANDS, *[""] * (len(pictures) - len(BANDS))]
    return contact_sheet(pictures, len(BANDS), cell, captions, rows=ROWS)


def bands(lab: np.ndarray, pair: Aligned) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return wide, middle and fine band of a face, each (h, w, 3) float32 Lab; they add up to it.

    The borders are those of the compositor: `BAND`, within which the target's detail may take the
    source's place, and the widest of `GRAINS`.
    """
    wide = masked_blur(lab, pair.weight, BAND * pair.size)
    coarse = masked_blur(lab, pair.weight, GRAINS[-1][1] * pair.size)
    return wide, coarse - wide, lab - coarse


def _shown(lab: np.ndarray, pair: Aligned) -> list[np.ndarray]:
    """Return the bands as Lab pictures, those without light of their own on gray."""
    wide, middle, fine = bands(lab, pair)
    gray = np.array([50, 0, 0], np.float32)
    return [wide, gray + FEATURES_SHOWN * middle, gray + GRAIN_SHOWN * fine]


def _on_paper(lab: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return a Lab picture as (h, w, 3) float32 RGB, on the sheet's gray."""
    share = np.clip(weight / SHOWN, 0, 1)[..., None]
    return BACKGROUND + share * (lab_to_rgb(lab) - BACKGROUND)
