"""The table of what finds cameras."""

from __future__ import annotations

from ..face.downloads import FACE_LANDMARKS, PERSON_MASK
from ..runtime.download import missing
from ..runtime.registry import Entry, Registry, lacks_modules

_pycolmap = lacks_modules(pycolmap="pycolmap")


def _lacks_models() -> str | None:
    return missing(FACE_LANDMARKS) or missing(PERSON_MASK)


def _lacks_colmap() -> str | None:
    return _pycolmap() or _lacks_models()


LANDMARKS = Entry("landmarks", "idf_helpers.capturing.landmark_cameras:solve",
                  "a face's landmarks and points followed on the head, for the part of the turn in "
                  "which a face is seen", 5, _lacks_models, license="MIT")

CAPTURES = Registry("capture", (
    Entry("colmap", "idf_helpers.capturing.colmap_cameras:solve",
          "structure from motion by pycolmap, all round the head", 9,
          _lacks_colmap, license="BSD-3-Clause"),
    LANDMARKS,
))
