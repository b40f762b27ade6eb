"""A field with suggestions for a path or a name, and a button that uploads a file instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ipywidgets as w

from ..data.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from .kept import keep_upload, uploaded_name
from .widgets import LABEL, WIDE, uploaded_files

# What the buttons offer to choose: browsers know the kinds of few suffixes.
IMAGE_FILES = ",".join(("image/*", *IMAGE_SUFFIXES))
VIDEO_FILES = ",".join(("video/*", ".gif", ".webp", *VIDEO_SUFFIXES))


class FileField:
    """`text` holds a name or path, typed or of an uploaded file: what came last counts.

    An upload is kept under `runs`/uploads, so that it is still there in the next kernel. label:
    before the field. options: suggested; anything else may be typed. accept, button: of the upload.
    """

    def __init__(self, runs: Path, label: str, value: str, options: Sequence[str], accept: str,
                 button: str, placeholder: str = ""):
        self.runs, self.accept, self.button = Path(runs), accept, button
        # not at every key: a half-typed path on Drive would ask for Drive
        self.text = w.Combobox(value=str(value), options=tuple(options), description=label,
                               style=LABEL, layout=WIDE, placeholder=placeholder,
                               ensure_option=False, continuous_update=False)
        self.slot = w.HBox()
        self.box = w.VBox([self.slot, self.text])
        self._new_button()

    def _new_button(self) -> None:
        """Put an empty button in the place of the one before: it cannot be emptied itself."""
        self.upload = w.FileUpload(accept=self.accept, multiple=False, description=self.button,
                                   layout=w.Layout(width="200px"))
        self.upload.observe(self._uploaded, names="value")
        self.slot.children = [self.upload]

    def _uploaded(self, change) -> None:
        path = keep_upload(self.runs, uploaded_files(self.upload))
        if path is not None:
            self._new_button()
            self.text.value = str(path)

    @property
    def value(self) -> str:
        """What is typed or uploaded, without blanks around it."""
        return self.text.value.strip()

    @property
    def name(self) -> str:
        """What to call it: "me.png (uploaded)", a file's name, a bundled name."""
        uploaded = uploaded_name(self.runs, self.value) if self.value else None
        return f"{uploaded} (uploaded)" if uploaded else Path(self.value).name
