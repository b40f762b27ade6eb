"""The stage `stylize`: dataset in, dataset out. Key views are styled, all views made from them.

A run folder holds keys_in/ (what the stylist got), keys_out/ (what it gave), the styled pictures
under the names of the originals with their cameras, and stylize_report.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import provenance
from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..data.media import encode_image, read_image, to_uint8
from ..data.transforms import write_transforms
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction import load
from ..reconstruction.config import TrainingConfig
from ..runtime.files import sha256_bytes, write_bytes, write_json
from ..runtime.progress import Reporter
from ..runtime.registry import Entry
from ..runtime.runs import RunFolder
from ..scene import Scene
from . import measures
from .config import KeyViewConfig, StylizeConfig
from .key_styling import style_keys
from .key_views import choose_keys
from .methods import PROPAGATORS, SURFACE, open_stylist
from .propagators.ebsynth import Waiting
from .propagators.propagator import StyledFrame, is_closed
from .splats import train_splats
from .stylist import Stylist, View, as_float
from .views import BACKGROUNDS, DatasetViews, check_one_size

DEFAULT_KEYS = 8
REPORT = "stylize_report.json"
GEOMETRY = "geometry"  # folder of the splats that give the depth
DEPTH = TrainingConfig(budget_s=60.0)
FEWEST = 8  # views that splats are trained on for no more than their depth
SOME = 16  # views that a stylist sees before the first one
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
TRAINED = ("trainedAlgorithmicMedia", COMPOSITE)


def stylize(data: Dataset | str | Path, out: str | Path, stylist: str,
            config: StylizeConfig | None = None, *, views: KeyViewConfig | None = None,
            propagator: str = "auto",
            depth: Scene | TrainingConfig | str | Path | None = None, resume: bool = True,
            reporter: Reporter | None = None) -> Dataset:
    """Restyle all views of a dataset: key views by a stylist, the others from them.

    Args:
        data: views of a head (or their folder, bundled name, .zip or URL).
        out: the run folder, itself a dataset afterwards.
        stylist: preset, neural, exemplar, diffusers, a1111 or comfyui; never chosen for you.
        config: the stylist's own settings; None = its defaults.
        views: which views the stylist gets, and what they look like.
        propagator: auto, geometry, flow, patchmatch, ebsynth (its program), or ebsynth:FOLDER (its
            window program: keys/ and frames/ are written there, out_*/ read back).
        depth: a reconstruction of this head (a scene, run folder or model file), or how to train
            splats for its depth where that is needed; None = for 60 seconds.
        resume: go on with an unfinished run; False starts it again.
        reporter: takes word of the progress.

    Returns the dataset in `out`. A finished key or frame is never made again; keys keep what the
    stylist gave even where it is gone meanwhile. IdfError: bad settings, no such stylist, key
    views missing; the stylist's or propagator's. Waiting (an IdfError) where another program has
    to work first.
    """
    views, reporter = (views or KeyViewConfig()).checked(), reporter or Reporter()
    painter = open_stylist(stylist, config)  # its first complaints come before any work
    data = as_dataset(data, reporter)
    pointwise = painter.pointwise and views.keys is None and views.batch is None
    entry, why = _choose_propagator(propagator, pointwise)
    if entry is not None:
        check_one_size(data.frames, f"the propagator {entry.name}")
    chosen = entry.name if entry else "none"
    identity = {"stylist": painter.config.identity(), "views": asdict(views), "propagator": chosen}
    defaults = {"stylist": type(painter.config)().identity(), "views": asdict(KeyViewConfig())}
    with RunFolder(out, stage="stylize", backend=stylist, config=identity,
                   inputs=data.fingerprint(), resume=resume, defaults=defaults) as run:
        if run.finished and (run.path / REPORT).is_file() and \
                run.files("frame").keys() >= {f.name for f in data.frames}:
            reporter.step("already done", 1.0)
            return Dataset.open(run.path)
        if not run.resumed:
            run.event(kind="begun")  # from now on there is something to go on from
        started = time.perf_counter()
        scene, depth_from = None, "none"
        if chosen == "geometry" or _needs_depth(painter):
            scene, depth_from = _scene(data, depth, run.path, reporter)
        elif painter.wants_depth:
            scene, depth_from = _shape(data, depth, run.path, reporter)
        all_views = DatasetViews(data, scene, views.resolution, views.background, bare=pointwise)
        offset = all_views.settle_depth()
        if all_views[0].mask.min() >= 1:
            reporter.note("the pictures have no alpha: what lies behind the head is restyled, too")
        mark = replace(mark_of(data, run.run_id, f"restyled views ({stylist})"),
                       source_type=_source_type(data, painter))
        job = _Job(run, all_views, painter, views, mark, reporter)
        try:
            if entry is None:
                keys, frames = list(range(len(all_views))), job.style_all()
            else:
                keys = job.key_indices()
                frames = job.propagate(entry, job.style_keys(keys))
        except Waiting as waiting:
            run.pause(str(waiting))
            raise
        finally:
            painter.close()
        report = {
            "stylist": stylist, "settings": painter.settings(),
            "reads_prompt": painter.reads_prompt,
            "mode": "pointwise" if pointwise else painter.config.mode,
            "strength": painter.strength, "propagator": chosen, "why": why, "depth": depth_from,
            "depth_offset": round(offset, 5), "used": painter.used,
            "keys": [all_views.names[k] for k in keys] if not pointwise else "all",
            "seconds": round(time.perf_counter() - started, 2), "frames": frames,
            "measures": job.measures(keys)}
        write_json(run.path / REPORT, report)
        # as the frames are written: PNG, at the views' size, lens distortion undone
        write_transforms(run.path, [replace(f, camera=f.camera.fitted(views.resolution))
                                    for f in data.frames],
                         expression_names=data.expression_names, fps=data.fps)
        copy_consent(data.root, run.path, mark.consent)
        run.finish({"frames": len(frames), "keys": len(keys), "seconds": report["seconds"],
                    **{k: v for k, v in report["measures"].items() if not isinstance(v, str)}},
                   why=why, consent=mark.consent, made=mark.made, source_type=mark.source_type)
    return Dataset.open(out)


def _choose_propagator(name: str, pointwise: bool) -> tuple[Entry | None, str]:
    if pointwise:
        return None, "every view is styled by itself: what the look depends on is fixed to the head"
    entry, why = PROPAGATORS.choose(name, frozenset({SURFACE}))
    entry.load()  # what it lacks is reported before anything is styled
    return entry, why


def _needs_depth(painter: Stylist) -> bool:
    return bool({"depth", "normal"} & set(painter.controls)) or painter.config.mode == "anchored"


def _scene(data: Dataset, depth: Scene | TrainingConfig | str | Path | None, folder: Path,
           reporter: Reporter) -> tuple[Scene, str]:
    """Return what provides the depth, and a text saying where it is from."""
    if isinstance(depth, (str, Path)):
        return load(depth), str(Path(depth).resolve())
    if depth is not None and not isinstance(depth, TrainingConfig):
        return depth, "a scene"
    config = DEPTH if depth is None else depth
    length = f"{config.budget:g} s" if config.iterations is None else \
        f"{config.iterations} iterations"
    return train_splats(data, folder / GEOMETRY, config, "depth: splats of the views", reporter,
                        resolution=min(256, max(data.size)), sh_degree=1), \
        f"splats trained for {length}"


def _shape(data: Dataset, depth: Scene | TrainingConfig | str | Path | None, folder: Path,
           reporter: Reporter) -> tuple[Scene | None, str]:
    """Return what `_scene` does, for a stylist that asks no more of the depth than normals: splats
    are trained for a third of the time, and not at all of too few views or ones that move."""
    if not isinstance(depth, TrainingConfig | None):
        return _scene(data, depth, folder, reporter)
    moving = any(f.expression is not None for f in data.frames)
    if len(data.frames) < FEWEST or moving:
        why = "the head moves" if moving else f"{len(data.frames)} views, fewer than {FEWEST}"
        reporter.note(f"no depth ({why}): the head's shape is taken from outlines and face")
        return None, f"none: {why}"
    config = DEPTH if depth is None else depth
    return _scene(data, replace(
        config, iterations=config.iterations and max(1, config.iterations // 3),
        budget_s=config.budget_s and config.budget_s / 3), folder, reporter)


def _source_type(data: Dataset, painter: Stylist) -> str:
    """Return the stylist's digital source type; a composite with trained media where the views or
    the stylist's pictures are such, since the outlines and what is carried are of the views."""
    before = mark_of(data, "", "").source_type
    return COMPOSITE if {before, painter.source_type} & set(TRAINED) else painter.source_type


