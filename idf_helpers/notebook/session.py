"""The start of a notebook: where its results go, and how Stop looks."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from ..data.inputs import DRIVE, mount_drive
from ..runtime.colab import in_colab

ON_DRIVE = f"{DRIVE}/MyDrive"
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
    return runs


def stop_in_one_line() -> None:
    """Show a stopped cell of this notebook as one line, not as a traceback."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((KeyboardInterrupt,), _one_line)


def _one_line(shell, kind, error, trace, tb_offset=None) -> list[str]:
    shell._showtraceback(kind, kind(STOPPED), [STOPPED])
    return [STOPPED]
