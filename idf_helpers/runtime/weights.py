"""Weights in PyTorch's files: read without running what they hold, and put into a network."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

from ..errors import IdfError, shorten

_GLOBAL = re.compile(r"(?:GLOBAL|Unsupported (?:global|class)[: ]+|global )\s*`?([\w.]+\.[\w.]+)")


def load_state(path, what: str = "weights") -> dict:
    """Return {name: tensor} of a `.pth` file, on the CPU.

    Only tensors are unpickled (`weights_only`). IdfError: no such file, a pickle that names code,
    a damaged or truncated file, something else than a table of tensors.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise IdfError(f"The {what} {path} do not exist", "no such file",
                       "check the path for typing errors")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        if named is None:
            raise IdfError(f"The {what} {path} are damaged", str(error).splitlines()[0][:200],
                           "fetch the file again") from None
        raise IdfError(f"The {what} {path} were refused: they hold code, not only weights",
                       named[1], "nothing of it was run; get the file from its publisher") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError) as error:
        raise IdfError(f"The {what} {path} are damaged", " ".join(str(error).split())[:200],
                       "fetch the file again") from None
    if not isinstance(state, dict) or not state \
            or not all(isinstance(v, torch.Tensor) for v in state.values()):
        kinds = {type(v).__name__ for v in state.values()} if isinstance(state, dict) else \
            {type(state).__name__}
        raise IdfError(f"The {what} {path} are not a table of tensors",
                       shorten(sorted(kinds)) or "empty",
                       "use the file of the state dict, not a whole checkpoint")
    return state


def fit_state(module, state: dict, path, what: str = "weights"):
    """Return `module` with the tensors of `state`, in evaluation mode. IdfError sums up what is
    missing, unexpected or of another shape: the weights of another architecture."""
    import torch

    own = module.state_dict()
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [f"{k} {tuple(state[k].shape)}, not {tuple(own[k].shape)}" for k in own
              if k in state and state[k].shape != own[k].shape]
    if missing or unexpected or shapes:
        faults = [f"{len(items)} {word}: {shorten(items)}" for items, word in
                ((missing, "missing"), (unexpected, "unexpected"), (shapes, "of another shape"))
                if items]
        raise IdfError(f"The {what} {path} belong to another network than "
                       f"{type(module).__name__}", "; ".join(faults),
                       f"use a file with its {len(own)} tensors")
    with torch.no_grad():
        module.load_state_dict(state)
    return module.eval()
