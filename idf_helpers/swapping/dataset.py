"""The swap of a dataset: the same layout, the same cameras, alpha kept, a report."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .. import provenance
from ..data.dataset import SPLITS, Dataset, Frame
from ..data.media import encode_image
from ..data.transforms import write_transforms
from ..runtime.files import sha256_bytes, write_bytes, write_json
from ..runtime.parallel import pmap
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from .config import SwapConfig
from .job import SwapJob
from .methods import VIEWS
from .swapper import Swapper
from .uv_method import PREPARED


def swap_dataset(data: Dataset, source: str | Path | bytes | Sequence[str | Path | bytes],
                 out: str | Path, config: SwapConfig | None = None, *, consent: str = "",
                 engine: str = "auto", workers: int = 2, resume: bool = True,
                 reporter: Reporter | None = None) -> Dataset:
    """Swap the face of `source` (a photo: path or bytes) into every frame of a dataset.

    source: several photos (a list) of one person, which `uv` merges into one texture; or, where
        `config` names as many targets, the k-th for the k-th.
    out: run folder, itself a dataset afterwards, with run.json, swap_report.json and consent.json.
    consent: statement covering source and target; not asked for the bundled synthetic faces.
    engine, workers: see `parallel.pmap`; auto: threads where the method may be shared by them. The
        output is the same for each.

    Frames without a face stay byte-identical and unmarked and are named in the report.
    IdfError: bad photo or settings, no consent, no frame with a face, folder in use.
    """
    reporter = reporter or Reporter()
    job = SwapJob.of(source, config, consent, [f.path for f in data.frames], data.fingerprint(),
                     frozenset({VIEWS}))
    with job.run_folder(out, "swap", resume) as run:
        if run.finished and _is_whole(run, data):
            reporter.step("already done", 1.0)
            return Dataset.open(run.path)
        record, started = job.keep_consent(run), time.perf_counter()
        if not run.resumed:  # --no-resume
            for name in PREPARED:
                (run.path / name).unlink(missing_ok=True)
        swapper = job.method.prepare(data.frames, job.sources, run.path, reporter, job.config)
        prepared = time.perf_counter() - started
        rows = _swap_frames(run, data, swapper, job.mark(run, swapper, record), engine, workers,
                            reporter)
        counts = Counter(row["status"] for row in rows)
        if not counts["swapped"]:
            run.discard()
            raise job.nothing_swapped(data.root, rows)
        if data.background is not None:
            write_bytes(run.path / "bg" / data.background.name, data.background.read_bytes())
        seconds = round(time.perf_counter() - started, 3)
        write_json(run.path / "swap_report.json", job.report(swapper, rows) | {
            "counts": dict(counts), "prepare_seconds": round(prepared, 3), "seconds": seconds,
            "frames": rows})
        write_transforms(run.path, data.frames, expression_names=data.expression_names,
                         fps=data.fps)
        run.finish({"frames": len(rows), **counts, "seconds": seconds}, why=job.why,
                   consent=record.digest, source_type=job.origin.joined(swapper.source_type))
    return Dataset.open(out)


def _swap_frames(run: RunFolder, data: Dataset, swapper: Swapper, mark: provenance.Mark,
                 engine: str, workers: int, reporter: Reporter) -> list[dict]:
    """Report rows in the order of the frames; frames finished by an earlier try are not redone."""
    done = run.files("frame")
    todo = [f for f in data.frames if f.name not in done]
    work = partial(_swap_frame, swapper=swapper, out=run.path, mark=mark)
    lock, window = threading.Lock(), None
    if engine == "auto" and swapper.shared:
        engine = "threads"

    def noted(row: dict) -> dict:
        with lock:
            run.event(kind="frame", **row)
        return row

    threads = engine == "threads"
    if threads:  # each notes what it has written at once: a stop must not lose what is in flight
        task, window = (lambda frame: noted(work(frame))), workers + 1
    else:
        task = work
    for row in pmap(task, todo, engine, workers, window):
        done[row["name"]] = row if threads else noted(row)
        reporter.step("swapping", len(done) / len(data.frames))
    return [{k: v for k, v in done[f.name].items() if k != "kind"} for f in data.frames]


def _is_whole(run: RunFolder, data: Dataset) -> bool:
    """Whether a finished run still holds all that it wrote; else what is gone is made again."""
    files = ["swap_report.json", *(f"transforms_{split}.json" for split in SPLITS)]
    return (run.files("frame").keys() >= {f.name for f in data.frames}
            and all((run.path / name).is_file() for name in files))


def _swap_frame(frame: Frame, swapper: Swapper, out: Path, mark: provenance.Mark) -> dict:
    """One frame, in any process: read, swap, write, and the row of the report."""
    started = time.thread_time()
    image = frame.image()
    result = swapper.of_frame(frame.name)(image, frame.camera)
    seconds = time.thread_time() - started
    if result.status == "swapped":
        data = provenance.mark_picture_bytes(encode_image(result.image), ".png", mark)
        suffix = ".png"
    elif not frame.is_as_on_disk:  # the cameras written beside it have no lens distortion any more
        data, suffix = encode_image(image), ".png"
    else:  # byte-identical, not decoded and encoded again
        data, suffix = frame.path.read_bytes(), frame.path.suffix
    file = f"{frame.name}{suffix}"
    write_bytes(out / file, data)
    return {"name": frame.name, "split": frame.split, "status": result.status,
            "reason": result.reason, "sources": list(result.sources),
            "in_front": list(result.in_front), **result.guess,
            "changed": round(float((result.mask > 0).mean()), 4),
            "outside": int((result.image != image)[result.mask == 0].any(axis=-1).sum()),
            "cpu_seconds": round(seconds, 4), "file": file, "bytes": len(data),
            "sha256": sha256_bytes(data)}
