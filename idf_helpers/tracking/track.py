"""`idf track`: a video of a face becomes a NeRFace dataset.

Frames and landmarks are written one by one, then the face model is fitted to the whole clip, and
the head's pose in every frame becomes a camera that moves about a head at rest: NeRFace's
`transform_matrix`, with the median distance of the camera at 0.5. The world is that of the bundled
sequence: z up, the face looks to -y, the origin in the middle of the head.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from .. import provenance
from ..data.cameras import Camera
from ..data.dataset import Dataset, Frame
from ..data.footage import Source
from ..data.media import read_image, resize_area, write_image
from ..data.transforms import write_transforms
from ..errors import IdfError, shorten
from ..face.frame_landmarks import extract, picture_name, read_landmarks, read_more
from ..face.head_model import CENTER, FaceModel
from ..face.pose import rigid_inverse
from ..provenance.lineage import copy_consent, origin_of
from ..runtime.files import write_json
from ..runtime.npz import save_arrays
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from .background import Background
from .background import background as room_behind
from .config import TrackConfig
from .doubts import doubts
from .fit import Track, fit_clip
from .importers import import_tracked
from .mediapipe_task import TaskLandmarker
from .overlay import overlay_video
from .takes import cuts, longest
from .world import DISTANCE, EXPRESSIONS_LONG, TO_WORLD

FILES = ("transforms_train.json", "transforms_test.json", "track.npz", "track_report.json")


def track(source: str | Path, out: str | Path, config: TrackConfig | None = None, *,
          format: Literal["video", "insta", "vhap"] = "video", task: Path | None = None,
          background: Path | None = None, resume: bool = True,
          reporter: Reporter | None = None) -> Dataset:
    """Track the face in a video: a dataset with head pose and expression in every frame.

    Args:
        source: video or folder of pictures, or the folder that another tracker exported.
        out: run folder, itself a dataset afterwards; overlay.mp4 shows how well the mesh fits.
        config: of the tracker.
        format: what the source is; insta and vhap are exports of these trackers, which are taken
            over as they are.
        task: a MediaPipe face_landmarker.task of yours, whose 52 scores and pose matrix are taken
            in place of the embedded model's (needs the package mediapipe).
        background: picture of the room without the person; None makes one of what the clip shows
            behind the head, with alpha 0 where that is a guess.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.

    The folder holds frames/, bg/, transforms_*.json, track.npz (see `Track`; with the numbers of
    its frames), track_report.json, overlay.mp4 and overlay.jpg. Frames without a face, and those
    that the model does not fit, stay out of the dataset and stand in the report; of a video that is
    cut the longest take is used. What speaks against the clip stands under "doubts".

    IdfError: no video, no face in three frames, a bad model, export or task file.
    """
    if format == "video":
        return _track_video(source, out, config, task, background, resume, reporter or Reporter())
    if task or background or config is not None and config.changed():
        raise IdfError("An import takes no tracker settings", f"--from {format}",
                       "leave the other options out")
    return import_tracked(source, out, format, resume)


def _track_video(source: str | Path, out: str | Path, config: TrackConfig | None,
                 task: Path | None, background: Path | None, resume: bool, reporter: Reporter
                 ) -> Dataset:
    config = (config or TrackConfig()).checked()
    clip = Source(source, config.crop)
    for note in clip.notes:
        reporter.note(note)
    model = FaceModel.load()
    backdrop = read_image(background, "background")[..., :3] if background else None
    if task is not None:
        _refuse_with_task(config)
    landmarker = TaskLandmarker(task) if task else None
    inputs = clip.fingerprint() | (landmarker.fingerprint() if landmarker else {})
    if backdrop is not None:
        inputs["background"] = str(background)
    backend = "task" if landmarker else "landmarks"
    with RunFolder(out, stage="track", backend=backend, config=config, inputs=inputs,
                   resume=resume) as run:
        if run.finished and all((run.path / name).is_file() for name in FILES):
            reporter.step("already done", 1.0)
            return Dataset.open(run.path)
        if not run.resumed:
            for name in ("landmarks.f32", "more.f32", "scores.f32"):
                (run.path / name).unlink(missing_ok=True)
        origin = origin_of(clip.pictures or [clip.path])  # of a swapped face, for example
        if landmarker:
            landmarker.open(run.path)
        try:
            width, height = extract(
                clip, run.path, size=config.size, every=config.every, limit=config.limit,
                detector=landmarker, mark=origin.mark(run.run_id, "frames"), reporter=reporter)
            numbers, found = read_landmarks(run.path / "landmarks.f32")
            more = read_more(run.path / "more.f32", len(numbers))

            def picture(i: int) -> np.ndarray:
                return read_image(run.path / f"{picture_name(int(numbers[i]))}.png")

            starts = cuts(more.change, found, numbers)
            take = longest(starts, np.isfinite(found).all((1, 2)))
            points = np.full_like(found, np.nan)
            points[take] = found[take]
            fitted = landmarker.track(points, width, height, config) if landmarker else \
                fit_clip(points, width, height, config, model, reporter, picture, more.iris)
        except IdfError:
            run.discard()
            raise
        finally:
            if landmarker:
                landmarker.close()
        frames = dataset_frames(run.path, fitted, numbers, points, width, height, config)
        reporter.step("putting the background together", 0.0)
        room = None
        if backdrop is None:
            room = room_behind(picture, points, range(len(numbers))[take])
            behind = room.picture
        else:
            behind = resize_area(backdrop, width, height)
        with provenance.marked(run.path / "bg" / "00050.png", provenance.Mark(
                run.run_id, "room behind a head, put together from a video")) as temporary:
            write_image(temporary, behind)
        save_track(run.path / "track.npz", fitted, numbers)
        write_transforms(run.path, frames, expression_names=fitted.names,
                         fps=clip.fps / config.every)
        report = _report(fitted, numbers, points, take, config, backend, room)
        report["doubts"] = doubts(fitted, found, more, numbers, clip.fps, take, starts, room,
                                  width, height)
        for text in report["doubts"]:
            reporter.note(text)
        write_json(run.path / "track_report.json", report)
        if config.overlay:
            drawn = "face mesh drawn over a video"
            mark = origin.mark(run.run_id, drawn) or provenance.Mark(run.run_id, drawn)
            overlay_video(run.path, fitted, numbers, found, take, mark, clip.fps / config.every,
                          model, reporter)
        if origin.consent:
            copy_consent(clip.path.parent, run.path, origin.consent)
        run.finish({k: report[k] for k in ("frames", "used", "fov", "error_percent")},
                   **origin.fields)
    return Dataset.open(out)


def _refuse_with_task(config: TrackConfig) -> None:
    """Raise IdfError for settings that are not read where a .task file gives the poses."""
    for name in ("fov", "brows"):
        if name in config.changed():
            raise IdfError(f"--{name} is not read with a .task file, which gives the poses and "
                           "expressions", f"{name} {getattr(config, name)}", "leave it out")


def to_world(track: Track) -> tuple[np.ndarray, float]:
    """Return c2w (N, 4, 4) in the dataset's world, and world units of a centimeter. NaN stays NaN.
    """
    c2w = np.full_like(track.poses, np.nan)
    for i in np.flatnonzero(np.isfinite(track.poses).all((1, 2))):
        c2w[i] = rigid_inverse(track.poses[i])
    position = c2w[:, :3, 3] - CENTER
    unit = DISTANCE / float(np.median(np.linalg.norm(position[track.used], axis=1)))
    c2w[:, :3, :3] = TO_WORLD @ c2w[:, :3, :3]
    c2w[:, :3, 3] = unit * position @ TO_WORLD.T
    return c2w, unit


def dataset_frames(folder: Path, track: Track, numbers: np.ndarray, points: np.ndarray,
                   width: int, height: int, config: TrackConfig) -> list[Frame]:
    """Return the frames that can be trained on, the last of them for testing."""
    c2w, _ = to_world(track)
    used = np.flatnonzero(track.used)
    test = min(max(1, len(used) // 5), 1000) if config.test is None else config.test
    test = min(test, len(used) - 1)
    val = min(config.val, len(used) - test - 1)
    lens = track.lens
    padding = max(0, EXPRESSIONS_LONG - len(track.names))
    out = []
    for k, i in enumerate(used):
        split = "test" if k >= len(used) - test else \
            "val" if k >= len(used) - test - val else "train"
        camera = Camera(c2w[i], lens.fx, lens.fy, lens.cx, lens.cy, width, height)
        expression = np.concatenate([track.expressions[i], np.zeros(padding, np.float32)])
        name = picture_name(int(numbers[i]))
        out.append(Frame(name, Path(folder) / f"{name}.png", camera, split, expression,
                         _head_box(points[i], width, height)))
    return out


def _head_box(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """NeRFace's [top, bottom, left, right] as fractions: the face, and room for hair and chin."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    w, h = high - low
    box = np.array([low[1] - 0.45 * h, high[1] + 0.15 * h, low[0] - 0.25 * w, high[0] + 0.25 * w])
    return np.clip(box / (height, height, width, width), 0, 1).astype(np.float32)


