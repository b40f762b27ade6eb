"""The avatar stage: a sequence with poses and expressions in, a run folder with an avatar out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from ... import catalogue as backends
from ... import provenance
from ...data.dataset import Dataset
from ...data.media import write_image
from ...errors import IdfError, shorten
from ...face.downloads import FACE_LANDMARKS
from ...provenance.lineage import copy_consent, mark_of
from ...runtime import download
from ...runtime.files import read_json, write_json
from ...runtime.machine import peak_rss_mb
from ...runtime.runs import RunFolder, read_manifest
from ..trainer import Progress
from .basis import FILE, BlendAvatar
from .config import AvatarConfig, NerfaceConfig
from .evaluate import evaluate_avatar
from .pictures import edit_strip, held_out_sheet
from .scene import AvatarScene
from .source import FrameSource, gaps, hold_out_last
from .train import build_mattes, fit

STATIC = "static.npz"  # the baseline, where it was asked for
KEPT = (FILE, "metrics.json")  # what a finished run must still hold
METRICS = ("psnr", "ssim", "views", "num_gaussians", "iterations", "seconds")
MADE = "4D avatar"


def train_avatar(dataset: Dataset, out, config: AvatarConfig | None = None, *,
                 backend: str = "auto", resume: bool = True, baseline: bool = False,
                 progress: Callable[[Progress], None] | None = None,
                 nerface: NerfaceConfig | None = None,
                 say: Callable[[str], None] = lambda line: None,
                 step: Callable[[str, float], None] = lambda what, fraction: None):
    """Trains an avatar on `dataset` and leaves in the run folder `out`:

    avatar.npz (see `basis`), metrics.json, per_view.json, held_out.jpg (pictures above, renders
    below), expressions.jpg, consent.json where the dataset has one; with `baseline` static.npz, a
    model that cannot move, trained as long, for comparison.

    nerface: further settings of that backend. say: called with lines for people. step: progress of
    what comes before the training. A finished run of the same inputs and settings is read back.
    IdfError: bad input (see `source`), poses that do not fit the pictures, diverged training,
    `RunFolder`.
    """
    config = (config or AvatarConfig()).checked()
    chosen, why = backends.choose("avatar", backend)
    if trainer := chosen.load_trainer():
        return trainer(dataset, out, config, resume=resume, progress=progress, say=say,
                       options=nerface)
    rasterizer = chosen.load()
    data = dataset if config.holdout_last is None else hold_out_last(dataset, config.holdout_last)
    settings = asdict(config) | {"baseline": baseline}
    with RunFolder(out, stage="avatar", backend=chosen.name, config=settings,
                   inputs=dataset.fingerprint(), resume=resume) as run:
        kept = (*KEPT, *([STATIC] if baseline else []))
        if run.finished and all((run.path / name).is_file() for name in kept):
            return load_scene(run.path)
        notes = list(check_input(data, config, say))
        cache = run.path / "cache"
        source = FrameSource(
            data, data.train, cache / "frames", config.resolution, background=config.background,
            smooth=config.smooth,
            progress=lambda n: step("reading frames", n / max(len(data.train), 1)))
        mattes = build_mattes(source, cache / "mattes")
        scene = fit(source, mattes.array()[..., 0], config, run=run, rasterizer=rasterizer(),
                    progress=progress)
        static = None
        if baseline:
            static = _static(run, source, mattes, config, rasterizer, progress)
        metrics = evaluate_avatar(scene, data.test, config.resolution, static)
        what = mark_of(dataset.root, run.run_id, MADE)
        with provenance.marked(run.path / FILE, what) as temporary:
            scene.avatar.save(temporary)
        copy_consent(dataset.root, run.path)
        write_json(run.path / "per_view.json", [f.row() for f in metrics.frames])
        own = [f for f in metrics.frames if f.model == "avatar"]
        captions = [f"{Path(f.name).name} {f.psnr:.1f} dB" for f in own]
        for name, sheet in (("held_out.jpg", held_out_sheet(scene, list(data.test), captions,
                                                            config.resolution)),
                            ("expressions.jpg", edit_strip(scene, resolution=config.resolution))):
            with provenance.marked(run.path / name, what) as temporary:
                write_image(temporary, sheet)
        run.finish(metrics.summary() | {
            "num_gaussians": scene.training["num_gaussians"], "moving": scene.training["moving"],
            "iterations": scene.training["iterations"], "seconds": scene.training["seconds"],
            "peak_rss_mb": round(peak_rss_mb(), 1)},
            why=why, consent=what.consent, made=what.made, source_type=what.source_type,
            background=list(scene.background), notes=notes)
        source.pictures = None  # unmapped before it is deleted, as Windows wants it
        shutil.rmtree(cache, ignore_errors=True)
    return scene


def _static(run, source, mattes, config, rasterizer, progress) -> AvatarScene:
    """The baseline: the same recipe without an expression."""
    path = run.path / STATIC
    if path.is_file() and run.resumed:
        return AvatarScene(BlendAvatar.load(path), rasterizer())
    still = replace(config, rank=0)
    scene = fit(source, mattes.array()[..., 0], still, rasterizer=rasterizer(), progress=progress)
    scene.avatar.save(path)
    return scene


def check_input(data: Dataset, config: AvatarConfig, say: Callable[[str], None]) -> list[str]:
    """Says what is odd about the sequence; IdfError for what training would be lost on."""
    notes = [n for n in data.notes if "held out" in n] if config.holdout_last else []
    holes = gaps(list(data.frames))  # of all splits: what another split holds is not missing
    if holes:
        notes.append(f"frames are missing in the middle of the sequence: "
                     f"{shorten(f'{a + 1} to {b - 1}' for a, b in holes)}; trained on those there "
                     "are")
    if config.check_poses:
        notes += _check_poses(data)
    for note in notes:
        say(f"note: {note}")
    return notes


def _check_poses(data: Dataset) -> list[str]:
    """Whether a face lies where the poses say, before an hour is lost on them."""
    if not download.is_present(FACE_LANDMARKS):
        return ["poses and pictures were not compared: the face models are not here "
                "(idf download face_landmarks)"]
    from ...tracking.overlay import check_poses

    try:
        report = check_poses(data.train)
    except IdfError as error:  # no face large enough to look at: told, not a reason to stop
        return [f"poses and pictures were not compared: {error.found}"]
    return [report.require().text()]


# --- reading back ---------------------------------------------------------------------------------

def load_scene(path, rasterizer=None) -> AvatarScene:
    """The avatar of a run folder, or of an avatar.npz."""
    path = Path(path)
    if (path / "run.json").is_file():
        manifest = read_manifest(path)
        if manifest.get("backend") == "nerface":
            from ..upstream.nerface.run import load_upstream

            return load_upstream(path)
    return AvatarScene(BlendAvatar.load(path), rasterizer)


def mark_of_model(path) -> provenance.Mark:
    """The mark for what is exported from a run folder."""
    manifest = read_manifest(path)
    return provenance.Mark(manifest["run_id"], manifest.get("made", MADE),
                           manifest.get("source_type", "compositeSynthetic"),
                           manifest.get("consent", ""))


def writers() -> dict[str, Callable]:
    """The export formats of avatars, see `reconstructions`."""
    from ...exporting.avatar_formats import WRITERS

    return WRITERS


def evaluate(path, dataset: Dataset, resolution: int | None = None) -> list[dict]:
    """Table rows: the test frames, and the means of the avatar and its baselines."""
    path = Path(path)
    settings = read_manifest(path)["config"]
    if settings.get("holdout_last"):
        dataset = hold_out_last(dataset, int(settings["holdout_last"]))
    scene = load_scene(path)
    static = None
    if (path / STATIC).is_file():
        static = AvatarScene(BlendAvatar.load(path / STATIC))
    metrics = evaluate_avatar(scene, dataset.test, resolution, static)
    rows = [f.row() for f in metrics.frames if f.model == "avatar"]
    for model in metrics.models:
        rows.append({"model": model, "view": "mean"} | {
            k: metrics.mean(model, k) for k in ("psnr", "ssim", "psnr_head", "psnr_moving")})
    return rows


def read_metrics(folder) -> dict:
    """metrics.json of a run; IdfError where it is damaged."""
    value = read_json(Path(folder) / "metrics.json", "metrics file")
    lacking = [k for k in METRICS if not isinstance(value, dict) or k not in value]
    if lacking:
        raise IdfError(f"The metrics of {folder} are damaged", f"no {', '.join(lacking)}",
                       "delete that folder and run the stage again")
    return value
