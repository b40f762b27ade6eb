"""The loop: restyle the views, fit splats to them, render the turn, and restyle that.

Per iteration N, from iter<N-1>.mp4 to iter<N>.mp4, as the paper's scripts have it:

    iterN/views   what is restyled (a dataset; only where it is not the given one)
    iterN/frames  the restyled views (a dataset, see `run.py`)
    iterN/model   the splats fitted to them, begun with those of the iteration before
    iterN/report.json
    iterN.mp4     the turn rendered from them

Every step is a run folder of its own: a finished one is not repeated, a stopped one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.dataset import Dataset
from ..data.media import (
    encode_image,
    over,
    read_video,
    resize_area,
    to_uint8,
    video_info,
    video_writer,
)
from ..data.transforms import write_transforms
from ..errors import IdfError
from ..metrics import psnr
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction import load as load_scene
from ..reconstruction import mark_of_model
from ..reconstruction.splats.config import SplatConfig
from ..reconstruction.splats.model_path import MODEL
from ..runtime.files import read_json, write_bytes, write_json
from ..runtime.runs import RunFolder, read_manifest
from .config import LoopConfig, PropagateConfig, RowConfig, StylizeConfig
from .dataset import DEFAULT_STRENGTH, REPORT, stylize_dataset
from .stylist import stylist_class
from .views import BACKGROUNDS, in_order

Report = Callable[[str, float], None]
SAME = 24.0  # dB; a video nearer than this to the pictures is a video of them


def _silent(step: str, fraction: float) -> None:
    pass


def loop(folder, stylist: str, config: StylizeConfig, loop_config: LoopConfig | None = None, *,
         row: RowConfig | None = None, propagate: PropagateConfig | None = None, out=None,
         progress: Report = _silent, say=lambda line: None) -> Path:
    """Runs iterations start+1 … end on a dataset folder; the last video's path.

    folder: the paper's folder (train_main/, transforms_train_main.json, iter0.mp4) or any dataset.
    A missing iter0.mp4 is made from the pictures. out: where iterations and videos are written;
    None = in `folder`, as the paper's scripts do. say: called with lines for people.

    IdfError: no stylist named, an empty prompt, views and video that do not match, an iteration to
    start from that is not there; what the steps say.
    """
    config = config.checked()
    plan = (loop_config or LoopConfig()).checked()
    row, propagate = (row or RowConfig()).checked(), (propagate or PropagateConfig()).checked()
    kind = stylist_class(stylist, config)
    kind(config)
    data = Dataset.open(folder)
    out = Path(out) if out is not None else Path(folder)
    say(data.describe())
    base = config.strength or getattr(kind, "default_strength", DEFAULT_STRENGTH)
    if getattr(kind, "from_first", False):
        plan = replace(plan, strengths=plan.strengths or (base,))
    first = first_views(data, out, plan, row, progress, say)
    copy_consent(data.root, out)
    for n in range(plan.start + 1, plan.end + 1):
        say(f"iteration {n} of {plan.end}")
        strength = plan.strength(n, base)
        views = first if n == 1 or getattr(kind, "from_first", False) else \
            rendered_views(first, out, n - 1, plan, row, progress)
        iteration(out, n, first, views, stylist, replace(config, strength=strength), plan, row,
                  propagate, progress)
    return out / f"iter{plan.end}.mp4"


def _splats(plan: LoopConfig) -> SplatConfig:
    return SplatConfig(iterations=plan.splat_iterations,
                       budget_s=None if plan.splat_iterations else plan.splat_s,
                       resolution=plan.splat_resolution)


def iteration(out: Path, n: int, first: Dataset, views: Dataset, stylist: str,
              config: StylizeConfig, plan: LoopConfig, row: RowConfig,
              propagate: PropagateConfig, progress: Report = _silent) -> dict:
    """One iteration from `views` to iter<n>.mp4; its report. first: the dataset that says which
    cameras there are. Steps that are finished are not repeated."""
    folder, started = out / f"iter{n}", time.perf_counter()
    before = _model(out, n - 1)
    frames = stylize_dataset(views, folder / "frames", stylist, config, row=row,
                             propagate=propagate, model=before, progress=progress)

    def tell(p):
        progress("fitting splats", p.fraction)

    start = before or _model_of(folder / "frames" / "geometry")
    train_splats(frames, folder / "model", _splats(plan), progress=tell, start=start)
    video = out / f"iter{n}.mp4"
    if not video.is_file() or video.stat().st_mtime < (folder / "model" / MODEL).stat().st_mtime:
        write_turn(folder / "model", first, video, plan.fps, row, progress)
    report = folder / "report.json"
    styled = read_json(folder / "frames" / REPORT, "report")
    fitted = read_json(folder / "model" / "metrics.json", "metrics file")
    earlier = read_json(report, "report") if report.is_file() else {}
    found = {"iteration": n, "stylist": stylist, "prompt": config.prompt,
             "strength": config.strength, "seed": config.seed,
             "measures": styled["measures"] | {
                 "splats_psnr": fitted["psnr"], "splats_ssim": fitted["ssim"]},
             "stylize_seconds": styled["seconds"], "splats_seconds": fitted["seconds"],
             "seconds": round(earlier.get("seconds", 0) + time.perf_counter() - started, 1)}
    if earlier.get("measures") != found["measures"]:
        write_json(report, found)
    return found


def _model(out: Path, n: int) -> Path | None:
    """The finished splats of iteration n."""
    return _model_of(out / f"iter{n}" / "model") if n > 0 else None


def _model_of(folder: Path) -> Path | None:
    if not (folder / "run.json").is_file() or not (folder / MODEL).is_file():
        return None
    return folder if read_manifest(folder).get("status") == "finished" else None


# --- views to restyle -----------------------------------------------------------------------------

def first_views(data: Dataset, out: Path, plan: LoopConfig, row: RowConfig, progress: Report,
                say) -> Dataset:
    """The dataset that the first iteration restyles, and iter0.mp4 of it.

    The dataset itself where iter<start>.mp4 shows its pictures or is not there; else the video's
    frames with the pictures' alpha and cameras, in iter<start + 1>/views.
    """
    given = data
    if plan.max_frames and plan.max_frames < len(data.frames):
        data = _thinned(data, out / "views", plan.max_frames, progress)
    video = next((p for p in (out / f"iter{plan.start}.mp4",
                              given.root / f"iter{plan.start}.mp4") if p.is_file()), None)
    if video is None:
        if plan.start > 0 and _model(out, plan.start) is None:
            raise IdfError(f"There is nothing to start from at iteration {plan.start}",
                           f"no iter{plan.start}.mp4 and no iter{plan.start}/model in {out}",
                           "start from 0, or from an iteration that is finished")
        if plan.start == 0:
            say(f"iter0.mp4 is made from the {len(data.frames)} pictures")
            what = mark_of(data.root, "first views", "turn of the views to restyle")
            _write_video(out / "iter0.mp4", plan.fps, what, (
                over(resize_area(f.image(), *_size(f, row)), BACKGROUNDS[row.background])
                for f in in_order(data.frames)), len(data.frames), progress)
        return data
    if plan.start > 0 and _model(out, plan.start) is not None:
        return data  # the renders of that model are better than their video
    count = sum(1 for _ in read_video(video))
    if count not in (len(given.frames), len(data.frames)):
        raise IdfError(f"The video {video} does not match the transforms",
                       f"{count} frames, {len(data.frames)} cameras",
                       "give the video that belongs to these cameras, one frame each, or take it "
                       "away: it is made from the pictures")
    if count != len(data.frames):
        say(f"{video.name} is not read: the pictures are taken, thinned out")
        return data
    likeness = _likeness(video, data, row)
    if plan.start == 0 and likeness > SAME:
        say(f"{video.name} shows the pictures ({likeness:.0f} dB): they are taken, not the video")
        return data
    say(f"{video.name} differs from the pictures ({likeness:.0f} dB): its frames are restyled, "
        "with the pictures' outlines")
    return _from_video(video, data, out / f"iter{plan.start + 1}" / "views", progress)


def _size(frame, row: RowConfig) -> tuple[int, int]:
    camera = frame.camera.fitted(row.resolution)
    return camera.width, camera.height


def _likeness(video, data: Dataset, row: RowConfig) -> float:
    """Mean PSNR of the video's frames and the pictures over white, black or gray, the best."""
    frames = in_order(data.frames)
    wanted = set(np.linspace(0, len(frames) - 1, 6).astype(int).tolist())
    found: dict[str, list[float]] = {name: [] for name in BACKGROUNDS}
    for i, picture in enumerate(read_video(video)):
        if i in wanted:
            image = frames[i].image()
            shown = resize_area(picture, image.shape[1], image.shape[0]).astype(np.float32) / 255
            for name, color in BACKGROUNDS.items():
                found[name].append(min(60.0, psnr(shown, over(image, color))))
    return max(float(np.mean(v)) for v in found.values())


