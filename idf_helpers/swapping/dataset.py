"""The swap stage: dataset in, dataset out; same layout, same cameras, alpha kept, a report."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .. import provenance
from ..data.dataset import SPLITS, Dataset, Frame
from ..data.media import encode_image, read_image
from ..data.transforms import write_transforms
from ..errors import IdfError, shorten
from ..runtime.files import sha256_bytes, sha256_file, stable_hash, write_bytes, write_json
from ..runtime.parallel import pmap
from ..runtime.runs import RunFolder
from .config import SwapConfig
from .face_selection import unmatched
from .methods import SWAPPERS, VIEWS
from .source import SourceFace, load_source
from .swappers import PREPARED, Swapper

Report = Callable[[str, float], None]


def silent(step: str, fraction: float) -> None:
    pass


def swap_dataset(dataset: Dataset, source, out, config: SwapConfig | None = None, *,
                 consent: str = "", engine: str = "serial", workers: int = 2,
                 resume: bool = True, progress: Report = silent) -> Dataset:
    """Swaps the face of `source` (a photo: path or bytes) into every frame of `dataset`.

    source: several photos (a list) of one person, which `uv` merges into one texture; or, where
        `config` names as many targets, the k-th for the k-th.
    out: run folder, itself a dataset afterwards, with run.json, swap_report.json and consent.json.
    consent: statement covering source and target; not asked for the bundled synthetic faces.
    engine, workers: see `parallel.pmap`; the output is the same for each.
    progress: called with the step's name and its fraction done.

    Frames without a face stay byte-identical and unmarked and are named in the report.
    IdfError: bad photo or backend, no consent, no frame with a face, folder in use.
    """
    config = (config or SwapConfig()).checked()
    photos, faces = read_sources(source, config.face)
    backend, why = SWAPPERS.choose(config.backend,
                                   frozenset({VIEWS}) if config.one_head else frozenset())
    record = provenance.require_consent(consent, photos, [f.path for f in dataset.frames])
    inputs = dataset.fingerprint() | identity(photos, config) | {"consent": record.statement}
    method = backend.load()
    asked = asdict(config) | {"method": method.settings()}
    with RunFolder(out, stage="swap", backend=backend.name, config=asked, inputs=inputs,
                   resume=resume) as run:
        if run.finished and _is_whole(run, dataset):
            progress("already done", 1.0)
            return Dataset.open(run.path)
        record = provenance.Consent.read(run.path) or record  # keep the first run's date
        record.write(run.path)
        started = time.perf_counter()
        if not run.resumed:  # --no-resume
            for name in PREPARED:
                (run.path / name).unlink(missing_ok=True)
        swapper = method.prepare(dataset.frames, faces, run.path, progress, config)
        prepared = time.perf_counter() - started
        what = provenance.Mark(run.run_id, f"face swap ({backend.name})", swapper.source_type,
                               record.digest)
        rows = _swap_frames(run, dataset, swapper, what, engine, workers, progress)
        counts = Counter(row["status"] for row in rows)
        if not counts["swapped"]:
            run.discard()
            if config.reference:
                raise _nobody(config, rows, dataset.root)
            raise IdfError(f"No frame of {dataset.root} could be swapped",
                           shorten(f"{n} {s}" for s, n in counts.items()),
                           "check that the pictures show a face, larger than about 64 pixels")
        if dataset.background is not None:
            write_bytes(run.path / "bg" / dataset.background.name, dataset.background.read_bytes())
        seconds = time.perf_counter() - started
        write_json(run.path / "swap_report.json", {
            "backend": backend.name, "why": why, **notes(swapper, rows, len(faces)),
            "source_sha256": inputs["source_sha256"],
            "counts": dict(counts), "prepare_seconds": round(prepared, 3),
            "seconds": round(seconds, 3), "frames": rows})
        write_transforms(run.path, dataset.frames, expression_names=dataset.expression_names)
        run.finish({"frames": len(rows), **counts, "seconds": round(seconds, 3)}, why=why,
                   consent=record.digest, source_type=swapper.source_type)
    return Dataset.open(out)


def _swap_frames(run: RunFolder, dataset: Dataset, swapper: Swapper, what, engine, workers,
                 progress) -> list[dict]:
    """Report rows in the order of the frames; frames finished by an earlier try are not redone."""
    done = {e["name"]: e for e in run.events() if e.get("kind") == "frame" and _is_there(run, e)}
    todo = [f for f in dataset.frames if f.name not in done]
    work = partial(_swap_frame, swapper=swapper, out=run.path, what=what)
    for row in pmap(work, todo, engine, workers):
        run.event(kind="frame", **row)
        done[row["name"]] = row
        progress("swapping", len(done) / len(dataset.frames))
    rows = [{k: v for k, v in done[f.name].items() if k != "kind"} for f in dataset.frames]
    return rows


def _is_there(run: RunFolder, event: dict) -> bool:
    path = run.path / str(event.get("file", "?"))
    return (isinstance(event.get("name"), str) and path.is_file()
            and sha256_file(path) == event.get("sha256"))


def _is_whole(run: RunFolder, dataset: Dataset) -> bool:
    """Whether a finished run still holds all that it wrote; else what is gone is made again."""
    files = ["swap_report.json", *(f"transforms_{split}.json" for split in SPLITS)]
    there = {e["name"] for e in run.events() if e.get("kind") == "frame" and _is_there(run, e)}
    return (there >= {f.name for f in dataset.frames}
            and all((run.path / name).is_file() for name in files))


def _swap_frame(frame: Frame, swapper: Swapper, out: Path, what) -> dict:
    """One frame, in any process: read, swap, write, and the row of the report."""
    started = time.process_time()
    image = frame.image()
    ready = swapper.of_frame(frame.name) if hasattr(swapper, "of_frame") else swapper
    result = ready(image, frame.camera)
    seconds = time.process_time() - started
    if result.status == "swapped":
        data = provenance.mark_picture_bytes(encode_image(result.image), ".png", what)
        suffix = ".png"
    elif frame.distortion:  # the cameras written beside it have no lens distortion any more
        data, suffix = encode_image(image), ".png"
    else:  # byte-identical, not decoded and encoded again
        data, suffix = frame.path.read_bytes(), frame.path.suffix
    file = f"{frame.name}{suffix}"
    write_bytes(out / file, data)
    return {"name": frame.name, "split": frame.split, "status": result.status,
            "reason": result.reason, "sources": list(result.sources),
            "changed": round(float((result.mask > 0).mean()), 4),
            "outside": int((result.image != image)[result.mask == 0].any(axis=-1).sum()),
            "cpu_seconds": round(seconds, 4), "file": file, "bytes": len(data),
            "sha256": sha256_bytes(data)}


def swap_image(picture, source, out, config: SwapConfig | None = None, *, consent: str = "",
               resume: bool = True) -> Path:
    """Swaps the face of `source` into one picture (a path). The result is `out/<name>.png`.

    IdfError as for `swap_dataset`, and where the picture shows no face.
    """
    config = (config or SwapConfig()).checked()
    picture = Path(picture)
    image = read_image(picture)
    photos, faces = read_sources(source, config.face)
    backend, why = SWAPPERS.choose(config.backend)
    record = provenance.require_consent(consent, photos, [picture])
    inputs = {"picture_sha256": sha256_bytes(picture.read_bytes()),
              "consent": record.statement} | identity(photos, config)
    method = backend.load()
    asked = asdict(config) | {"method": method.settings()}
    with RunFolder(out, stage="swap-image", backend=backend.name, config=asked, inputs=inputs,
                   resume=resume) as run:
        path = run.path / f"{picture.stem}.png"
        if run.finished and path.is_file():
            return path
        swapper = method.prepare([], faces, None, silent, config)
        result = swapper(image, None)
        if result.status != "swapped" and config.reference:
            raise _nobody(config, [{"reason": result.reason}], picture)
        if result.status != "swapped":
            raise IdfError(f"{picture} was not swapped", f"{result.status}: {result.reason}",
                           "use a picture with one clear face, at least 64 pixels wide")
        what = provenance.Mark(run.run_id, f"face swap ({backend.name})", swapper.source_type,
                               record.digest)
        record.write(run.path)
        write_bytes(path, provenance.mark_picture_bytes(encode_image(result.image), ".png", what))
        run.finish({"status": result.status}, why=why, consent=record.digest,
                   **notes(swapper, [{"sources": result.sources}], len(faces)))
    return path


def read_sources(source, face: int | None) -> tuple[list[bytes], tuple[SourceFace, ...]]:
    """The bytes of one photo or several (paths or bytes), and the face in each; `face`: which one.
    IdfError as `load_source`."""
    given = list(source) if isinstance(source, (list, tuple)) else [source]
    if not given:
        raise IdfError("No source photo is given", "an empty list", "give --source PHOTO")
    return [photo_bytes(s) for s in given], tuple(load_source(s, face=face) for s in given)


def identity(photos: list[bytes], config: SwapConfig) -> dict:
    """What tells these source and reference photos from others."""
    hashes = [sha256_bytes(p) for p in photos]
    out = {"source_sha256": hashes[0] if len(hashes) == 1 else stable_hash(hashes)}
    if config.reference:
        out["references"] = [sha256_bytes(photo_bytes(p)) for p in config.reference]
    return out


def notes(swapper: Swapper, rows: list[dict], sources: int) -> dict:
    """What the report says of the method, and which sources went to nobody."""
    said = [note] if (note := getattr(swapper, "note", "")) else []
    if sources > 1 and getattr(swapper, "merges", False):
        said.append(f"{sources} photos merged into one texture")
    elif sources > 1 and (left := unmatched(rows, sources)):
        said.append("no face was found for source " + ", ".join(map(str, left)))
    return {"note": "; ".join(said)} if said else {}


def _nobody(config: SwapConfig, rows: list[dict], where) -> IdfError:
    reasons = Counter(row["reason"] for row in rows)
    near = [r for r in reasons if r.startswith("no face like")] or [r for r, _ in
                                                                     reasons.most_common(1)]
    return IdfError(f"The reference {shorten(p.name for p in config.reference)} matches nobody in "
                    f"{where}", max(near),
                    "use a frontal photo of somebody who is in it, or lower --similarity")


def photo_bytes(source) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    path = Path(os.fspath(source))
    if not os.path.isfile(path):  # Path.is_file raises where a folder may not be looked into
        read_image(path, "source photo")  # says what is wrong with it
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdfError(f"The source photo {path} cannot be read", str(error)) from None