def save_track(path: Path, track: Track, numbers: np.ndarray) -> None:
    """Write an .npz of a track; lens as [fx, fy, cx, cy]."""
    looks = {} if track.gaze is None or track.gaze_trust is None else \
        {"gaze": track.gaze, "gaze_trust": track.gaze_trust}
    save_arrays(path, {
        "numbers": np.asarray(numbers), "lens": np.array(list(asdict(track.lens).values())),
        "neutral": track.neutral.astype(np.float32), "identity": track.identity,
        "names": np.array(track.names), "poses": track.poses, "expressions": track.expressions,
        "resting": track.resting, "errors": track.errors, "used": track.used,
        **looks})


def _report(track: Track, numbers: np.ndarray, points: np.ndarray, take: slice,
            config: TrackConfig, backend: str, room: Background | None) -> dict:
    there = np.isfinite(points).all((1, 2))[take]
    lost = [int(n) for n in numbers[take][~there]]
    unfit = [int(n) for n in numbers[take][there & ~track.used[take]]]
    rest = {n: round(float(v), 4) for n, v in zip(track.names, track.resting, strict=True) if v}
    return {
        "frames": len(numbers), "used": int(track.used.sum()), "without_face": lost,
        "not_fitting": unfit, "taken": [int(numbers[take][0]), int(numbers[take][-1])],
        "background": "given" if room is None else
        {"seen": round(room.known, 3), "moving": round(room.moving, 3)},
        "method": backend, "fov": round(track.fov, 2),
        "fov_from": "given" if config.fov else
        "the task file" if backend == "task" else "estimated over the clip",
        "error_percent": round(float(np.nanmedian(track.errors)), 3),
        "brows_followed": round(track.brows, 3),
        "resting_expression": rest,
        "about": "error_percent: median distance of landmarks and model, % of the face's width. "
                 "brows_followed: how far the brows could be followed in the pictures, from 0 (not "
                 "taken: the landmarks alone tell) to 1. "
                 "taken: first and last frame of the take that was used. background: share of the "
                 "picture that was seen without the person, and share of that which does not keep "
                 "still. resting_expression: mean of the tenth of the frames with the least "
                 "expression, "
                 "what to take as this face's neutral when another drives it. Left out were "
                 f"frames without a face ({shorten(lost) or 'none'}) and frames that do not fit "
                 f"({shorten(unfit) or 'none'})."}
