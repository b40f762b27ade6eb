"""What each part of the avatar's recipe brings on the bundled talking head, at a fixed number of
steps.

    python benchmarks/avatar_ablation.py [--resolution 64] [--iterations 1500] [--every 3]

One thread, one seed; PSNR over every third held-out frame.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numba
import tyro

from idf_helpers.data import samples
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.evaluate import evaluate_avatar
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.reconstruction.avatar.train import Trainer, build_mattes

PARTS: dict[str, dict] = {
    "as it is": {},
    "static: no expression": {"rank": 0},
    "everything may move from the start": {"still_until": 0.0, "moving_above": 0.0},
    "trained still first, then everything": {"moving_above": 0.0},
    "no price on movement": {"sparsity": 0.0},
    "no fading of what nobody sees": {"lambda_opacity": 0.0},
    "no silhouette in the loss": {"lambda_alpha": 0.0},
    "color does not follow the pose": {"shade_rank": 0},
    "color follows the pose without its squares": {"shade_rank": 3},
    "no expression noise": {"expression_noise": 0.0},
    "6 bases": {"rank": 6},
    "12 bases": {"rank": 12},
    "no brightness of each frame": {"appearance": False},
}


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    resolution: int = 64
    """Side of the pictures."""
    iterations: int = 1500
    """Steps of each run."""
    every: int = 3
    """Every so manieth held-out frame is measured."""
    initial: int = 2500
    """Gaussians at the start."""
    max_gaussians: int = 4000
    """Gaussians at most."""
    only: tuple[str, ...] = ()
    """Only rows whose name holds one of these."""


def main(options: Options) -> None:
    numba.set_num_threads(1)
    data = samples.dataset("head_talking")
    print(f"{options.resolution}², {options.iterations} steps\n")
    print(f"{'':42s} {'full':>7s} {'head':>7s} {'moves':>7s} {'shuffled':>9s} {'train':>7s} "
          f"{'moving':>7s} {'CPU s':>6s}")
    with tempfile.TemporaryDirectory(prefix="idf-ablation-") as folder:
        source = FrameSource(data, data.train, Path(folder) / "frames", options.resolution)
        mattes = build_mattes(source, Path(folder) / "mattes").array()[..., 0]
        for name, change in PARTS.items():
            if options.only and not any(o in name for o in options.only):
                continue
            config = AvatarConfig(iterations=options.iterations, resolution=options.resolution,
                                  initial=options.initial, max_gaussians=options.max_gaussians,
                                  **change)
            start = time.process_time()
            trainer = Trainer(source, mattes, config)
            while not trainer.done:
                trainer.step()
            cpu = time.process_time() - start
            m = evaluate_avatar(trainer.scene(), data.test[::options.every], options.resolution)
            print(f"{name:42s} {m.mean('avatar', 'psnr'):7.2f} {m.mean('avatar', 'psnr_head'):7.2f}"
                  f" {m.mean('avatar', 'psnr_moving'):7.2f} {m.mean('shuffled', 'psnr'):9.2f} "
                  f"{trainer.psnr_train:7.2f} {int(trainer.head.moves.sum()):7d} {cpu:6.0f}",
                  flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
