"""The stage `stylize`: dataset in, dataset out. Key views are styled, all views made from them.

A run folder holds keys_in/ (what the stylist got), keys_out/ (what it gave), the styled pictures
under the names of the originals with their cameras, and stylize_report.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from .. import provenance
from ..data.dataset import Dataset
from ..data.media import encode_image, read_image, to_uint8
from ..data.transforms import write_transforms
from ..provenance.lineage import copy_consent, mark_of
from ..reconstruction.splats.config import SplatConfig
from ..runtime.files import sha256_bytes, sha256_file, write_bytes, write_json
from ..runtime.runs import RunFolder
from . import measures
from .config import PropagateConfig, RowConfig, StylizeConfig
from .key_styling import mode_of, style_keys
from .key_views import choose_keys
from .methods import PROPAGATORS, STYLISTS, SURFACE
from .propagators.ebsynth import Waiting
from .propagators.propagator import Propagated, is_closed
from .stylist import Stylist, as_float, stylist_class
from .views import BACKGROUNDS, DatasetViews

Report = Callable[[str, float], None]
DEFAULT_KEYS = 8
DEFAULT_STRENGTH = 0.6
REPORT = "stylize_report.json"
GEOMETRY = "geometry"  # folder of the splats that give the depth
# Where a server stands and how long it may take does not change what it draws.
WHERE = ("server", "allow_remote", "timeout_s", "device", "offload")


def _silent(step: str, fraction: float) -> None:
    pass


def stylize_dataset(dataset: Dataset, out, stylist: str, config: StylizeConfig | None = None, *,
                    row: RowConfig | None = None, propagate: PropagateConfig | None = None,
                    model=None, resume: bool = True, progress: Report = _silent) -> Dataset:
    """Restyles all views of `dataset` into the run folder `out`, itself a dataset afterwards.

    stylist: a name of the stage `stylize`. model: a reconstruction of the same head (run folder or
    model file, any stage) that gives the depth; None = splats are trained for it where it is
    needed. progress: called with the step's name and its fraction done.

    A finished key or frame is never made again; keys keep what the stylist gave even where it is
    gone meanwhile. IdfError: bad settings, no such stylist, key views missing; what the stylist or
    the propagator says. Waiting (an IdfError) where another program has to work first.
    """
    config, row = (config or StylizeConfig()).checked(), (row or RowConfig()).checked()
    propagate = (propagate or PropagateConfig()).checked()
    kind = stylist_class(stylist, config)
    pointwise = getattr(kind, "pointwise", False) and row.keys is None and row.batch is None
    strength = config.strength or getattr(kind, "default_strength", DEFAULT_STRENGTH)
    chosen, why = _propagator(propagate, pointwise)
    asker = kind(config)  # its first complaints come before any work
    asked = {"stylist": {k: v for k, v in asdict(config).items() if k not in WHERE},
             "row": {k: v for k, v in asdict(row).items() if k != "depth_s"},
             "propagate": asdict(propagate), "propagator": chosen}
    inputs = dataset.fingerprint()
    if config.exemplar:
        asked["stylist"]["exemplar"] = Path(config.exemplar).name
        inputs["exemplar_sha256"] = sha256_file(config.exemplar)
    with RunFolder(out, stage="stylize", backend=stylist, config=asked, inputs=inputs,
                   resume=resume) as run:
        if run.finished and _is_whole(run, dataset):
            progress("already done", 1.0)
            return Dataset.open(run.path)
        if not run.resumed:
            run.event(kind="begun")  # from now on there is something to go on from
        started = time.perf_counter()
        scene, depth_from = None, "none"
        if not pointwise and _needs_depth(chosen, stylist, config):
            scene, depth_from = _reconstruction(dataset, model, run.path, row, progress)
        views = DatasetViews(dataset, scene, row.resolution, row.background, bare=pointwise)
        offset = views.settle_depth()
        what = replace(mark_of(dataset.root, run.run_id, f"restyled views ({stylist})"),
                       source_type=_source_type(dataset, kind))
        job = _Job(run, views, asker, config, row, strength, what, progress)
        try:
            if pointwise:
                keys, made = list(range(len(views))), job.style_all()
                asker_mode = "pointwise"
            else:
                keys, asker_mode = job.key_indices(), mode_of(asker, config)
                pictures = job.style_keys(keys)
                made = job.propagate(chosen, propagate, pictures)
        except Waiting as waiting:
            run.pause(str(waiting))
            raise
        finally:
            if hasattr(asker, "close"):
                asker.close()
        report = {
            "stylist": stylist, "settings": asker.settings(), "reads_prompt": kind.reads_prompt,
            "mode": asker_mode, "strength": strength, "propagator": chosen, "why": why,
            "depth": depth_from, "depth_offset": round(offset, 5),
            "keys": [views.names[k] for k in keys] if not pointwise else "all",
            "seconds": round(time.perf_counter() - started, 2), "frames": made,
            "measures": job.measured(keys, propagate)}
        write_json(run.path / REPORT, report)
        write_transforms(run.path, [_placed(f, views) for f in dataset.frames],
                         expression_names=dataset.expression_names)
        copy_consent(dataset.root, run.path)
        run.finish({"frames": len(made), "keys": len(keys), "seconds": report["seconds"],
                    **{k: v for k, v in report["measures"].items() if not isinstance(v, str)}},
                   why=why, consent=what.consent, made=what.made, source_type=what.source_type)
    return Dataset.open(out)


def _propagator(propagate: PropagateConfig, pointwise: bool) -> tuple[str, str]:
    if pointwise:
        return "none", "every view is styled by itself: the look depends on nothing but the pixel"
    name = propagate.propagator
    if name == "ebsynth" and propagate.ebsynth:
        return name, "ebsynth: by its folders"
    backend, why = PROPAGATORS.choose(name, frozenset({SURFACE}))
    backend.load()  # what it lacks is said before anything is styled
    return backend.name, why


def _needs_depth(propagator: str, stylist: str, config: StylizeConfig) -> bool:
    return propagator == "geometry" or mode_of_needs_depth(stylist, config)


def mode_of_needs_depth(stylist: str, config: StylizeConfig) -> bool:
    """Whether key views cannot be put to this stylist without their depth."""
    kind = STYLISTS.load(stylist)
    controlled = kind.reads_prompt and {"depth", "normal"} & set(config.controlnet)
    return bool(controlled) or mode_of(kind, config) == "anchored"


def _reconstruction(dataset, model, folder: Path, row: RowConfig, progress):
    """(scene, where it is from)."""
    from ..reconstruction.scenes import load_scene

    if model is not None:
        return load_scene(model), str(model)

    def tell(p):
        progress("depth: splats of the views", p.fraction)

    settings = SplatConfig(budget_s=row.depth_s, resolution=min(256, max(dataset.size)),
                           sh_degree=1)
    return train_splats(dataset, folder / GEOMETRY, settings, progress=tell), \
        f"splats trained for {row.depth_s:g} s"


def _source_type(dataset: Dataset, kind) -> str:
    """That of the stylist, and never less than what the views were made with."""
    before = mark_of(dataset.root, "", "").source_type
    trained = "compositeWithTrainedAlgorithmicMedia"
    return trained if trained in (before, kind.source_type) else kind.source_type


def _placed(frame, views: DatasetViews):
    """The frame as it is written: PNG, at the row's size, lens distortion undone."""
    return replace(frame, camera=frame.camera.fitted(views.resolution), distortion=None)


