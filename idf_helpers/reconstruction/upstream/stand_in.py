"""Stand-ins for upstream programs: scripts with the same names, command lines and files.

They show how a program is used where it cannot run, and tests run them. Nothing of the originals is
in them: they train with this project's own trainers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ...errors import IdfError
from ...runtime.files import write_text
from ...runtime.npz import read_arrays, save_arrays
from ...runtime.safe_json import parse
from ..trainer import ResumableTrainer, State

TRAINER = "this project's own trainer"
META = "meta"  # the key of a state's counters in a checkpoint


def write_scripts(folder: Path, module: str, scripts: dict[str, str]) -> Path:
    """Write each script (name -> function of `module`) to the folder; return it."""
    for name, function in scripts.items():
        write_text(folder / name,
                   f'"""A stand-in: {TRAINER} behind the command line of {Path(name).name}."""\n\n'
                   f"from {module} import {function}\n\n{function}()\n")
    return folder


def save_state(path: Path, trainer: ResumableTrainer) -> None:
    """Write a checkpoint."""
    state = trainer.state()
    save_arrays(path, state.arrays | {META: np.array(json.dumps(state.meta))})


def load_state(path: Path, trainer: ResumableTrainer) -> None:
    """Go on from a checkpoint."""
    arrays = read_arrays(path, {META: "U"}, "checkpoint")
    meta = parse(str(arrays.pop(META)), f"The state in the checkpoint {path}", bits=128)
    state = State(arrays, meta)
    try:
        trainer.check(state)
    except ValueError as error:
        raise IdfError(f"The checkpoint {path} does not fit this training", str(error)[:200],
                       "start without it") from None
    trainer.restore(state)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def bar(done: int, total: int, seconds: float, loss: float) -> None:
    """Print a line as tqdm draws its bar, onto the same place."""
    left = seconds / max(done, 1) * (total - done)
    sys.stderr.write(f"\rTraining progress: {100 * done // total:3d}%|{'#' * (10 * done // total)}"
                     f"| {done}/{total} [{clock(seconds)}<{clock(left)}, Loss={loss:.7f}]")
    sys.stderr.flush()


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
