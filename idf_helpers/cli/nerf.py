"""`idf nerf`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ..reconstruction.nerf.config import VoxelConfig
from ..reconstruction.nerf.vanilla.config import VanillaConfig
from .shared import Flat, open_dataset


def nerf(dataset: Positional[Path], out: Path, backend: str = "auto",
         config: Annotated[VoxelConfig, Flat] = VoxelConfig(),  # noqa: B008
         vanilla: VanillaConfig = VanillaConfig(),  # noqa: B008
         resume: bool = True) -> None:
    """Train a radiance field on a dataset: `voxel`, fast on a CPU, or `vanilla`, the NeRF paper's.

    Args:
        dataset: folder with transforms_train.json, e.g. the output of `idf swap`, or of COLMAP.
        out: run folder: field.npz or NNNNNN.tar, metrics.json, held_out.jpg.
        backend: auto (voxel), voxel, or vanilla.
        config: of the field; of these vanilla takes iterations, budget, resolution and seed.
        vanilla: for the backend vanilla only.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..reconstruction.nerf.stage import train
    from ..runtime.files import read_record
    from ..runtime.progress import Line

    data, line = open_dataset(dataset), Line()

    def tell(p) -> None:
        line("training", p.fraction, f"{p.iteration} iterations, {p.iterations_per_s:.1f} a second,"
             f" {p.psnr_train:.1f} dB, {p.size}, {p.memory_mb:.0f} MB")

    train(data, out, config, backend=backend, vanilla=vanilla, resume=resume, progress=tell)
    line.close()
    m = read_record(out / "metrics.json", ("psnr", "ssim", "views", "iterations", "seconds"),
                    "metrics file")
    print(f"{m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM on {m['views']} held-out views; "
          f"{m['iterations']} iterations in {m['seconds']:.0f} s\nrun: {out}")


COMMANDS = {"nerf": nerf}
