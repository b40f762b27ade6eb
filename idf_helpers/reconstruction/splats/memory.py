"""How much memory a training of Gaussian splats takes, said before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from ...data.cameras import Camera
from ...errors import IdfError
from ...runtime.machine import memory_gb

# Measured, with some room: parameters, two moments, the copy to go back to and its successor, lists
# and gradients of the rasterizer; picture, target, loss and gradients.
COPIES, BYTES_PER_PIXEL = 10, 400
WORTH_A_NOTE = 0.5  # GB


def memory_note(cameras: Sequence[Camera], gaussians: int, sh_degree: int) -> str | None:
    """Return what a training takes, as a sentence; None where it is little.

    cameras: of the pictures, at training size. gaussians: at most. IdfError where that much
    memory is not free.
    """
    pixels = [c.width * c.height for c in cameras]
    numbers = 11 + 3 * (sh_degree + 1) ** 2
    needed = (4 * numbers * COPIES * gaussians + 4 * sum(pixels)
              + BYTES_PER_PIXEL * max(pixels)) / 1e9
    _, free = memory_gb()
    what = f"up to {gaussians} Gaussians, {len(cameras)} pictures of {cameras[0].width}x" \
           f"{cameras[0].height}: about {needed:.1f} GB of memory"
    if needed > free:
        raise IdfError("This training takes more memory than is free",
                       f"{what}, {free:.1f} GB free", "set fewer Gaussians (--max-gaussians), or a "
                       "lower resolution (--resolution)")
    return f"{what}, {free:.1f} GB are free" if needed >= WORTH_A_NOTE else None
