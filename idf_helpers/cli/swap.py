"""`idf swap`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ..swapping.config import SwapConfig, VideoConfig
from .shared import Flat, open_dataset


def swap(target: Positional[Path], source: tuple[Path, ...], out: Path,
         config: Annotated[SwapConfig, Flat] = SwapConfig(),  # noqa: B008
         video: VideoConfig = VideoConfig(),  # noqa: B008
         consent: str = "", engine: str = "serial", workers: int = 2, resume: bool = True) -> None:
    """Swap the face of a photo into every view of a dataset, one picture, or a video.

    Args:
        target: dataset folder, picture or video.
        source: photo with the face to put in; several of one person are merged (uv), or go to
            several targets, the k-th to the k-th.
        out: run folder; for a dataset it is itself a dataset afterwards.
        consent: whose faces these are, and that they agreed; covers source and target.
        video: for videos only.
        engine: serial, process (several on this machine), or the address of a Dask scheduler whose
            workers see the same files, e.g. tcp://10.0.0.5:8786.
        workers: processes.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..data.media import is_image, is_video
    from ..runtime.files import read_record
    from ..runtime.progress import Line
    from ..swapping.dataset import swap_dataset, swap_image
    from ..swapping.video import swap_video

    if is_video(target) and not target.is_dir():
        line = Line()
        path = swap_video(target, list(source), out, config, video, consent=consent, engine=engine,
                          workers=workers, resume=resume, progress=line)
        line.close()
        report = read_record(out / "swap_report.json", ("counts", "why", "sound"), "report")
        print(f"backend {report['why']}{_note(report)}\n{_counts(report)}; "
              f"sound: {report['sound']}\nwritten: {path}")
        return
    if target.is_file() or is_image(target):  # a missing picture is told as such
        path = swap_image(target, list(source), out, config, consent=consent, resume=resume)
        manifest = read_record(out / "run.json", ("why",), "run manifest")
        print(f"backend {manifest['why']}{_note(manifest)}\nwritten: {path}")
        return
    dataset, line = open_dataset(target), Line()
    swapped = swap_dataset(dataset, list(source), out, config, consent=consent,
                           engine=engine, workers=workers, resume=resume, progress=line)
    line.close()
    report = read_record(out / "swap_report.json", ("counts", "why", "seconds"), "report")
    print(f"backend {report['why']}{_note(report)}\n{_counts(report)}; {report['seconds']:.1f} s\n"
          f"{swapped.describe()}")


def _counts(report: dict) -> str:
    return ", ".join(f"{n} {s}" for s, n in sorted(report["counts"].items()))


def _note(report: dict) -> str:
    return f"\nnote: {report['note']}" if report.get("note") else ""

