"""Notebook 01's panel: photo, dataset, backend, consent; `run()` swaps."""

from __future__ import annotations

import html
import os
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..data import samples
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.inputs import mount_drive, open_dataset, open_photo
from ..data.media import read_image, resize_area
from ..data.picture_file import picture_notes
from ..data.sequence import frames_by_yaw
from ..errors import IdfError
from ..exporting.gallery import swap_sheet
from ..runtime.files import read_json, sha256_bytes, stable_hash
from ..runtime.runs import by_content
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset
from ..swapping.job import photo_bytes
from ..swapping.methods import SWAPPERS
from .before_after import BeforeAfter
from .default_inputs import DEMO_PHOTO
from .fields import IMAGE_FILES, FileField
from .found_runs import VIEWS, found_runs
from .kept import Kept
from .widgets import BLANK, LABEL, RED, WIDE, Panel, picture_widget, png

SLIDER_YAWS = tuple(range(-90, 91, 15))
GLANCE_YAWS = (0, 45, -30, 75)  # two in a row: from the front, and turned


class SwapPanel(Panel):
    """Choose a source photo and a dataset, and swap.

    photo: bundled name or path. dataset: bundled name, folder, .zip or https URL. out: folder for
    the runs; each choice of inputs gets its own run folder below it.
    After `run()`: `target` and `swapped` (Datasets), `report` (the content of swap_report.json).
    """

    action = "Swap the face"

    def __init__(self, photo: str = DEMO_PHOTO, dataset: str = "head_multiview", out="runs",
                 backend: str = "auto", consent: str = ""):
        self.out = mount_drive(out)
        self.photo_field = FileField(self.out, "Source photo", str(photo), samples.PHOTOS,
                                     IMAGE_FILES, "Upload a photo", "B, C, or a path")
        found = [str(r.folder) for r in found_runs(self.out, VIEWS, ("own video",))]
        self.dataset_field = FileField(
            self.out, "Views (dataset)", str(dataset), [*samples.DATASETS, *found], ".zip",
            "Upload a .zip", "bundled name, folder, .zip or https URL")
        self.photo, self.dataset = self.photo_field.text, self.dataset_field.text
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
        self._swapped_in: bytes | Path | None = None
        self.report: dict = {}
        super().__init__()
        self.box.children = [*self.box.children, self.result]
        given = {"photo": str(photo), "dataset": str(dataset), "backend": backend,
                 "consent": consent}
        restored = Kept(self.out, "swap", given).restore(
            {"photo": self.photo, "dataset": self.dataset, "backend": self.backend,
             "consent": self.consent})
        self.photo.observe(self._show_photo, names="value")
        self._show_photo()
        if restored and not self._text:
            self.write(f"kept from before: {', '.join(restored)}")

    def controls(self) -> list:
        photo = w.VBox([self.preview, self.caption], layout=w.Layout(margin="0 0 0 12px"))
        return [w.HBox([w.VBox([self.photo_field.box, self.dataset_field.box, self.backend,
                                self.consent]), photo])]

    @property
    def source(self):
        """Return the path of the photo that was typed or uploaded last."""
        return open_photo(self.photo_field.value)

    def _show_photo(self, change=None) -> None:
        if change is not None:
            self._fraction = 0.0
            self.write("")
        try:
            image = read_image(self.source, "source photo")
            notes = picture_notes(self.source, "source photo").values()
        except IdfError as error:  # `run()` raises it
            self.preview.value = BLANK
            self.caption.value = ""
            self.write(str(error), RED)
            return
        height = round(160 * image.shape[0] / image.shape[1])
        self.preview.value = png(resize_area(image, 160, height))
        self.caption.value = html.escape("; ".join((self.photo_field.name, *notes)))

    def work(self) -> Dataset:
        """Swap (or read back what is finished) and show views before and after."""
        self.result.value = BLANK
        # once: the fields can change while this goes on
        source, consent = self.source, self.consent.value
        names = f"{self.photo_field.name} on {self.dataset_field.name}"
        config = SwapConfig(self.backend.value)
        target = open_dataset(self.dataset_field.value, self.out / "downloads")
        key = stable_hash([by_content(target.fingerprint()), sha256_bytes(photo_bytes(source)),
                           str(config), consent])[:8]
        out = self.out / f"swap-{key}"
        swapped = swap_dataset(target, source, out, config, consent=consent, reporter=self)
        self.target, self.swapped, self._swapped_in = target, swapped, source
        os.utime(out / "run.json")  # what was used last is the newest for the other notebooks
        self.report = read_json(out / "swap_report.json", "report")
        self.result.value = png(self.sheet())
        counts = sorted(self.report["counts"].items(), key=lambda c: -c[1])
        counts = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in counts)
        note = f"{self.report['note']}\n" if self.report.get("note") else ""
        self.write(f"{names}: {counts}\n{self.report['why']}\n{note}written to {out}")
        return swapped

    def result_key(self) -> object:
        return self.swapped and str(self.swapped.root)

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
                pictures.append(read_image(self._swapped_in) if k == 0
                                else np.zeros((1, 1, 4), np.uint8))
                captions.append("the photo" if k == 0 else "")
            pictures += [frame.image(), swapped[frame.name].image()]
            captions += [f"yaw {yaw:.0f}°, before", "after"]
        return contact_sheet(pictures, 5, cell, captions)

    def slider(self, size: int = 420) -> BeforeAfter:
        """Return views from profile to profile with a movable line between before and after; it
        follows the panel's later runs."""
        slider = BeforeAfter(*self._pairs(), size)
        self.follow("slider", lambda: slider.replace(*self._pairs()))
        return slider

    def _pairs(self) -> tuple[list, list[str]]:
        """Return functions that read the slider's views before and after, and their names."""
        chosen = frames_by_yaw(self.target.frames, SLIDER_YAWS)
        swapped = {f.name: f for f in self.swapped.frames}
        return ([(f.image, swapped[f.name].image) for _, f in chosen],
                [f"yaw {yaw:.0f}" for yaw, _ in chosen])