def _is_whole(run: RunFolder, dataset: Dataset) -> bool:
    there = {e["name"] for e in run.events() if e.get("kind") == "frame" and _is_there(run, e)}
    return there >= {f.name for f in dataset.frames} and (run.path / REPORT).is_file()


def _is_there(run: RunFolder, event: dict) -> bool:
    path = run.path / str(event.get("file", "?"))
    return (isinstance(event.get("name"), str) and path.is_file()
            and sha256_file(path) == event.get("sha256"))


class _Job:
    """One run: what is asked of stylist and propagator, and what of it is there already."""

    def __init__(self, run: RunFolder, views: DatasetViews, asker: Stylist, config: StylizeConfig,
                 row: RowConfig, strength: float, what, progress: Report):
        self.run, self.views, self.asker = run, views, asker
        self.config, self.row, self.strength = config, row, strength
        self.what, self.progress = what, progress
        self.events = [e for e in run.events() if e.get("kind") in ("key", "frame")
                       and _is_there(run, e)]

    def there(self, kind: str) -> dict[str, dict]:
        return {e["name"]: e for e in self.events if e["kind"] == kind}

    def save(self, kind: str, name: str, file: str, image: np.ndarray, **more) -> dict:
        """Writes a marked picture and says so in the run's events; the event."""
        data = provenance.mark_picture_bytes(encode_image(image), ".png", self.what)
        write_bytes(self.run.path / file, data)
        event = {"kind": kind, "name": name, "file": file, "sha256": sha256_bytes(data), **more}
        self.run.event(**event)
        self.events.append(event)
        return event

    # --- keys -------------------------------------------------------------------------------------

    def key_indices(self) -> list[int]:
        """The views to style, the one to begin with first."""
        names, first = self.views.names, None
        if hasattr(self.asker, "wanted_key"):
            wanted = self.asker.wanted_key(names)
            first = None if wanted is None else names.index(wanted)
        size = self.row.batch
        if size is not None:
            batches = [range(i, min(i + size, len(names))) for i in range(0, len(names), size)]
            at = [b[len(b) // 2] if self.row.batch_key == "middle" else b[0] for b in batches]
            return at if first is None else [first, *(k for k in at if k != first)]
        return choose_keys([f.camera for f in self.views.frames], self.row.keys or DEFAULT_KEYS,
                           first)

    def style_keys(self, keys: list[int]) -> dict[int, np.ndarray]:
        """Index -> styled picture at the view's size."""
        done, pictures = self.there("key"), {}
        for k in keys:
            event = done.get(self.views.names[k])
            if event:
                pictures[k] = as_float(read_image(self.run.path / event["file"], "key view"))
            file = self.run.path / "keys_in" / f"{self._file(k)}.png"
            if not file.is_file():
                view = self.views[k]
                write_bytes(file, provenance.mark_picture_bytes(
                    encode_image(to_uint8(view.rgb)), ".png",
                    replace(self.what, made="view to be restyled")))
        views = [self.views[k] for k in keys]
        self.progress("styling key views", len(pictures) / len(keys))
        if hasattr(self.asker, "progress"):
            def within(fraction: float, words: str = "") -> None:
                self.progress("styling key views", (len(pictures) + fraction) / len(keys))
            self.asker.progress = within
        started = time.perf_counter()
        for position, picture in style_keys(self.asker, views, self.config, self.strength,
                                            lambda p: pictures.get(keys[p])):
            k = keys[position]
            self.save("key", self.views.names[k], f"keys_out/{self._file(k)}.png", picture,
                      seconds=round(time.perf_counter() - started, 2),
                      used=getattr(self.asker, "used", {}))
            pictures[k] = picture
            started = time.perf_counter()
            self.progress("styling key views", len(pictures) / len(keys))
        return pictures

    def _file(self, k: int) -> str:
        return self.views.names[k].replace("/", "_")

    # --- all views --------------------------------------------------------------------------------

    def style_all(self) -> list[dict]:
        """Every view by a stylist that looks at nothing but pixels."""
        done = self.there("frame")
        if len(done) < len(self.views) and hasattr(self.asker, "prepare"):
            step = max(1, len(self.views) // DEFAULT_KEYS)
            self.asker.prepare([self.views[k] for k in range(0, len(self.views), step)])

        def frame(k: int) -> Propagated:
            return Propagated(self.asker.stylize(self.views[k], self.config.prompt,
                                                 self.config.seed, self.strength))

        return self._frames(frame, "styling", done)

    def propagate(self, name: str, config: PropagateConfig, pictures: dict[int, np.ndarray]
                  ) -> list[dict]:
        """Every view from the styled ones."""
        done = self.there("frame")
        made = []

        def frame(k: int) -> Propagated:
            if not made:  # only where there is something to do
                # EbSynth's program need not be there where its folders are used
                kind = PROPAGATORS.find(name)
                load = kind.load_unchecked if config.ebsynth else kind.load
                made.append(load()(self.views, pictures, config))
            return made[0].frame(k)

        return self._frames(frame, "propagating", done)

    def _frames(self, make: Callable[[int], Propagated], step: str, done: dict) -> list[dict]:
        for k, frame in enumerate(self.views.frames):
            if frame.name not in done:
                started = time.perf_counter()
                out = make(k)
                image = self._composed(k, out)
                event = self.save("frame", frame.name, f"{frame.name}.png", image,
                                  seen=None if out.seen is None else round(out.seen, 4),
                                  seconds=round(time.perf_counter() - started, 3))
                done[frame.name] = event
            self.progress(step, len(done) / len(self.views))
        return [{k: v for k, v in done[f.name].items() if k not in ("kind", "sha256")}
                for f in self.views.frames]

    def _composed(self, k: int, made: Propagated) -> np.ndarray:
        """The picture to write: with alpha where the source has it."""
        view, rgb = self.views[k], to_uint8(made.rgb)
        if float(view.mask.min()) >= 1.0:
            return rgb
        alpha = to_uint8(view.mask if made.alpha is None else made.alpha)
        return np.dstack([np.where(alpha[..., None] > 0, rgb, 0), alpha])

    # --- measures ---------------------------------------------------------------------------------

    def measured(self, keys: list[int], propagate: PropagateConfig) -> dict:
        """Of the written pictures, see `measures.row_measures`."""
        self.progress("measuring", 0.0)
        pictures = _Written(self.run.path, self.views, 3)
        closed = is_closed(self.views, propagate.closed)
        found = measures.row_measures(self.views, pictures, _Written(
            self.run.path, self.views, 1), keys, closed, BACKGROUNDS[self.row.background])
        found["clip_direction"] = self._clip(pictures, keys)
        self.progress("measuring", 1.0)
        return found

    def _clip(self, pictures, keys):
        if not self.row.clip:
            return measures.clip_direction("", [], [], "", "")
        some = keys[:DEFAULT_KEYS]
        backdrop = np.asarray(BACKGROUNDS[self.row.background], np.float32)

        def shown(rgb, mask):
            return rgb * mask[..., None] + backdrop * (1 - mask[..., None])

        return measures.clip_direction(
            self.row.clip, [shown(self.views[k].source(), self.views[k].mask) for k in some],
            [shown(pictures[k], self.views[k].mask) for k in some], "a photo of a person",
            self.config.prompt)


class _Written:
    """The written pictures by index: (H, W, 3) colors, or with channels=1 (H, W) alpha."""

    def __init__(self, root: Path, views: DatasetViews, channels: int):
        self.root, self.views, self.channels = root, views, channels

    def __getitem__(self, k: int) -> np.ndarray:
        image = read_image(self.root / f"{self.views.frames[k].name}.png", "styled view")
        if self.channels == 3:
            return as_float(image)
        return np.ones(image.shape[:2], np.float32) if image.shape[2] == 3 else \
            image[..., 3].astype(np.float32) / 255

