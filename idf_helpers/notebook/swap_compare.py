"""The swappers that this machine has, side by side on the same views."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import provenance
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.sequence import frames_by_yaw
from ..errors import IdfError
from ..exporting.gallery import SHEET_YAWS
from ..runtime.progress import Reporter
from ..runtime.tables import Table
from ..swapping.config import SwapConfig
from ..swapping.job import read_sources
from ..swapping.methods import SWAPPERS, VIEWS


@dataclass(frozen=True, eq=False)
class SwapComparison:
    """picture: (H, W, 3) uint8, the views as they are and a row for each swapper. table: one row a
    swapper: how many of the views it swapped, CPU seconds, license."""

    picture: np.ndarray
    table: Table


def present_swappers(offers: frozenset[str] = frozenset({VIEWS})) -> list[str]:
    """Names of the swap backends that can run here, and the hybrids of the neural ones. Those with
    a license that is not for every use are among them only where the user fetched their weights."""
    found, neural = [], []
    for status in SWAPPERS.available():
        if not status.missing and SWAPPERS.find(status.name).needs <= offers:
            found.append(status.name)
            if not SWAPPERS.find(status.name).commercial:
                neural.append(f"uv+{status.name}")
    return found + [n for n in neural if SWAPPERS.find(n).needs <= offers]


def compare_swaps(data: Dataset, source, consent: str = "", names: Sequence[str] | None = None,
                  cell: int = 130, reporter: Reporter | None = None) -> SwapComparison:
    """Swap a few views, from one profile to the other, by every swapper; write nothing.

    source: a photo (path or bytes). consent: as for `swap_dataset`. names: of the swappers, None =
    `present_swappers`. A swapper that refuses these views has its reason in the table. IdfError:
    bad photo, no consent.
    """
    reporter = reporter or Reporter()
    photos, faces = read_sources(source, None)
    provenance.require_consent(consent, photos, [f.path for f in data.frames])
    names = list(names) if names is not None else present_swappers()
    chosen = [frame for _, frame in frames_by_yaw(data.frames, SHEET_YAWS)]
    before = [frame.image() for frame in chosen]
    pictures, captions, labels = list(before), [""] * len(before), ["original"]
    rows = []
    for k, name in enumerate(names):
        backend = SWAPPERS.find(name)
        row = {"swapper": backend.name, "swapped": 0, "of": len(chosen), "cpu seconds": None,
               "license": backend.license, "note": ""}
        rows.append(row)
        started = time.process_time()
        try:
            swapper = backend.load().prepare(data.frames, faces, None, reporter, SwapConfig(name))
            results = [swapper.of_frame(f.name)(image, f.camera)
                       for f, image in zip(chosen, before, strict=True)]
        except IdfError as error:
            row["note"] = f"{error.what} ({error.found})" if error.found else error.what
            continue
        row["cpu seconds"] = round(time.process_time() - started, 2)
        row["swapped"] = sum(r.status == "swapped" for r in results)
        row["note"] = "; ".join(sorted({r.reason for r in results if r.reason}))
        pictures += [r.image for r in results]
        captions += ["" if r.status == "swapped" else r.status.replace("_", " ") for r in results]
        labels.append(backend.name)
        reporter.step("comparing swappers", (k + 1) / len(names))
    return SwapComparison(contact_sheet(pictures, len(before), cell, captions, rows=labels),
                          Table(rows))
