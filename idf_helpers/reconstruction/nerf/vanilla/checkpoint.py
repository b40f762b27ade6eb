"""nerf-pytorch's checkpoints: `.tar` files that torch.save wrote, read as weights alone.

global_step, network_fn_state_dict, network_fine_state_dict, optimizer_state_dict; ours add `idf`,
which nerf-pytorch ignores: rays ("center"), near, far.
"""

from __future__ import annotations

import torch

from ....errors import IdfError, shorten
from ....runtime.files import atomic_write
from ....runtime.weights import load_torch
from .network import Field

OURS = "idf"


def save(path, field: Field, optimizer, step: int, more: dict) -> None:
    """Write a checkpoint that nerf-pytorch reads, with `more` beside."""
    with atomic_write(path) as temporary:
        torch.save({"global_step": step, "network_fn_state_dict": field.coarse.state_dict(),
                    "network_fine_state_dict": field.fine.state_dict() if field.fine else {},
                    "optimizer_state_dict": optimizer.state_dict(), OURS: more}, temporary)


def read(path) -> dict:
    """Return the checkpoint's content on the CPU. IdfError: missing, damaged, holding more than
    tensors and plain values (which could run code), or no checkpoint of a NeRF."""
    data = load_torch(path, "checkpoint", "give a .tar that nerf-pytorch wrote")
    lacking = [k for k in ("global_step", "network_fn_state_dict", "network_fine_state_dict")
               if not isinstance(data, dict) or k not in data]
    lacking += [k for k, kind in (("global_step", int), ("network_fn_state_dict", dict),
                                  ("network_fine_state_dict", dict))
                if not lacking and not isinstance(data[k], kind)]
    if lacking:
        raise IdfError(f"{path} is not a nerf-pytorch checkpoint", f"no {', '.join(lacking)}",
                       "give a .tar that nerf-pytorch wrote")
    return data


def ray_offset(data: dict) -> float:
    """Return where in a pixel a checkpoint's rays pass, 0.5 its center and 0 its corner, as in
    nerf-pytorch, which says nothing of it."""
    ours = data.get(OURS)
    return 0.5 if isinstance(ours, dict) and ours.get("rays") in ("center", "centre") else 0.0


def load_into(field: Field, data: dict, path) -> int:
    """Fill both networks; returns the step. IdfError for a checkpoint of another network, naming
    what differs."""
    pairs = [("network_fn_state_dict", field.coarse), ("network_fine_state_dict", field.fine)]
    for key, network in pairs:
        if network is None:
            continue
        there, here = data[key], network.state_dict()
        wrong = [f"{k} is missing" for k in here if k not in there]
        wrong += [f"{k} is not expected" for k in there if k not in here]
        wrong += [f"{k} {tuple(there[k].shape)} instead of {tuple(here[k].shape)}" for k in here
                  if k in there and getattr(there[k], "shape", None) != here[k].shape]
        if wrong:
            raise IdfError(f"The checkpoint {path} is of another network", shorten(wrong),
                           "give the config that it was trained with (netdepth, netwidth, "
                           "multires, use_viewdirs, N_importance)")
        network.load_state_dict(there)
    return int(data["global_step"])
