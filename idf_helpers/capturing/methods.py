"""The table of what finds cameras."""

from __future__ import annotations

from ..runtime.registry import Entry, Registry, lacks_modules

LANDMARKS = Entry("landmarks", "idf_helpers.capturing.landmark_cameras:solve",
                  "a face's landmarks and points followed on the head, for the part of the turn in "
                  "which a face is seen", 5, license="MIT")

CAPTURES = Registry("capture", (
    Entry("colmap", "idf_helpers.capturing.colmap_cameras:solve",
          "structure from motion by pycolmap, all round the head", 9,
          lacks_modules(pycolmap="pycolmap"), license="BSD-3-Clause"),
    LANDMARKS,
))
