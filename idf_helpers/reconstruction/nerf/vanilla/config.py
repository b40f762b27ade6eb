"""Settings of training the paper's NeRF, beside nerf-pytorch's own options."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from ....errors import IdfError
from ....runtime.files import sha256_file
from ....runtime.settings import RECIPE, Annotated, Interval
from ...config import TrainingConfig
from .options import PAPER, NerfOptions, read_options

DISTANCE = Interval(gt=0, lt=1e9)


@dataclass(frozen=True)
class VanillaConfig(TrainingConfig):
    """Settings of `reconstruction.nerf.vanilla`, with nerf-pytorch's options in a file of its kind.

    Without iterations and budget: 200 000 steps on CUDA, nerf-pytorch's own number.
    """

    default_iterations: ClassVar[int] = 200_000

    config: Path | None = None
    """Config text file of nerf-pytorch; None: the paper's settings for synthetic scenes."""
    checkpoint: Path | None = None
    """A .tar of nerf-pytorch to start from, in place of the config's ft_path."""
    near: Annotated[float | None, DISTANCE] = None
    """Depth of the first sample, world units. None: 2 with a config for `blender`, as there; else
    found from cameras and alpha."""
    far: Annotated[float | None, DISTANCE] = None
    """Depth of the last sample, beyond near. None: 6 with a config for `blender`; else found."""
    rays: Literal["auto", "center", "corner"] = "auto"
    """Where a pixel's ray passes: through its center, or through its upper left corner as in
    nerf-pytorch. auto: as the checkpoint was trained, the center without one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where torch has it."""
    mixed_precision: Annotated[bool, RECIPE] = True
    """On CUDA: the networks in half precision (bfloat16 where the GPU has it)."""
    compile: Annotated[bool, RECIPE] = False
    """torch.compile the networks: minutes at the start, faster steps on CUDA."""
    nerfacc: bool = False
    """On CUDA: samples by nerfacc's occupancy grid in place of the coarse network's (the fine
    network alone is trained)."""
    video_frames: Annotated[int | None, Interval(ge=0, le=100_000)] = None
    """Frames of the two videos at the end; None: 40 on CUDA as in nerf-pytorch, none on a CPU,
    where a frame takes minutes."""

    def options(self) -> tuple[NerfOptions, list[str]]:
        """Return nerf-pytorch's options, those of the file or the paper's, and notes on what of
        the file has no effect here. IdfError for data that is not read here."""
        o, notes = read_options(self.config) if self.config else (PAPER, [])
        if o.ndc:
            raise IdfError(f"The config {self.config} wants normalized device coordinates",
                           f"dataset_type = {o.dataset_type} without no_ndc",
                           "add `no_ndc = True`: views around a head have no common front plane")
        if self.resolution:
            o = replace(o, half_res=False)  # the resolution was given
        return replace(o, ft_path=str(self.checkpoint or o.ft_path)), notes

    def identity(self) -> dict:
        """Return every field; config and checkpoint by what they hold, not where they lie."""
        o, _ = self.options()
        start = Path(o.ft_path) if o.ft_path else None
        return super().identity() | {
            "config": asdict(replace(o, ft_path="")),
            "checkpoint": sha256_file(start) if start and start.is_file() else o.ft_path or None}

    def _check_together(self) -> None:
        super()._check_together()
        check_depths(self.near, self.far)


def check_depths(near: float | None, far: float | None) -> None:
    """Raise IdfError where the first sample does not lie before the last."""
    if near is not None and far is not None and not near < far:
        raise IdfError("`near` must be smaller than `far`", f"near {near:g}, far {far:g}",
                       "give the depths between which the head lies, in the dataset's units, or "
                       "neither: they are then found from the cameras")
