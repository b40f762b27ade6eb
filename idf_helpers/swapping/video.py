"""The swap of a video: frames in, the same frames out, with their original sound.

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
from ..data.clips import VideoIndex, index_video, join_parts, read_frames, read_parts, write_part
from ..data.media import video_info
from ..errors import IdfError
from ..runtime.files import sha256_file, write_json
from ..runtime.parallel import pmap
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from .config import SwapConfig, VideoConfig
from .job import SwapJob
from .methods import VIEWS
from .moving import Moving
from .swapper import Swapper
from .uv_method import PREPARED
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
               engine="auto", workers: int = 2, resume: bool = True,
               reporter: Reporter | None = None) -> Path:
    """Swap the face of `source` into every frame of `video`; the result is `out/<name>.mp4`.

    video: a file that ffmpeg reads. Its sound is copied, its frames keep their times (also at a
    variable rate); an odd width or height gets one more row or column. An animation (GIF, APNG,
    WebP; AVIF as WebP) comes out as one, with its alpha and the time of each frame.
    source: photo (path or bytes), or a list. out: run folder, with run.json,
    swap_report.json and consent.json besides.
    engine, workers: see `parallel.pmap`; the output is the same for each.

    Every frame of the result carries the visible label, the file its mark. IdfError: as
    `swap_dataset`; no video stream, a damaged or truncated file, and more than
    `options.max_missing` of the frames without a face.
    """
    options, reporter = (options or VideoConfig()).checked(), reporter or Reporter()
    video = Path(video)
    video_info(video)  # says what is wrong with it
    job = SwapJob.of(source, config, consent, [video], {"video_sha256": sha256_file(video)},
                     frozenset({VIEWS}))
    followed = job.config.one_head
    if followed and job.method.by_followed_faces:
        _refuse_unread(job)
    moving = Moving.of(video)
    if moving and "crf" in options.changed():
        raise IdfError("--video.crf is of H.264, and an animation is written as it came",
                       f"{video}, --video.crf {options.crf}", "leave it out")
    with job.run_folder(out, "swap-video", resume, video=asdict(options)) as run:
        result = run.path / (video.stem + (moving.suffix if moving else ".mp4"))
        if run.finished and result.is_file():
            reporter.step("already done", 1.0)
            return result
        record, started = job.keep_consent(run), time.perf_counter()
        work = run.path / WORK
        if not run.resumed:  # --no-resume
            shutil.rmtree(work, ignore_errors=True)
            for name in PREPARED:
                (run.path / name).unlink(missing_ok=True)
        film = moving.unpack(work) if moving else video
        index = _index(film, work, reporter)
        parts = make_parts(len(index), options.part)
        known = _faces(run, video, film, index, parts, options, engine, workers, reporter)
        clip = Clip(film, index, work / FACES, known)
        if followed:
            swapper = job.method.prepare_video(clip, job.sources, run.path, reporter, job.config)
        else:
            swapper = job.method.prepare([], job.sources, None, reporter, job.config)
        mark = job.mark(run, swapper, record, " of a video")
        rows = _swap_parts(run, clip, parts, swapper, options, mark, bool(moving), engine, workers,
                           reporter)
        counts = Counter(row["status"] for row in rows)
        if not counts["swapped"]:
            run.discard()
            raise job.nothing_swapped(video, rows)
        reporter.step("joining", 0.0)
        files = [run.path / _file(p) for p in parts]
        with provenance.marked(result, mark) as temporary:
            if moving:
                sound = moving.pack(temporary, read_parts(files, index.width, index.height),
                                    options.label, mark.xmp())
            else:
                sound = join_parts(temporary, files, index, video)
        reporter.step("joining", 1.0)
        seconds = round(time.perf_counter() - started, 3)
        write_json(run.path / "swap_report.json", job.report(swapper, rows) | {
            "counts": dict(counts), "sound": sound, "variable_frame_rate": index.variable,
            "fps": round(index.fps, 3), "padded": [index.width % 2, index.height % 2],
            "labeled": options.label, "seconds": seconds, "frames": _runs(rows)})
        run.finish({"frames": len(rows), **counts, "seconds": seconds}, why=job.why,
                   consent=record.digest, source_type=job.origin.joined(swapper.source_type))
        shutil.rmtree(work, ignore_errors=True)
    return result


def _refuse_unread(job: SwapJob) -> None:
    """Raise IdfError for settings that choose among faces, where the one followed is swapped."""
    for name in ("min_face", "min_confidence"):
        if name in job.config.changed():
            raise IdfError(f"--{name.replace('_', '-')} is not read where `{job.entry.name}` "
                           "follows one face through a video", f"{name} "
                           f"{getattr(job.config, name):g}", "leave it out, or add --target all")


def _index(video: Path, work: Path, reporter: Reporter) -> VideoIndex:
    if known := VideoIndex.load_if_whole(work / INDEX):
        return known
    index = index_video(video, lambda share: reporter.step("reading the video", share))
    index.save(work / INDEX)
    reporter.step("reading the video", 1.0)
    return index


def _faces(run: RunFolder, video: Path, film: Path, index: VideoIndex, parts: list[Part],
           options: VideoConfig, engine, workers, reporter: Reporter) -> VideoFaces:
    """Return the path of one face through the video, from disk where an earlier try wrote it."""
    work = run.path / WORK
    if known := VideoFaces.load_if_whole(work / FACES):
        return known
    kept = {p.number: Found.load_if_whole(work / f"faces_{p.name}.npz") for p in parts}
    found = {number: faces for number, faces in kept.items() if faces is not None}
    todo = [p for p in parts if p.number not in found]
    look = partial(find_in_part, video=film, index=work / INDEX, folder=work)
    for part, path in zip(todo, pmap(look, todo, engine, workers), strict=True):
        found[part.number] = Found.load(path)
        reporter.step("finding faces", len(found) / len(parts))
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


def _file(part: Part) -> str:
    return f"{WORK}/part_{part.name}.ts"


def _swap_parts(run: RunFolder, clip: Clip, parts: list[Part], swapper: Swapper,
                options: VideoConfig, mark: provenance.Mark, exact: bool, engine, workers,
                reporter: Reporter) -> list[dict]:
    """Status, reason and sources of every frame; parts finished by an earlier try are kept."""
    done = run.files("part")
    todo = [p for p in parts if p.name not in done]
    work = partial(_swap_part, video=clip.video, index=run.path / WORK / INDEX, swapper=swapper,
                   folder=run.path, options=options, mark=mark, exact=exact)
    for row in pmap(work, todo, engine, workers):
        run.event(kind="part", **row)
        done[row["name"]] = row
        reporter.step("swapping", len(done) / len(parts))
    return [row for p in parts for row in done[p.name]["frames"]]


def _swap_part(part: Part, video: Path, index: Path, swapper: Swapper, folder: Path,
               options: VideoConfig, mark: provenance.Mark, exact: bool) -> dict:
    """One part, in any process: read, swap, label, encode, and its row for the journal."""
    whole = load_index(index)
    rows: list[dict] = []

    def frames():
        camera = video_camera(whole)
        for k, image in enumerate(read_frames(video, whole, part.start, part.stop)):
            result = swapper.of_frame(str(part.start + k))(image, camera)
            rows.append({"status": result.status, "reason": result.reason,
                         "sources": list(result.sources),
                         "in_front": list(result.in_front), **result.guess})
            picture = provenance.label(result.image) if options.label else result.image
            yield mark.watermarked(picture)

    path = folder / _file(part)
    size = write_part(path, frames(), whole.times[part.start:part.stop], options.crf,
                      exact)
    return {"name": part.name, "frames": rows, "file": _file(part), "bytes": size,
            "sha256": sha256_file(path)}


def _runs(rows: list[dict]) -> list[dict]:
    """Report rows: frames in a row that fared alike are one row."""
    out, at = [], 0
    for fared, group in groupby(rows, key=lambda r: (r["status"], r["reason"], r["in_front"])):
        run = list(group)
        status, reason, before = fared
        guesses = [r["guessed"] for r in run if "guessed" in r]
        out.append({"from": at, "to": at + len(run) - 1, "status": status, "reason": reason,
                    "in_front": before}
                   | ({"guessed": round(sum(guesses) / len(guesses), 3)} if guesses else {}))
        at += len(run)
    return out
