"""Weights in PyTorch's files: read without running what they hold, and put into a network."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

from ..errors import IdfError, shorten
from .archives import open_zip
from .files import readable

MAX_VALUES = 1_000_000  # tensors, numbers and names in one file

_GLOBAL = re.compile(r"(?:GLOBAL|[Uu]nsupported (?:global|class)|global)[: ]+`?(?!GLOBAL)([\w.]+)")


def load_torch(path, what: str = "weights", do: str = "fetch the file again"):
    """Return what `torch.save` wrote, on the CPU: tensors, numbers, text, lists and tables.

    Nothing else is unpickled (`weights_only`). IdfError: no such file, a pickle that names code, a
    file that is damaged or claims more than it holds, tensors that are not plain memory.
    """
    import torch

    path = Path(path)
    with readable(path, what):
        with open(path, "rb") as file:
            head = file.read(4)
        size = path.stat().st_size
    try:
        if head == b"PK\3\4":
            with open_zip(path) as opened:  # torch packs nothing; whoever does may hide a bomb
                claimed = sum(e.file_size for e in opened.infolist())
            if claimed > size:
                raise ValueError(f"{claimed / 1e6:.0f} MB in a file of {size / 1e6:.0f} MB")
        with warnings.catch_warnings():  # of kinds of tensors that are refused below
            warnings.simplefilter("ignore")
            value = torch.load(path, map_location="cpu", weights_only=True)
        _check(value, size)
        return value
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        if named is None:
            raise IdfError(f"The {what} {path} cannot be read: the file is damaged",
                           str(error).splitlines()[0][:80], do) from None
        raise IdfError(f"The {what} {path} cannot be read: they would run code",
                       named[1], "nothing of it was run; get the file from its publisher") from None
    except Exception as error:  # torch raises what its reader stumbles over, of any kind
        raise IdfError(f"The {what} {path} cannot be read: the file is damaged",
                       " ".join(str(error).split())[:200] or type(error).__name__, do) from None


def _check(value, size: int) -> None:
    """ValueError unless it consists of plain values, and of tensors that lie in the file whole."""
    import torch

    room = MAX_VALUES
    left = [value]
    while left:
        item = left.pop()
        room -= 1
        if room < 0:
            raise ValueError("too many values, or a table that holds itself")
        if isinstance(item, dict):
            left += [*item, *item.values()]
        elif isinstance(item, (list, tuple)):
            left += item
        elif isinstance(item, torch.Tensor):
            if item.layout != torch.strided or item.device.type != "cpu" or item.is_quantized:
                raise ValueError(f"a tensor of the layout {item.layout} on {item.device}")
            if item.numel() * item.element_size() > size:  # the same number again and again
                raise ValueError(f"a tensor {tuple(item.shape)} in a file of {size} bytes")
        elif item is not None and not isinstance(item, (bool, int, float, str, bytes)):
            raise ValueError(f"a {type(item).__name__}")


def load_state(path, what: str = "weights") -> dict:
    """Return {name: tensor} of a `.pth` file, on the CPU. IdfError: `load_torch`, or something
    else than a table of tensors."""
    import torch

    state = load_torch(path, what)
    if not isinstance(state, dict) or not state or not all(
            isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in state.items()):
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
