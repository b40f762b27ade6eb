"""The start of a notebook: where its results go, and how Stop looks."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import PurePosixPath

from ..data.inputs import DRIVE, mount_drive
from ..runtime.colab import in_colab
from .bar import Bar

ON_DRIVE = f"{DRIVE}/MyDrive"
HEAVY = "idf_helpers.notebook.training_panel"
STOPPED = "Stopped. What was finished is kept: run this cell again to go on from there."


def begin(runs: str = "runs", keep_on_drive: bool = False) -> str:
    """Prepare this notebook, and return the folder of its results.

    runs: that folder; one on Google Drive is mounted first. keep_on_drive: on Colab, put a folder
    that is not on Drive there. The environment variable IDF_RUNS comes before both. From here on
    Stop ends a cell in one line. IdfError where Drive cannot be mounted.
    """
    runs = os.environ.get("IDF_RUNS", runs)
    on_drive = runs.startswith(DRIVE)
    if keep_on_drive and not on_drive:
        if in_colab():
            runs, on_drive = f"{ON_DRIVE}/{PurePosixPath(runs).name}", True
        else:
            print(f"Google Drive is there on Colab only: results are kept in {runs}")
    mount_drive(runs)
    if in_colab() and not on_drive:
        print(f"Results in {runs} go when Colab ends this machine. Tick KEEP_ON_DRIVE above, or "
              "download them at the end.")
    stop_in_one_line()
    load()
    return runs


def load() -> None:
    """Import in a notebook what its panels need, which can take seconds, while a bar is shown."""
    if _shell() is not None and HEAVY not in sys.modules:
        with Bar("loading the library"):
            importlib.import_module(HEAVY)


def stop_in_one_line() -> None:
    """Show a stopped cell of this notebook as one line, not as a traceback."""
    shell = _shell()
    if shell is not None:
        shell.set_custom_exc((KeyboardInterrupt,), _one_line)


def _shell():
    """Return the IPython that runs this, None outside of one."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _one_line(shell, kind, error, trace, tb_offset=None) -> list[str]:
    shell._showtraceback(kind, kind(STOPPED), [STOPPED])
    return [STOPPED]
