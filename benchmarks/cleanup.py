"""What each rule of the clean-up takes away, and what that does to held-out views.

    python benchmarks/cleanup.py RUN

RUN: a run folder of `idf splat` whose dataset is still there, such as runs/demo/splats.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from idf_helpers.data.training_views import TrainingViews
from idf_helpers.exporting import Model
from idf_helpers.metrics import evaluate_scene
from idf_helpers.reconstruction.splats.cleanup import (
    RESOLUTION,
    contributions,
    frayed,
    isolated,
    outside_hull,
    unseen,
)
from idf_helpers.runtime.tables import Table


def main(run: Positional[Path]) -> None:
    model = Model.open(run)
    data, scene = model.dataset("The benchmark"), model.scene
    g = scene.gaussians
    views = TrainingViews.load(data.train, RESOLUTION)
    begun = time.process_time()
    seen = contributions(g, views, scene.rasterizer)
    print(f"contributions of {len(g)} Gaussians to {len(views)} views: "
          f"{time.process_time() - begun:.1f} s CPU")
    masks = {"outside the silhouettes": outside_hull(g, views),
             "unseen": unseen(seen), "frayed": frayed(seen, len(views)),
             "isolated": isolated(g, views.scene.radius)}
    masks = {"nothing": np.zeros(len(g), bool), **masks,
             "all of it": np.logical_or.reduce(list(masks.values()))}
    rows = []
    for name, mask in masks.items():
        m = evaluate_scene(replace(scene, gaussians=g[~mask]), data.test, model.trained_at)
        rows.append({"taken away": name, "Gaussians": int(mask.sum()), "PSNR": m.psnr,
                     "SSIM": m.ssim, "masked PSNR": m.psnr_masked})
    print(Table(rows))


if __name__ == "__main__":
    tyro.cli(main)
