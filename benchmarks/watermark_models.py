"""The watermark of splat models: what it costs, which formats keep it, and pictures of the page.

    python benchmarks/watermark_models.py RUN [--views N]

RUN: a run folder of `idf splat` whose dataset is still there. The loss of the mark in the colors is
measured on the test views, against the same model without it. The page is drawn by Chromium at 400
x 400 pixels from all around; its pictures are read as they are, after JPEG of quality 75, and at
three quarters of their size, with the mark in the colors in them too. What the mark over the page's
pictures costs is told on the test views, too, as if it were laid over the renders.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import tyro
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.watermark import jpeg, scaled
from idf_helpers.cli.doctor import find_chromium
from idf_helpers.data.cameras import orbit
from idf_helpers.data.dataset import Dataset
from idf_helpers.exporting.formats import export
from idf_helpers.exporting.model import Model
from idf_helpers.metrics import evaluate_scene
from idf_helpers.provenance.watermark import bake, detect, detect_in_gaussians
from idf_helpers.reconstruction.splats.model_file import read_model
from idf_helpers.runtime.runs import read_manifest
from tests.browser.conftest import FLAGS
from tests.browser.pages import opened

FORMATS = ("ply", "compressed.ply", "splat", "spz", "sog", "glb")


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    run: tyro.conf.Positional[Path]
    """Run folder of splats."""
    dataset: str = "head_multiview"
    """What it was trained on."""
    views: int = 36
    """Pictures of the page at each of two elevations."""


def colors(model: Model, data: Dataset, marked: Model) -> None:
    plain, with_mark = (evaluate_scene(m.scene, data.test, 256).summary() for m in (model, marked))
    print(f"test views: {plain['psnr']:.2f} dB without, {with_mark['psnr']:.2f} dB with the mark "
          f"in the colors; SSIM {plain['ssim']:.4f}, {with_mark['ssim']:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            out = Path(folder) / f"a.{name}"
            found = detect_in_gaussians(read_model(export(marked, out, name)))
            right = found is not None and found.payload == marked.mark.payload
            print(f"  {name:<15} {'read' if right else 'not read'}"
                  + (f", by chance {found.probability:.0e}" if found else ""))


def page(model: Model, views: int) -> None:
    good, spent, drawn = [], [], 0
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        path = export(model, Path(folder) / "a.html")
        with opened(browser, path, viewport={"width": 400, "height": 400}) as shown:
            shown.ready()
            for elevation in (0.0, 15.0):
                for camera in orbit(model.scene.cameras, views, elevation, resolution=400):
                    picture = shown.picture(camera)
                    shown.js("view => { view.kept = view._watermark; view._watermark = null; }")
                    plain = shown.picture(camera)
                    shown.js("view => { view._watermark = view.kept; }")
                    good.append([getattr(detect(x), "payload", None) == model.mark.payload
                                 for x in (picture, jpeg(picture, 75), scaled(picture, 0.75))])
                    spent.append(((picture.astype(float) - plain) ** 2).mean())
                    drawn += 1
        browser.close()
    whole, pressed, smaller = np.mean(good, 0)
    error = 255**2 / 10 ** (read_manifest(model.folder)["metrics"]["psnr"] / 10)
    print(f"page, 400 x 400, {drawn} views: read {whole:.1%}, after JPEG 75 {pressed:.1%}, "
          f"at 0.75 of its size {smaller:.1%}; rms {np.sqrt(np.mean(spent)):.2f} of 255 levels, "
          f"{10 * np.log10(1 + np.mean(spent) / error):.2f} dB of the model's PSNR")


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    model, data = Model.open(options.run), Dataset.open(options.dataset)
    marked = replace(model, scene=replace(
        model.scene, gaussians=bake(model.scene.gaussians, model.mark.payload)))
    colors(model, data, marked)
    page(marked, options.views)


if __name__ == "__main__":
    main(tyro.cli(Options))