def _from_video(video, data: Dataset, folder: Path, progress: Report) -> Dataset:
    frames = in_order(data.frames)
    inputs = data.fingerprint() | {"video": [video_info(video).comment, video.stat().st_size]}
    pictures = iter(read_video(video))

    def frame(f):
        image = f.image()
        shown = resize_area(next(pictures), image.shape[1], image.shape[0])
        return shown if image.shape[2] == 3 else np.dstack([shown, image[..., 3]])

    return _derived(data, frames, folder, "views of a video", inputs, frame, progress)


def _thinned(data: Dataset, folder: Path, count: int, progress: Report) -> Dataset:
    frames = in_order(data.frames)
    chosen = [frames[i] for i in np.unique(np.round(
        np.linspace(0, len(frames), count, endpoint=False)).astype(int))]
    return _derived(data, chosen, folder, "fewer views", data.fingerprint() | {"count": count},
                    lambda f: f.image(), progress)


def rendered_views(first: Dataset, out: Path, n: int, plan: LoopConfig, row: RowConfig,
                   progress: Report) -> Dataset:
    """The dataset of renders of iteration n's model from the first views' cameras, with alpha."""
    model = _model(out, n)
    if model is None:
        raise IdfError(f"The model of iteration {n} is not there", f"no {out / f'iter{n}'}/model",
                       "start from an iteration that is finished")
    scene = load_scene(model)

    def frame(f):
        made = scene.render_full(f.camera.fitted(row.resolution), None, (0.0, 0.0, 0.0))
        alpha = made.alpha[..., None]
        rgb = np.clip(made.rgb / np.maximum(alpha, 1e-3), 0, 1)  # rendered over black
        return to_uint8(np.concatenate([rgb, alpha], -1))

    inputs = {"model_sha256": read_manifest(model)["run_id"], "views": len(first.frames),
              "resolution": row.resolution}
    return _derived(first, in_order(first.frames), out / f"iter{n + 1}" / "views",
                    "renders of the splats", inputs, frame, progress, mark_of_model(model))


