"""`idf splat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ..reconstruction.splats.config import SplatConfig
from ..reconstruction.splats.gsplat_config import GsplatConfig
from .shared import Flat, open_dataset


def splat(dataset: Positional[Path], out: Path, backend: str = "auto",
          config: Annotated[SplatConfig, Flat] = SplatConfig(),  # noqa: B008
          gsplat: GsplatConfig = GsplatConfig(),  # noqa: B008
          points: Path | None = None, resume: bool = True) -> None:
    """Train Gaussian splats on a dataset.

    Args:
        dataset: folder with transforms_train.json, e.g. the output of `idf swap`, or of COLMAP.
        out: run folder: point_cloud.ply, metrics.json, held_out.jpg.
        backend: auto, or a name of `idf doctor`.
        gsplat: for the backend gsplat only.
        points: run folder of a radiance field, on whose surface the Gaussians start.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..reconstruction import reconstruct
    from ..reconstruction.splats.model_path import MODEL
    from ..runtime.files import read_record
    from ..runtime.progress import Line

    data, line = open_dataset(dataset), Line()
    scene = train_splats(data, out, config, backend=backend, resume=resume,
                         progress=line.training, gsplat=gsplat, surface=points)
    line.close()
    if scene.training.get("halved"):
        print("note: the GPU's memory was full; trained with half the work, see `why` in run.json")
    m = read_record(out / "metrics.json", METRICS, "metrics file")
    print(f"{m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM on {m['views']} held-out views; "
          f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations in {m['seconds']:.0f} s\n"
          f"model: {out / MODEL}")


COMMANDS = {"splat": splat}
