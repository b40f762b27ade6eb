"""What a training run of the paper's NeRF is told beside nerf-pytorch's own options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ....errors import IdfError
from ....runtime.settings import check_ranges

DEFAULT_BUDGET_S = 120.0  # on a CPU
DEFAULT_ITERATIONS = 200_000  # on CUDA, nerf-pytorch's N_iters


@dataclass(frozen=True)
class VanillaConfig:
    """Settings of `idf_helpers.reconstruction.nerf.vanilla`, with those of nerf-pytorch in a file of its kind."""

    config: str = ""
    """Config text file of nerf-pytorch; "": the paper's settings for synthetic scenes."""
    checkpoint: str = ""
    """A .tar of nerf-pytorch to start from, in place of the config's ft_path."""
    near: float | None = None
    """Depth of the first sample, world units, > 0. None: 2 with a config for `blender`, as there;
    else found from cameras and alpha."""
    far: float | None = None
    """Depth of the last sample, > near. None: 6 with a config for `blender`; else found."""
    rays: Literal["auto", "center", "corner"] = "auto"
    """Where a pixel's ray passes: through its center, or through its upper left corner as in
    nerf-pytorch. auto: the corner for a checkpoint that nerf-pytorch wrote, else the center."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where torch has it."""
    mixed_precision: bool = True
    """On CUDA: the networks in half precision (bfloat16 where the GPU has it)."""
    compile: bool = False
    """torch.compile the networks: minutes at the start, faster steps on CUDA."""
    nerfacc: bool = False
    """On CUDA: samples by nerfacc's occupancy grid in place of the coarse network's (the fine
    network alone is trained)."""
    video_frames: int | None = None
    """Frames of the two videos at the end, 0 to 100000; None: 40 on CUDA as in nerf-pytorch, none
    on a CPU, where a frame takes minutes."""

    def checked(self) -> VanillaConfig:
        """Self, or IdfError naming the first field that is out of range."""
        for name in ("near", "far"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e9:
                raise IdfError(f"The setting `{name}` is out of range", f"{value}",
                               "give a distance > 0")
        check_depths(self.near, self.far)
        check_ranges(self, {"video_frames": (0, 100_000)})
        return self


def check_depths(near: float | None, far: float | None) -> None:
    """IdfError where the first sample does not lie before the last."""
    if near is not None and far is not None and not near < far:
        raise IdfError("`near` must be smaller than `far`", f"near {near:g}, far {far:g}",
                       "give the depths between which the head lies, in the dataset's units, or "
                       "neither: they are then found from the cameras")
