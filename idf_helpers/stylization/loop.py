"""The loop: restyle the views, fit splats to them, render the turn, and restyle that.

Per iteration N, from iter<N-1>.mp4 to iter<N>.mp4, as the paper's scripts have it:

    iterN/views   what is restyled (a dataset; only where it is not the given one)
    iterN/frames  the restyled views (a dataset, see `dataset.stylize`)
    iter1/original the splats of the first views: they give the depth, and the next ones begin so
    iterN/model   those of the iteration before, refitted to the restyled views, one by one in the
                  same order; with original.ply, so that any intensity of the style can be shown
    iterN/report.json
    iterN.mp4     the turn rendered from them

Every step is a run folder of its own: a finished one is not repeated, a stopped one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.dataset import Dataset
from ..data.frame import Frame
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
from ..provenance import Mark
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction import load, mark_of_model
from ..reconstruction.splats.model_path import MODEL
from ..runtime.files import read_json, write_bytes, write_json
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder, read_manifest
from .config import KeyViewConfig, LoopConfig, StylizeConfig
from .dataset import REPORT, stylize
from .methods import open_stylist
from .splats import finished_model, refit_splats, train_splats
from .views import BACKGROUNDS, check_one_size, in_order

SAME = 24.0  # dB; a video nearer than this to the pictures is a video of them


def loop(folder, stylist: str, config: StylizeConfig | None = None,
         plan: LoopConfig | None = None, *, views: KeyViewConfig | None = None,
         propagator: str = "auto", original: str | Path | None = None, out=None,
         reporter: Reporter | None = None) -> Path:
    """Run iterations start+1 … end on a dataset folder; the last video's path.

    folder: the paper's folder (train_main/, transforms_train_main.json, iter0.mp4) or any dataset.
    A missing iter0.mp4 is made from the pictures. config, views, propagator: as in `stylize`; the
    seed rises by one with each iteration, so that no two draw the same noise. original: run folder
    of splats of these views, trained before; None = they are trained. out: where iterations and
    videos are written; None = in `folder`, as the paper's scripts do.

    IdfError: no stylist named, an empty prompt, views and video that do not match, an iteration to
    start from that is not there; those of the steps.
    """
    plan, views = (plan or LoopConfig()).checked(), (views or KeyViewConfig()).checked()
    reporter = reporter or Reporter()
    painter = open_stylist(stylist, config)
    painter.close()
    if original is not None:
        load(original)  # what is wrong with it is said before anything is styled
    data = Dataset.open(folder)
    reporter.note(data.describe())
    check_one_size(data.frames, "the loop, whose steps are videos,")
    if painter.from_first:
        plan = replace(plan, strengths=plan.strengths or (painter.strength,))
    turn = Loop(Path(folder if out is None else out), data, plan, views, reporter,
                None if original is None else Path(original))
    copy_consent(data.root, turn.out)
    for n in range(plan.start + 1, plan.end + 1):
        reporter.note(f"iteration {n} of {plan.end}")
        styled = replace(painter.config, strength=plan.strength(n, painter.strength))
        if any(f.name == "seed" for f in fields(styled)):
            styled = replace(styled, seed=(styled.seed + n - 1) % 2**32)
        turn.iteration(n, turn.first if painter.from_first or turn.model(n - 1) is None
                       else turn.rendered(n - 1),
                       stylist, styled, propagator)
    return turn.out / f"iter{plan.end}.mp4"


class Loop:
    """The steps of the loop in one folder.

    first: the dataset that the first iteration restyles, whose cameras all others use.
    """

    def __init__(self, out: Path, data: Dataset, plan: LoopConfig, views: KeyViewConfig,
                 reporter: Reporter, original: Path | None = None):
        self.original = original
        self.out, self.plan, self.views, self.reporter = out, plan, views, reporter
        self.background = BACKGROUNDS[views.background]
        self.first = self._first_views(data)

    def iteration(self, n: int, data: Dataset, stylist: str, config: StylizeConfig,
                  propagator: str) -> dict:
        """Run one iteration from `data` to iter<n>.mp4; its report. Finished steps are kept."""
        folder, started = self.out / f"iter{n}", time.perf_counter()
        before = self.model(n - 1) or self.original
        if before is None:
            before = folder / "original"
            train_splats(data, before, self.plan.splats, "splats of the views", self.reporter)
        frames = stylize(data, folder / "frames", stylist, config, views=self.views,
                         propagator=propagator, depth=before, reporter=self.reporter)
        refit_splats(frames, folder / "model", before, self.plan.refitting(), self.reporter)
        video = self.out / f"iter{n}.mp4"
        if not video.is_file() or \
                video.stat().st_mtime < (folder / "model" / MODEL).stat().st_mtime:
            self._write_turn(folder / "model", video)
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

    def model(self, n: int) -> Path | None:
        """Return the finished splats of iteration n."""
        return finished_model(self.out / f"iter{n}" / "model") if n > 0 else None

    # --- views to restyle -------------------------------------------------------------------------

    def _first_views(self, given: Dataset) -> Dataset:
        """Return the dataset that the first iteration restyles; write iter0.mp4 of it.

        The dataset itself where iter<start>.mp4 shows its pictures or is not there; else the
        video's frames with the pictures' alpha and cameras, in iter<start + 1>/views.
        """
        data, start = self._thinned(given), self.plan.start
        video = next((p for p in (self.out / f"iter{start}.mp4", given.root / f"iter{start}.mp4")
                      if p.is_file()), None)
        model = self.model(start)
        if video is None:
            if start > 0 and model is None:
                raise IdfError(f"There is nothing to start from at iteration {start}",
                               f"no iter{start}.mp4 and no iter{start}/model in {self.out}",
                               "start from 0, or from an iteration that is finished")
            if start == 0:
                self.reporter.note(f"iter0.mp4 is made from the {len(data.frames)} pictures")
                self._write_video(self.out / "iter0.mp4", mark_of(
                    data, "first views", "turn of the views to restyle"), (
                        over(resize_area(f.image(), c.width, c.height), self.background)
                        for f in in_order(data.frames)
                        for c in [f.camera.fitted(self.views.resolution)]), len(data.frames))
            return data
        if start > 0 and model is not None:
            return data  # the renders of that model are better than their video
        count = sum(1 for _ in read_video(video))
        if count not in (len(given.frames), len(data.frames)):
            raise IdfError(f"The video {video} does not match the transforms",
                           f"{count} frames, {len(data.frames)} cameras",
                           "give the video that belongs to these cameras, one frame each, or take "
                           "it away: it is made from the pictures")
        if count != len(data.frames):
            self.reporter.note(f"{video.name} is not read: the pictures are taken, thinned out")
            return data
        likeness = _likeness(video, data)
        if start == 0 and likeness > SAME:
            self.reporter.note(f"{video.name} shows the pictures ({likeness:.0f} dB): they are "
                               "taken, not the video")
            return data
        self.reporter.note(f"{video.name} differs from the pictures ({likeness:.0f} dB): its "
                           "frames are restyled, with the pictures' outlines")
        return self._from_video(video, data, start + 1)

    def _thinned(self, data: Dataset) -> Dataset:
        count, frames = self.plan.max_frames, in_order(data.frames)
        if not count or count >= len(frames):
            return data
        chosen = [frames[i] for i in np.unique(np.round(
            np.linspace(0, len(frames), count, endpoint=False)).astype(int))]
        return self._derived("fewer views", data, chosen, Frame.image, self.out / "views",
                             {"count": count})

    def _from_video(self, video: Path, data: Dataset, n: int) -> Dataset:
        pictures = iter(read_video(video))

        def picture(f: Frame) -> np.ndarray:
            image = f.image()
            shown = resize_area(next(pictures), image.shape[1], image.shape[0])
            return shown if image.shape[2] == 3 else np.dstack([shown, image[..., 3]])

        return self._derived("views of a video", data, in_order(data.frames), picture,
                             self.out / f"iter{n}" / "views",
                             {"video": [video_info(video).comment, video.stat().st_size]})

    def rendered(self, n: int) -> Dataset:
        """Return the dataset of renders of iteration n's model from the first views' cameras, with
        alpha."""
        model = self.model(n)
        if model is None:
            raise IdfError(f"The model of iteration {n} is not there",
                           f"no {self.out / f'iter{n}'}/model",
                           "start from an iteration that is finished")
        scene = load(model)

        def picture(f: Frame) -> np.ndarray:
            shown = scene.render_full(f.camera.fitted(self.views.resolution), None, (0.0, 0.0, 0.0))
            alpha = shown.alpha[..., None]
            rgb = np.clip(shown.rgb / np.maximum(alpha, 1e-3), 0, 1)  # rendered over black
            return to_uint8(np.concatenate([rgb, alpha], -1))

        return self._derived("renders of the splats", self.first, in_order(self.first.frames),
                             picture, self.out / f"iter{n + 1}" / "views",
                             {"model": read_manifest(model)["run_id"],
                              "resolution": self.views.resolution}, mark_of_model(model))

    def _derived(self, made: str, data: Dataset, frames: Sequence[Frame],
                 picture: Callable[[Frame], np.ndarray], folder: Path, inputs: dict,
                 mark: Mark | None = None) -> Dataset:
        """Write uint8 pictures with the cameras of `frames` as a run folder; the dataset in it."""
        with RunFolder(folder, stage="views", backend=made, config={},
                       inputs=data.fingerprint() | inputs) as run:
            if not run.finished:
                mark = replace(mark or mark_of(data, "", made), run_id=run.run_id, made=made)
                placed = []
                for i, f in enumerate(frames):
                    image = picture(f)
                    write_bytes(run.path / f"{f.name}.png", provenance.mark_picture_bytes(
                        encode_image(image), ".png", mark))
                    camera = f.camera.resized(image.shape[1], image.shape[0])
                    placed.append(replace(f, camera=camera))
                    self.reporter.step(made, (i + 1) / len(frames))
                write_transforms(run.path, placed, expression_names=data.expression_names,
                                 fps=data.fps)
                copy_consent(data.root, run.path, mark.consent)
                run.finish({"frames": len(placed)}, consent=mark.consent, made=mark.made,
                           source_type=mark.source_type)
        return Dataset.open(folder)

    # --- videos -----------------------------------------------------------------------------------

    def _write_turn(self, model: Path, path: Path) -> None:
        """Render the splats from every camera, in order, as a marked, labeled video."""
        scene, frames = load(model), in_order(self.first.frames)
        pictures = (provenance.label(scene.render(f.camera.fitted(self.views.resolution), None,
                                                  self.background)) for f in frames)
        self._write_video(path, mark_of_model(model), pictures, len(frames))

    def _write_video(self, path: Path, mark: Mark, pictures: Iterable[np.ndarray], count: int
                     ) -> None:
        with provenance.marked(path, mark) as temporary, \
                video_writer(temporary, self.plan.fps, comment=mark.text()) as video:
            for i, picture in enumerate(pictures):
                video.append(mark.watermarked(picture))
                self.reporter.step(f"writing {path.name}", (i + 1) / count)


def _likeness(video: Path, data: Dataset) -> float:
    """Return the mean PSNR of the video's frames and the pictures over white, black or gray, the
    best."""
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
