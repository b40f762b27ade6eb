"""`idf swap`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from ..errors import IdfError
from ..swap.config import SwapConfig
from .shared import Flat, open_dataset


def swap(target: Positional[Path], source: tuple[Path, ...], out: Path,
         config: Annotated[SwapConfig, Flat] = SwapConfig(),  # noqa: B008
         consent: str = "", engine: Literal["serial", "process"] = "serial", workers: int = 2,
         resume: bool = True) -> None:
    """Swap the face of a photo into every view of a dataset, or into one picture.

    Args:
        target: dataset folder or picture.
        source: photo with the face to put in; several for several targets, the k-th to the k-th.
        out: run folder; for a dataset it is itself a dataset afterwards.
        consent: whose faces these are, and that they agreed; covers source and target.
        engine: serial, or several processes.
        workers: processes.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..media import is_image, is_video
    from ..progress import Line
    from ..swap.run import swap_dataset, swap_image

    if target.is_file() and is_video(target):
        raise IdfError(f"{target} is a video; this version swaps datasets and pictures",
                       target.suffix, "extract its frames into a dataset folder")
    if target.is_file() or is_image(target):  # a missing picture is told as such
        path = swap_image(target, list(source), out, config, consent=consent, resume=resume)
        print(f"written: {path}")
        return
    dataset, line = open_dataset(target), Line()
    swapped = swap_dataset(dataset, list(source), out, config, consent=consent,
                           engine=engine, workers=workers, resume=resume, progress=line)
    line.close()
    from ..files import read_record
    report = read_record(out / "swap_report.json", ("counts", "why", "seconds"), "report")
    counts = ", ".join(f"{n} {s}" for s, n in sorted(report["counts"].items()))
    note = f"\nnote: {report['note']}" if report.get("note") else ""
    print(f"backend {report['why']}{note}\n{counts}; {report['seconds']:.1f} s\n"
          f"{swapped.describe()}")


COMMANDS = {"swap": swap}
