"""What is changed in the copy of NeRFace's scripts, and why."""

from __future__ import annotations

from dataclasses import dataclass

TRAIN, EVAL = "train_transformed_rays.py", "eval_transformed_rays.py"  # its scripts
EXPRESSION = 76  # values that its networks are built for


@dataclass(frozen=True)
class Patch:
    """One change of one file: every match of `pattern` (regular expression, lines) is replaced.

    why: for the record. required: whether the file must contain it; else it may be mended already.
    """

    file: str
    pattern: str
    replacement: str
    why: str
    required: bool = True


PATCHES = (
    Patch("nerf/nerf_helpers.py", r"^import pytorch3d\.transforms$", "pytorch3d = None",
          "needed by no function that runs here", False),
    Patch("nerf/nerf_helpers.py", r"^import torchsearchsorted$", "torchsearchsorted = None",
          "torch.searchsorted took its place", False),
    Patch("nerf/volume_rendering_utils.py", r"^(\s*)sigma_a\[:, ?-1\] \+= 1e-6.*$",
          r"\1sigma_a = torch.cat((sigma_a[:, :-1], sigma_a[:, -1:] + 1e-6), dim=1)",
          "a change in place that autograd refuses"),
    Patch(TRAIN, r"^import torchvision$", "from nerf.load_flame import torchvision",
          "one function of it is used", False),
    Patch(EVAL, r"^import torchvision$", "from nerf.load_flame import torchvision",
          "one function of it is used", False),
    Patch(TRAIN, r"^(\s*)signal\.signal\(signal\.SIGUSR1, (\w+)\)$",
          r'\1if hasattr(signal, "SIGUSR1"): signal.signal(signal.SIGUSR1, \2)',
          "a signal that Windows does not have", False),
    Patch(TRAIN, r"^(\s*)ray_importance_sampling_maps = \[\]$",
          r"\1from nerf.load_flame import SamplingMaps"
          r"\n\1ray_importance_sampling_maps = SamplingMaps(bboxs, H, W)",
          "a map of probabilities a frame would fill the memory"),
    Patch(TRAIN, r"^(\s*)for i in i_train:$", r"\1for i in ():",
          "made when a frame is drawn, see above"),
    Patch(TRAIN, r"torch\.load\(configargs\.load_checkpoint\)",
          "torch.load(configargs.load_checkpoint, map_location=device)",
          "checkpoints of a GPU on a CPU", False),
    Patch(EVAL, r"torch\.load\(configargs\.checkpoint\)",
          "torch.load(configargs.checkpoint, map_location=device)",
          "checkpoints of a GPU on a CPU", False),
    Patch(EVAL, r"^(\s*)ablate = 'view_dir'$", r"\1ablate = 'none'; ray_directions_ablation = None",
          "an experiment left switched on: pose and expression of frame 100 for all"),
    Patch(EVAL, r"idx_map\[10, ?1\]", "max(0, idx_map[min(10, len(idx_map) - 1), 1])",
          "a frame number written into the code"),
)
