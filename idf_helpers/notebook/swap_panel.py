"""Notebook 01's panel: photo, dataset, backend, consent; `run()` swaps."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..data import samples
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.inputs import open_dataset, open_photo
from ..data.media import read_image, resize_area
from ..data.sequence import frames_by_yaw
from ..errors import IdfError
from ..exporting.gallery import swap_sheet
from ..runtime.files import read_json, stable_hash
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset
from ..swapping.methods import SWAPPERS
from .before_after import BeforeAfter
from .widgets import BLANK, LABEL, RED, WIDE, Panel, picture_widget, png, uploaded_files

SLIDER_YAWS = tuple(range(-90, 91, 15))
GLANCE_YAWS = (0, 45, -30, 75)  # two in a row: from the front, and turned


class SwapPanel(Panel):
    """Choose a source photo and a dataset, and swap.

    photo: bundled name or path. dataset: bundled name, folder, .zip or https URL. out: folder for
    the runs; each choice of inputs gets its own run folder below it.
    After `run()`: `target` and `swapped` (Datasets), `report` (the content of swap_report.json).
    """

    action = "Swap the face"

    def __init__(self, photo: str = "B", dataset: str = "head_multiview", out="runs",
                 backend: str = "auto", consent: str = ""):
        self.out = Path(out)
        self.chooser = w.HBox()  # holds the upload button
        # not at every key: a half-typed path on Drive would ask for Drive
        self.photo = w.Text(value=str(photo), description="Source photo", style=LABEL, layout=WIDE,
                            placeholder=f"{', '.join(samples.PHOTOS)} or a path",
                            continuous_update=False)
        self.dataset = w.Text(value=str(dataset), description="Views (dataset)", style=LABEL,
                              layout=WIDE, placeholder="bundled name, folder, .zip or https URL")
        self.backend = w.Dropdown(options=["auto", *SWAPPERS.names()], value=backend,
                                  description="Swap backend", style=LABEL)
        self.consent = w.Textarea(
            value=consent, description="Consent", style=LABEL, layout=WIDE,
            placeholder="Whose faces are these, and did they agree? Not needed for bundled heads.")
        self.preview = picture_widget(160)
        self.caption = w.HTML()
        self.result = picture_widget(1000)
        self.target: Dataset | None = None
        self.swapped: Dataset | None = None
        self.report: dict = {}
        super().__init__()
        self.box.children = [*self.box.children, self.result]
        self._new_upload()
        self.photo.observe(self._photo_typed, names="value")
        self._show_photo()

    def controls(self) -> list:
        photo = w.VBox([self.preview, self.caption], layout=w.Layout(margin="0 0 0 12px"))
        return [w.HBox([w.VBox([self.chooser, self.photo, self.dataset, self.backend,
                                self.consent]), photo])]

    def _new_upload(self) -> None:
        """Put an empty upload button in the place of the one before (it cannot be emptied)."""
        self.upload = w.FileUpload(accept="image/*", multiple=False, description="Upload a photo",
                                   layout=w.Layout(width="200px"))
        self.upload.observe(self._show_photo, names="value")
        self.chooser.children = [self.upload]

    @property
    def source(self):
        """Return the uploaded photo's bytes, else the path or bundled photo in the text field."""
        files = uploaded_files(self.upload)
        return open_photo(next(iter(files.values())) if files else self.photo.value)

    def _photo_typed(self, change) -> None:
        """Let a typed photo take the place of an uploaded one: what was chosen last counts."""
        self._new_upload()
        self._show_photo(change)

    def _show_photo(self, change=None) -> None:
        if change is not None:
            self.bar.value = 0.0
            self.write("")
        name = next(iter(uploaded_files(self.upload)), None)
        try:
            image = read_image(self.source, "source photo")
        except IdfError as error:  # `run()` raises it
            self.preview.value = BLANK
            self.caption.value = ""
            self.write(str(error), RED)
            return
        height = round(160 * image.shape[0] / image.shape[1])
        self.preview.value = png(resize_area(image, 160, height))
        self.caption.value = html.escape(f"{name} (uploaded)" if name
                                         else Path(self.photo.value).name)

    def run(self) -> Dataset:
        """Swap (or read back what is finished) and show views before and after."""
        self.result.value = BLANK
        source = self.source
        self.target = open_dataset(self.dataset.value, self.out / "downloads")
        config = SwapConfig(self.backend.value)
        key = stable_hash([self.target.fingerprint(), _identity(source), str(config),
                           self.consent.value])[:8]
        out = self.out / f"swap-{key}"
        self.swapped = swap_dataset(self.target, source, out, config,
                                    consent=self.consent.value, reporter=self)
        self.report = read_json(out / "swap_report.json", "report")
        self.result.value = png(self.sheet())
        counts = sorted(self.report["counts"].items(), key=lambda c: -c[1])
        counts = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts)
        self.bar.value = 1.0
        note = f"{self.report['note']}\n" if self.report.get("note") else ""
        self.write(f"{counts}\n{self.report['why']}\n{note}written to {out}")
        return self.swapped

    def sheet(self, cell: int = 160):
        """Return views from profile to profile, before above after: (H, W, 3) uint8."""
        return swap_sheet(self.target, self.swapped, cell)

    def glance(self, cell: int = 200) -> np.ndarray:
        """Return the photo, and a few views before and after the swap side by side, from the front
        and turned: (H, W, 3) uint8. cell: width of each, pixels."""
        swapped = {f.name: f for f in self.swapped.frames}
        pictures, captions = [], []
        for k, (yaw, frame) in enumerate(frames_by_yaw(self.target.frames, GLANCE_YAWS)):
            if k % 2 == 0:
                pictures.append(read_image(self.source) if k == 0 else np.zeros((1, 1, 4),
                                                                                np.uint8))
                captions.append("the photo" if k == 0 else "")
            pictures += [frame.image(), swapped[frame.name].image()]
            captions += [f"yaw {yaw:.0f}°, before", "after"]
        return contact_sheet(pictures, 5, cell, captions)

    def slider(self, size: int = 420) -> BeforeAfter:
        """Return views from profile to profile with a movable line between before and after."""
        chosen = frames_by_yaw(self.target.frames, SLIDER_YAWS)
        swapped = {f.name: f for f in self.swapped.frames}
        return BeforeAfter([(f.image, swapped[f.name].image) for _, f in chosen],
                           [f"yaw {yaw:.0f}" for yaw, _ in chosen], size)


def _identity(source) -> str:
    return stable_hash(source.hex()) if isinstance(source, bytes) else str(source)
