"""One swap in several ways, side by side: what the "Try this" cells of notebook 01 call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import provenance
from ...data.contact_sheet import contact_sheet
from ...data.dataset import Dataset
from ...data.inputs import open_photo
from ...data.sequence import frames_by_yaw
from ...errors import IdfError
from ...face.detector import LandmarkDetector
from ...runtime.progress import Reporter
from ...swapping.job import read_sources
from ...swapping.mesh.per_picture import swap_mesh
from ..bar import Bar

YAWS = (0, 35)  # degrees; of the views that are swapped
SETTINGS = ("photo", "shape")


def try_swaps(data: Dataset, photo, variants: Mapping[str, Mapping[str, Any]], consent: str = "",
              cell: int = 190, reporter: Reporter | None = None) -> np.ndarray:
    """Swap two views by `mesh` in several ways: a column each, beside the views as they were:
    (H, W, 3) uint8.

    photo: bundled name, path or bytes. variants: label -> what differs: `photo`, or `shape`, the
    share of the way that the face's proportions go toward the photo's, 0 to 1. consent: as for
    `swap`. IdfError: no such setting, no consent, no face.
    """
    if reporter is None:
        with Bar("swapping") as bar:
            return try_swaps(data, photo, variants, consent, cell, bar)
    for label, changes in variants.items():
        if unknown := [name for name in changes if name not in SETTINGS]:
            raise IdfError(f"The variant `{label}` has an unknown setting", ", ".join(unknown),
                           f"use {' or '.join(SETTINGS)}")
    yaws, views = zip(*frames_by_yaw(data.frames, YAWS), strict=True)
    read = {given: read_sources(open_photo(given), None)
            for given in {v.get("photo", photo) for v in variants.values()}}
    provenance.require_consent(consent, [b for data, _ in read.values() for b in data],
                               [v.path for v in views])
    pictures = []
    for view in views:
        image = view.image()
        found = LandmarkDetector().detect(image)
        if not found:
            raise IdfError("No face was found in a view that was to be swapped", view.name,
                           "use views of a head that looks toward the camera")
        pictures.append(image)
        for changes in variants.values():
            _, (source,) = read[changes.get("photo", photo)]
            pictures.append(swap_mesh(image, found[0], source,
                                      float(changes.get("shape", 1.0))).image)
            reporter.step("swapping", len(pictures) / (len(views) * (len(variants) + 1)))
    captions = ["before", *variants, *[""] * (len(pictures) - len(variants) - 1)]
    return contact_sheet(pictures, len(variants) + 1, cell, captions,
                         rows=[f"yaw {yaw:.0f}°" for yaw in yaws])