def _derived(data: Dataset, frames: Sequence, folder: Path, made: str, inputs: dict, frame,
             progress: Report, what=None) -> Dataset:
    """A dataset of pictures frame(f) with the cameras of `frames`, in a run folder."""
    with RunFolder(folder, stage="views", backend=made, config={}, inputs=inputs) as run:
        if not run.finished:
            mark = replace(what or mark_of(data.root, "", made), run_id=run.run_id, made=made)
            placed = []
            for i, f in enumerate(frames):
                image = frame(f)
                data_ = provenance.mark_picture_bytes(encode_image(image), ".png", mark)
                write_bytes(run.path / f"{f.name}.png", data_)
                camera = f.camera.resized(image.shape[1], image.shape[0])
                placed.append(replace(f, camera=camera, distortion=None))
                progress(made, (i + 1) / len(frames))
            write_transforms(run.path, placed, expression_names=data.expression_names)
            copy_consent(data.root, run.path)
            run.finish({"frames": len(placed)}, consent=mark.consent, made=mark.made,
                       source_type=mark.source_type)
    return Dataset.open(folder)


# --- videos ---------------------------------------------------------------------------------------

def write_turn(model, data: Dataset, path: Path, fps: float, row: RowConfig,
               progress: Report = _silent) -> Path:
    """The splats at `model` from every camera of `data`, in order, as a marked, labeled video."""
    scene, what = load_scene(model), mark_of_model(model)
    frames = in_order(data.frames)
    background = BACKGROUNDS[row.background]

    def pictures():
        for f in frames:
            camera = f.camera.fitted(row.resolution)
            yield provenance.label(scene.render(camera, None, background))

    return _write_video(path, fps, what, pictures(), len(frames), progress)


def _write_video(path: Path, fps: float, what, pictures, count: int, progress: Report) -> Path:
    with video_writer(path, fps, comment=what.text()) as video:
        for i, picture in enumerate(pictures):
            video.append(picture)
            progress(f"writing {path.name}", (i + 1) / count)
    return path

