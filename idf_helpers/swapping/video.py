"""The swap of a video: frames in, the same frames out, with the sound that they had.

The video is cut into parts of some seconds. Faces are found part by part; all of them together
give the face's way through the video (`video_faces`) and what a swapper needs to know; then parts
are swapped and encoded on their own, in any order and process, and joined at the end. A part that
is finished is not done again, and no process ever holds more than a few frames.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path

from .. import provenance
from ..data.clips import VideoIndex, index_video, join_parts, read_frames, write_part
from ..data.media import video_info
from ..errors import IdfError, shorten
from ..runtime.files import sha256_file, write_json
from ..runtime.parallel import pmap
from ..runtime.runs import RunFolder
from .config import SwapConfig, VideoConfig
from .dataset import Report, identity, notes, read_sources, silent
from .methods import SWAPPERS, VIEWS
from .swappers import PREPARED, Swapper
from .video_faces import (
    Clip,
    Found,
    Part,
    VideoFaces,
    find_in_part,
    link,
    load_index,
    make_parts,
    smoothed,
    video_camera,
)

WORK = "work"  # folder in the run folder for what is only needed on the way
INDEX, FACES = "index.npz", "faces.npz"


def swap_video(video, source, out, config: SwapConfig | None = None,
               options: VideoConfig | None = None, *, consent: str = "",
               engine="serial", workers: int = 2, resume: bool = True,
               progress: Report = silent) -> Path:
    """Swaps the face of `source` into every frame of `video`; the result is `out/<name>.mp4`.

    video: a file that ffmpeg reads. Its sound is copied, its frames keep their times (also at a
    variable rate); an odd width or height gets one more row or column. source: photo (path or
    bytes), or a list. out: run folder, with run.json, swap_report.json and consent.json besides.
    engine, workers: see `parallel.pmap`; the output is the same for each.

    Every frame of the result carries the visible label, the file its mark. IdfError: as
    `swap_dataset`; no video stream, a damaged or truncated file, and more than
    `options.max_missing` of the frames without a face.
    """
    config, options = (config or SwapConfig()).checked(), (options or VideoConfig()).checked()
    video = Path(video)
    video_info(video)  # says what is wrong with it
    photos, faces = read_sources(source, config.face)
    offers = frozenset({VIEWS}) if config.one_head else frozenset()
    backend, why = SWAPPERS.choose(config.backend, offers)
    record = provenance.require_consent(consent, photos, [video])
    inputs = {"video_sha256": sha256_file(video), "consent": record.statement} \
        | identity(photos, config)
    method = backend.load()
    asked = asdict(config) | {"video": asdict(options), "method": method.settings()}
    with RunFolder(out, stage="swap-video", backend=backend.name, config=asked, inputs=inputs,
                   resume=resume) as run:
        result = run.path / f"{video.stem}.mp4"
        if run.finished and result.is_file():
            progress("already done", 1.0)
            return result
        record = provenance.Consent.read(run.path) or record  # keep the first run's date
        record.write(run.path)
        started = time.perf_counter()
        work = run.path / WORK
        if not run.resumed:  # --no-resume
            shutil.rmtree(work, ignore_errors=True)
            for name in PREPARED:
                (run.path / name).unlink(missing_ok=True)
        index = _index(video, work, progress)
        parts = make_parts(len(index), options.part)
        known = _faces(run, video, index, parts, config, options, engine, workers, progress)
        clip = Clip(video, index, work / FACES, known)
        swapper = _prepare(method, clip, faces, run.path, progress, config)
        what = provenance.Mark(run.run_id, f"face swap of a video ({backend.name})",
                               swapper.source_type, record.digest)
        rows = _swap_parts(run, clip, parts, swapper, options, engine, workers, progress)
        counts = Counter(status for status, _, _ in rows)
        if not counts["swapped"]:
            run.discard()
            raise IdfError(f"No frame of {video} could be swapped",
                           shorten(f"{n} {s}" for s, n in counts.items()),
                           "check that it shows a face, larger than about 64 pixels")
        progress("joining", 0.0)
        with provenance.marked(result, what) as temporary:
            sound = join_parts(temporary, [_part_file(run, p) for p in parts], index, video)
        progress("joining", 1.0)
        seconds = time.perf_counter() - started
        write_json(run.path / "swap_report.json", {
            "backend": backend.name, "why": why,
            **notes(swapper, [{"sources": s} for _, _, s in rows], len(faces)),
            "source_sha256": inputs["source_sha256"], "counts": dict(counts), "sound": sound,
            "variable_frame_rate": index.variable, "fps": round(index.fps, 3),
            "padded": [index.width % 2, index.height % 2], "labeled": options.label,
            "seconds": round(seconds, 3), "frames": _runs(rows)})
        run.finish({"frames": len(rows), **counts, "seconds": round(seconds, 3)}, why=why,
                   consent=record.digest, source_type=swapper.source_type)
        shutil.rmtree(work, ignore_errors=True)
    return result


def _index(video: Path, work: Path, progress: Report) -> VideoIndex:
    if (work / INDEX).is_file():
        try:
            return VideoIndex.load(work / INDEX)
        except IdfError:  # damaged: made again
            pass
    index = index_video(video, lambda share: progress("reading the video", share))
    index.save(work / INDEX)
    progress("reading the video", 1.0)
    return index


def _faces(run: RunFolder, video: Path, index: VideoIndex, parts: list[Part], config: SwapConfig,
           options: VideoConfig, engine, workers, progress: Report) -> VideoFaces:
    """The way of one face, from disk where an earlier try wrote it."""
    work = run.path / WORK
    if (work / FACES).is_file():
        try:
            return VideoFaces.load(work / FACES)
        except IdfError:
            pass
    found: dict[int, Found] = {}
    for part in parts:
        try:
            found[part.number] = Found.load(work / f"faces_{part.name}.npz")
        except IdfError:  # not there, or damaged
            continue
    todo = [p for p in parts if p.number not in found]
    look = partial(find_in_part, video=video, index=work / INDEX, folder=work)
    for part, path in zip(todo, pmap(look, todo, engine, workers), strict=True):
        found[part.number] = Found.load(path)
        progress("finding faces", len(found) / len(parts))
    faces = link([found[p.number] for p in parts], len(index))
    missing = 1 - float(faces.seen.mean())
    if missing > options.max_missing:
        run.discard()
        raise IdfError(f"{100 * missing:.0f} % of the frames of {video} show no face",
                       f"a face in {int(faces.seen.sum())} of {len(index)} frames",
                       "cut the video to where the face is seen, or allow it with "
                       f"--video.max-missing {min(1.0, missing + 0.01):.2f}")
    faces = smoothed(faces, options.smooth)
    faces.save(work / FACES)
    return faces


def _prepare(method, clip: Clip, faces, folder: Path, progress: Report, config: SwapConfig):
    """A swapper that knows the video, where there is one; else one that takes each frame as a
    picture."""
    if config.one_head and hasattr(method, "for_video"):
        return method.for_video(clip, faces, folder, progress, config)
    return method.prepare([], faces, None, progress, config)


def _part_file(run: RunFolder, part: Part) -> Path:
    return run.path / WORK / f"part_{part.name}.ts"


def _swap_parts(run: RunFolder, clip: Clip, parts: list[Part], swapper: Swapper,
                options: VideoConfig, engine, workers, progress: Report) -> list[tuple]:
    """(status, reason, sources) of every frame; parts finished by an earlier try are kept."""
    done = {e["part"]: e for e in run.events() if e.get("kind") == "part"
            and isinstance(e.get("part"), int)}
    done = {p.number: done[p.number] for p in parts if p.number in done
            and _part_file(run, p).is_file()
            and sha256_file(_part_file(run, p)) == done[p.number].get("sha256")}
    todo = [p for p in parts if p.number not in done]
    work = partial(_swap_part, video=clip.video, index=run.path / WORK / INDEX, swapper=swapper,
                   folder=run.path / WORK, options=options)
    for row in pmap(work, todo, engine, workers):
        run.event(kind="part", **row)
        done[row["part"]] = row
        progress("swapping", len(done) / len(parts))
    return [tuple(r) for p in parts for r in done[p.number]["frames"]]


def _swap_part(part: Part, video: Path, index: Path, swapper: Swapper, folder: Path,
               options: VideoConfig) -> dict:
    """One part, in any process: read, swap, label, encode, and its row for the journal."""
    whole = load_index(index)
    rows: list[tuple] = []

    def frames():
        camera = video_camera(whole)
        for k, image in enumerate(read_frames(video, whole, part.start, part.stop)):
            name = str(part.start + k)
            ready = swapper.of_frame(name) if hasattr(swapper, "of_frame") else swapper
            result = ready(image, camera)
            rows.append((result.status, result.reason, list(result.sources)))
            yield provenance.label(result.image) if options.label else result.image

    path = folder / f"part_{part.name}.ts"
    size = write_part(path, frames(), whole.times[part.start:part.stop], options.crf)
    return {"part": part.number, "frames": rows, "bytes": size, "sha256": sha256_file(path)}


def _runs(rows: list[tuple]) -> list[dict]:
    """Report rows: frames in a row that fared alike are one row."""
    out, at = [], 0
    for (status, reason), group in groupby(rows, key=lambda r: (r[0], r[1])):
        n = len(list(group))
        out.append({"from": at, "to": at + n - 1, "status": status, "reason": reason})
        at += n
    return out
