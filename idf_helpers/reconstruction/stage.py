"""The one function that trains, and the ones that read back what it left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..data.media import write_image
from ..data.moments import check_still
from ..errors import IdfError, nearest
from ..provenance import Consent, Mark, marked
from ..provenance.lineage import copy_consent, inputs_of, mark_of, mark_of_run
from ..provenance.watermark import payload_of
from ..runtime.files import write_json
from ..runtime.machine import peak_rss_mb
from ..runtime.progress import Reporter
from ..runtime.registry import Entry
from ..runtime.runs import RunFolder, read_manifest
from ..scene import Scene
from .config import TrainingConfig
from .method import Method
from .methods import METHODS
from .sequence_of import as_sequence
from .splats import model_file


def reconstruct(data: Dataset | str | Path, out: str | Path, method: str = "splats",
                config: TrainingConfig | None = None, *, resume: bool = True,
                reporter: Reporter | None = None) -> Scene:
    """Train a scene on a dataset; leave it, its measures and pictures of both in a run folder.

    A finished run of the same inputs and settings is read back.

    Args:
        data: views of a head: a dataset, its folder, a bundled name, a .zip or a URL of one. For
            avatars: a talking head with poses and expressions, or a video of one, which is tracked
            first, into OUT-track.
        out: the run folder. Left in it: the model in the method's own format (marked),
            metrics.json, per_view.json, held_out.jpg (pictures above, renders below), and
            consent.json where the dataset has one.
        method: "splats", "nerf" or "avatar" for the best that runs here; "splats:cpu" and the like
            for a certain one (`idf doctor` lists them).
        config: the method's own settings; None = its defaults.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.

    Returns the scene. IdfError: bad input or settings, another run in the folder, a diverged
    training, something missing for the method.
    """
    entry, why = choose_method(method)
    chosen: Method = entry.load()
    config = chosen.checked(config)
    if chosen.stage == "avatar":
        out = Path(out)
        data = as_sequence(data, out.with_name(out.name + "-track"), config.resolution,
                           resume=resume, reporter=reporter)
    else:
        data = as_dataset(data, reporter)
        check_still(data)
    reporter = reporter or Reporter()
    with RunFolder(out, stage=chosen.stage, backend=chosen.name, config=config.identity(),
                   inputs=data.fingerprint(), resume=resume,
                   defaults=type(config)().identity()) as run:
        if run.finished and (run.path / "metrics.json").is_file() and chosen.is_complete(
                run.path, config):
            return chosen.load(run.path, run.manifest)
        scene = chosen.fit(data, config, run, reporter)
        mark = mark_of(data, run.run_id, chosen.made, chosen.source_type)
        mark = replace(mark, inputs=inputs_of(run.manifest, Consent.read(data.root)),
                       payload=payload_of(run.manifest["identity"]))
        scene = chosen.watermarked(scene, mark.payload)
        reporter.step("measuring on held-out views", 0.0)
        metrics = chosen.measure(scene, data, config)
        chosen.save(scene, run, mark)
        copy_consent(data.root, run.path, mark.consent)
        write_json(run.path / "per_view.json", metrics.rows())
        reporter.step("drawing what was held out", 0.0)
        for name, picture in chosen.sheets(scene, data, config, metrics).items():
            with marked(run.path / name, mark) as temporary:
                write_image(temporary, mark.watermarked(picture))
        chosen.finish(scene, data, run)
        training = dict(scene.training)
        notes = training.pop("notes", [])
        run.finish(metrics.summary() | chosen.counts(scene) | {
            "iterations": training["iterations"], "seconds": training["seconds"],
            "peak_rss_mb": round(peak_rss_mb(), 1)},
            why="; ".join([why, *notes]), notes=notes, consent=mark.consent, made=mark.made,
            source_type=mark.source_type, background=list(scene.background))
    return scene


def choose_method(method: str) -> tuple[Entry, str]:
    """Return the entry of "stage" or "stage:name", and one line saying why it was chosen."""
    stage, _, name = method.partition(":")
    if stage not in METHODS:
        raise IdfError(f"There is no reconstruction called `{stage}`",
                       method + nearest(stage, METHODS),
                       f"use one of: {', '.join(METHODS)}, or STAGE:METHOD")
    return METHODS[stage].choose(name or "auto")


def method_of(manifest: dict, folder: Path) -> Method:
    """Return the method that made a run. IdfError where the run holds no scene."""
    stage = manifest.get("stage")
    if stage not in METHODS:
        raise IdfError(f"{folder} holds no scene", f"a run folder of the stage `{stage}`",
                       f"give one of the stages {', '.join(METHODS)}, or a splat file")
    return METHODS[stage].find(str(manifest.get("backend"))).load_unchecked()


def load(path: str | Path, up: str = "auto") -> Scene:
    """Return the scene of a run folder, or of a model made elsewhere.

    path: run folder, folder that graphdeco's trainer left, splat file of any format. up: the axis
    of a splat file that points up (x, -x, y, ...); "auto": as it says, else as faces in it stand.
    IdfError where it is none of them.
    """
    folder = run_folder_of(path)
    if folder is None or model_file.is_model(path):
        return model_file.load_scene(path, up=up)
    if up != "auto":
        raise IdfError("Only a splat file is told which axis is up", f"{path} is a run folder",
                       "leave --up out")
    manifest = read_manifest(folder)
    return method_of(manifest, folder).load(folder, manifest)


def mark_of_model(path: str | Path) -> Mark:
    """Return the mark for what is exported from a scene that `load` reads.

    It repeats what the run says of how it was made, or else what the file's own comment says.
    """
    folder = run_folder_of(path)
    if folder is None or read_manifest(folder).get("stage") not in METHODS:
        return model_file.mark_of_file(path)
    return mark_of_run(folder, method_of(read_manifest(folder), folder).made)


def run_folder_of(path: str | Path) -> Path | None:
    """Return the run folder that is, or holds, a path; None where it is no run's."""
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    return folder if (folder / "run.json").is_file() else None