class _Job:
    """One run: what is asked of stylist and propagator, and what of it is there already."""

    def __init__(self, run: RunFolder, views: DatasetViews, painter: Stylist,
                 config: KeyViewConfig, mark: provenance.Mark, reporter: Reporter):
        self.run, self.views, self.painter = run, views, painter
        self.config, self.mark, self.reporter = config, mark, reporter
        self.background = BACKGROUNDS[config.background]

    def save(self, kind: str, name: str, file: str, image: np.ndarray, **more: Any) -> dict:
        """Write a marked picture and note it in the run's events; the event."""
        data = provenance.mark_picture_bytes(encode_image(image), ".png", self.mark)
        write_bytes(self.run.path / file, data)
        event = {"kind": kind, "name": name, "file": file, "sha256": sha256_bytes(data), **more}
        self.run.event(**event)
        return event

    # --- keys -------------------------------------------------------------------------------------

    def key_indices(self) -> list[int]:
        """Return the views to style, the one to begin with first."""
        names, size = self.views.names, self.config.batch
        wanted = self.painter.key_frame(names)
        first = None if wanted is None else names.index(wanted)
        if size is None:
            return choose_keys([f.camera for f in self.views.frames],
                               self.config.keys or DEFAULT_KEYS, first)
        batches = [range(i, min(i + size, len(names))) for i in range(0, len(names), size)]
        at = [b[len(b) // 2] if self.config.batch_key == "middle" else b[0] for b in batches]
        return at if first is None else [first, *(k for k in at if k != first)]

    def style_keys(self, keys: list[int]) -> dict[int, np.ndarray]:
        """Return index -> styled picture at the view's size."""
        done, pictures = self.run.files("key"), {}
        for k in keys:
            event = done.get(self.views.names[k])
            if event:
                pictures[k] = as_float(read_image(self.run.path / event["file"], "key view"))
            file = self.run.path / "keys_in" / self._file(k)
            if not file.is_file():
                write_bytes(file, provenance.mark_picture_bytes(
                    encode_image(to_uint8(self.views[k].rgb)), ".png",
                    replace(self.mark, made="view to be restyled")))

        def report(fraction: float = 0.0, words: str = "") -> None:
            self.reporter.step("styling key views", (len(pictures) + fraction) / len(keys), words)

        report()
        self.painter.progress = report
        started = time.perf_counter()
        for position, picture in style_keys(self.painter, [self.views[k] for k in keys],
                                            self.painter.strength,
                                            lambda p: pictures.get(keys[p])):
            k = keys[position]
            self.save("key", self.views.names[k], f"keys_out/{self._file(k)}", picture,
                      seconds=round(time.perf_counter() - started, 2), used=self.painter.used)
            pictures[k] = picture
            started = time.perf_counter()
            report()
        return pictures

    def _file(self, k: int) -> str:
        return self.views.names[k].replace("/", "_") + ".png"

    # --- all views --------------------------------------------------------------------------------

    def style_all(self) -> list[dict]:
        """Style every view by a stylist that looks at nothing but pixels; the report's rows."""
        painter, config = self.painter, self.painter.config
        done = self.run.files("frame")
        if len(done) < len(self.views):
            painter.prepare(self._some())
            for what, found in painter.used.items():
                self.reporter.note(f"{what}: {found}")
        return self._frames(lambda k: StyledFrame(painter.finish(
            self.views[k], painter.stylize(self.views[k], config.prompt, config.seed,
                                           painter.strength), painter.strength)), "styling", done)

    def _some(self) -> list[View]:
        step = max(1, len(self.views) // SOME)
        return [self.views[k] for k in range(0, len(self.views), step)]

    def propagate(self, entry: Entry, pictures: dict[int, np.ndarray]) -> list[dict]:
        """Make every view from the styled ones; the report's rows."""
        done = self.run.files("frame")
        if len(done) == len(self.views):
            return self._frames(_nothing, "propagating", done)
        frame = entry.load()(self.views, pictures).frame
        if self.painter.wants_depth:
            self.painter.prepare(self._some())

        def finished(k: int) -> StyledFrame:
            made = frame(k)
            return replace(made, rgb=self.painter.finish(self.views[k], made.rgb,
                                                         self.painter.strength))

        return self._frames(finished, "propagating", done)

    def _frames(self, make: Callable[[int], StyledFrame], step: str, done: dict) -> list[dict]:
        for k, frame in enumerate(self.views.frames):
            if frame.name not in done:
                started = time.perf_counter()
                styled = make(k)
                done[frame.name] = self.save(
                    "frame", frame.name, f"{frame.name}.png", self._composed(k, styled),
                    seen=None if styled.seen is None else round(styled.seen, 4),
                    seconds=round(time.perf_counter() - started, 3))
            self.reporter.step(step, len(done) / len(self.views))
        return [{k: v for k, v in done[f.name].items() if k not in ("kind", "sha256")}
                for f in self.views.frames]

    def _composed(self, k: int, styled: StyledFrame) -> np.ndarray:
        """Return the picture to write: with alpha where the source has it."""
        view, rgb = self.views[k], to_uint8(styled.rgb)
        if float(view.mask.min()) >= 1.0:
            return rgb
        alpha = to_uint8(view.mask if styled.alpha is None else styled.alpha)
        return np.dstack([np.where(alpha[..., None] > 0, rgb, 0), alpha])

    # --- measures ---------------------------------------------------------------------------------

    def measures(self, keys: list[int]) -> dict:
        """Return measures of the written pictures, see `measures.measure_views`."""
        self.reporter.step("measuring", 0.0)
        pictures = Written(self.run.path, self.views, alpha=False)
        found = measures.measure_views(self.views, pictures, Written(
            self.run.path, self.views, alpha=True), keys, is_closed(self.views), self.background)
        self.reporter.step("measuring", 1.0)
        return found


def _nothing(k: int) -> StyledFrame:
    raise AssertionError(f"view {k} is there already")


class Written:
    """The pictures of a run by index: (H, W, 3) colors, or (H, W) alpha; float32 in [0, 1]."""

    def __init__(self, root: Path, views: DatasetViews, alpha: bool):
        self.root, self.views, self.alpha = root, views, alpha

    def __getitem__(self, k: int) -> np.ndarray:
        image = read_image(self.root / f"{self.views.frames[k].name}.png", "styled view")
        if not self.alpha:
            return as_float(image)
        return np.ones(image.shape[:2], np.float32) if image.shape[2] == 3 else \
            image[..., 3].astype(np.float32) / 255
