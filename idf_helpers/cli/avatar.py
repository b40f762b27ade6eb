"""`idf avatar` and `idf reenact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..errors import IdfError
from ..reconstruction.avatar.config import AvatarConfig, NerfaceConfig, ReenactConfig
from .shared import Flat, open_dataset


def avatar(dataset: Positional[Path], out: Path, backend: str = "auto",
           config: Annotated[AvatarConfig, Flat] = AvatarConfig(),  # noqa: B008
           nerface: NerfaceConfig = NerfaceConfig(),  # noqa: B008
           swap: Path | None = None, consent: str = "", baseline: bool = False,
           resume: bool = True) -> None:
    """Train an avatar with movable expressions on a sequence of a talking head.

    Args:
        dataset: NeRFace folder: frames with pose and expression, e.g. the output of `idf track`.
        out: run folder: avatar.npz, metrics.json, held_out.jpg, expressions.jpg.
        backend: auto, or a name of `idf doctor`.
        nerface: for the backend nerface only.
        swap: photo whose face is put into every frame first; the swapped sequence goes to
            OUT-swap.
        consent: for --swap: whose faces these are, and that they agreed.
        baseline: train a model that cannot move as well, equally long, for comparison.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..reconstruction.avatar.run import read_metrics, train_avatar
    from ..runtime.progress import Line

    data, line = open_dataset(dataset), Line()
    if swap is None and consent:
        raise IdfError("A consent without a photo to swap in", consent[:60], "add --swap PHOTO")
    if swap is not None:
        from ..swapping.dataset import swap_dataset

        data = swap_dataset(data, swap, out.with_name(out.name + "-swap"), consent=consent,
                            resume=resume, progress=line)
        line.close()
        print(f"swapped: {data.describe()}")
    train_avatar(data, out, config, backend=backend, resume=resume, baseline=baseline,
                 nerface=nerface,
                 progress=line.training, say=lambda text: print(f"  {text}", flush=True), step=line)
    line.close()
    m = read_metrics(out)

    def decibels(part):
        def show(key):
            return "-" if part.get(key) is None else f"{part[key]:.2f}"
        return f"{show('psnr')} dB, head {show('psnr_head')}, what moves {show('psnr_moving')}"

    print(f"{decibels(m)} on {m['views']} held-out frames; {m['num_gaussians']} Gaussians, "
          f"{m['iterations']} iterations in {m['seconds']:.0f} s")
    for name, what in (("shuffled", "with other frames' expressions"),
                       ("static", "a model that cannot move")):
        if name in m:
            print(f"  {what}: {decibels(m[name])}")
    print(f"look at: {out / 'held_out.jpg'}, {out / 'expressions.jpg'}")


def reenact(run: Positional[Path], driver: Path, out: Path,
            config: Annotated[ReenactConfig, Flat] = ReenactConfig(),  # noqa: B008
            resume: bool = True) -> None:
    """Move an avatar by another sequence; writes a video of driver and avatar side by side.

    Args:
        run: folder of `idf avatar`.
        driver: dataset with expressions of the same names, e.g. the output of `idf track`.
        out: run folder: reenactment.mp4.
        resume: --no-resume writes a finished video again.
    """
    from ..exporting.reenact import reenact as run_reenact
    from ..runtime.progress import Line

    data, line = open_dataset(driver), Line()
    path = run_reenact(run, data, out, config, resume=resume, progress=line)
    line.close()
    print(f"written: {path}")


def express(run: Positional[Path], out: Path,
            set_: Annotated[tuple[str, ...], arg(name="set")] = (),
            resolution: int | None = None) -> None:
    """A picture or a .ply of an avatar at an expression of your own.

    Args:
        run: folder of `idf avatar`.
        out: .png or .jpg for a picture, .ply for a model frozen at that expression.
        set_: values by name, such as jawOpen=0.6 eyeBlink=1; none: the neutral face.
        resolution: longer side of the picture in pixels; default: as it was trained.
    """
    from ..exporting.expression import parse_values, write_expression

    print(f"written: {write_expression(run, out, parse_values(set_), resolution)}")


COMMANDS = {"avatar": avatar, "reenact": reenact, "express": express}
