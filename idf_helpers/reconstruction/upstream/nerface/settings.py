"""The configuration file of NeRFace's scripts."""

from __future__ import annotations

from pathlib import Path

from .config import NerfaceConfig

VALIDATE = 10  # its own look at held-out frames comes after so many runs, that is never
PARTS = 20  # checkpoints in a run; a stopped one goes on from the last


def settings(folder: Path, config: NerfaceConfig, iterations: int) -> dict:
    """Return the paper's model and schedule at the sizes of the config, for a training that ends
    after `iterations`. folder: of the run."""
    every = max(1, config.steps // PARTS)
    network = {"type": "ConditionalBlendshapePaperNeRFModel", "num_layers": 4, "hidden_size": 256,
               "skip_connect_every": 3, "include_input_xyz": True, "log_sampling_xyz": True,
               "num_encoding_fn_xyz": 10, "use_viewdirs": True, "include_input_dir": False,
               "num_encoding_fn_dir": 4, "log_sampling_dir": True}
    drawn = {"chunksize": config.rays, "perturb": True, "num_coarse": config.coarse,
             "num_fine": config.fine, "white_background": False, "lindisp": False}
    return {
        "experiment": {"id": "avatar", "logdir": str(folder / "logs"), "randomseed": config.seed,
                       "train_iters": iterations, "validate_every": VALIDATE * config.steps + 1,
                       "save_every": every, "print_every": max(1, min(100, every)), "device": 0},
        "dataset": {"type": "blender", "basedir": str(folder / "data"), "half_res": False,
                    "testskip": 1, "no_ndc": True, "near": config.near, "far": config.far},
        "models": {"coarse": network, "fine": network},
        "optimizer": {"type": "Adam", "lr": 5e-4},
        "scheduler": {"lr_decay": 250, "lr_decay_factor": 0.1},
        "nerf": {"use_viewdirs": True, "encode_position_fn": "positional_encoding",
                 "encode_direction_fn": "positional_encoding",
                 "train": drawn | {"num_random_rays": config.rays,
                                   "radiance_field_noise_std": 0.1},
                 "validation": drawn | {"radiance_field_noise_std": 0.0}}}
