"""`idf demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ..reconstruction.splats.config import SplatConfig
from .shared import Flat


def demo(out: Path = Path("runs/demo"), photo: Literal["B", "C"] = "C",
         config: Annotated[SplatConfig, Flat] = SplatConfig()) -> None:  # noqa: B008
    """The main job on the bundled head: swap a face, train splats, write video, page and model.

    Args:
        out: folder for swap/, splats/ and view/; a second call goes on where the first stopped.
        photo: bundled source photo.
    """
    from .demo import demo

    result = demo(out, photo=photo, config=config)
    m = result.metrics
    print(f"\nheld-out views: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
          f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations\n"
          f"{result.seconds:.0f} s, {result.peak_rss_mb:.0f} MB peak memory\n\nLook at:")
    for name, what in (("viewer.html", "turn the head in a browser"),
                       ("orbit.mp4", "one turn as a video"),
                       ("swap.png", "the views before and after the swap"),
                       ("avatar.ply", "the model, for any splat viewer")):
        print(f"  {result.files[name]}   {what}")


COMMANDS = {"demo": demo}
