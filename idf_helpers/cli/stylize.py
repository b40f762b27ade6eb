"""`idf stylize` and `idf loop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ..errors import IdfError
from ..stylization.config import LoopConfig, PropagateConfig, RowConfig, StylizeConfig
from .shared import Flat, open_dataset


def stylize(dataset: Positional[Path], out: Path, stylist: str = "",
            config: Annotated[StylizeConfig, Flat] = StylizeConfig(),  # noqa: B008
            row: Annotated[RowConfig, Flat] = RowConfig(),  # noqa: B008
            propagate: Annotated[PropagateConfig, Flat] = PropagateConfig(),  # noqa: B008
            depth_model: Path | None = None, resume: bool = True) -> None:
    """Restyle all views of a dataset: key views by a stylist, the others from them.

    Args:
        dataset: dataset folder.
        out: run folder; it is itself a dataset afterwards.
        stylist: preset, exemplar, diffusers, a1111 or comfyui; never chosen for you.
        depth_model: a reconstruction of this head (run folder or model file); without one splats
            are trained where depth is needed.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..runtime.files import read_record
    from ..runtime.progress import Line
    from ..stylization.dataset import REPORT, stylize_dataset
    from ..stylization.propagators.ebsynth import Waiting
    from ..stylization.stylist import stylist_class

    stylist_class(stylist, config.checked())
    data, line = open_dataset(dataset), Line()
    try:
        styled = stylize_dataset(data, out, stylist, config, row=row, propagate=propagate,
                                 model=depth_model, resume=resume, progress=line)
    except Waiting as waiting:
        line.close()
        print(waiting)
        return
    line.close()
    report = read_record(out / REPORT, ("measures", "propagator", "seconds"), "report")
    print(_measures(report["measures"]))
    print(f"propagated by {report['propagator']}; {report['seconds']:.1f} s\n{styled.describe()}")


def loop(main_folder: Annotated[Positional[Path | None], arg(metavar="MAIN_FOLDER")] = None,
         text: Annotated[Positional[str | None], arg(metavar="PROMPT")] = None,
         stylist: str = "", out: Path | None = None,
         config: Annotated[StylizeConfig, Flat] = StylizeConfig(),  # noqa: B008
         plan: Annotated[LoopConfig, Flat] = LoopConfig(),  # noqa: B008
         propagate: Annotated[PropagateConfig, Flat] = PropagateConfig(),  # noqa: B008
         keys: int | None = None, batch_size: int | None = None, sides: int | None = None,
         resolution: int | None = None, output_resolution: int | None = None,
         border_frames: int | None = None,
         ebsynth_mode: Literal["true", "false", "True", "False", "1", "0"] = "true",
         background: Literal["white", "gray", "black"] = "white", depth_s: float = 60.0,
         clip: str = "") -> None:
    """Restyle, fit splats, render, and restyle that again: `idf loop MAIN_FOLDER "PROMPT"`, or
    with --main_folder and --prompt. Flags of the original scripts keep their meaning.

    Args:
        main_folder: the paper's folder (iter0.mp4, train_main/, transforms_train_main.json) or any
            dataset; a missing iter0.mp4 is made from the pictures.
        text: the prompt.
        stylist: preset, exemplar, diffusers, a1111 or comfyui; never chosen for you.
        out: where iterN/ and iterN.mp4 are written; default: MAIN_FOLDER.
        keys: how many views the stylist gets; default: all for preset, else 8.
        batch_size: in place of keys: one view out of so many in a row.
        sides: so many key views on a side of one sheet (mode grid).
        resolution: longer side in pixels of what the stylist works on; with --sides, of the sheet.
        output_resolution: longer side of the styled views in pixels; default: as they are.
        border_frames: overlap of the original's sheets; all views are made from all keys here, so
            that there is nothing to overlap. Accepted, without effect.
        ebsynth_mode: with --batch_size: the middle view of each batch (true), or its first.
        background: what lies behind the head in what the stylist gets.
        depth_s: seconds of training for the splats that give the depth, where it is needed.
        clip: local folder of a CLIP model, for the measure of the prompt's effect.
    """
    from dataclasses import replace

    from ..runtime.files import read_record
    from ..runtime.progress import Line
    from ..stylization.loop import loop
    from ..stylization.propagators.ebsynth import Waiting

    if main_folder is None:
        raise IdfError("It is not said which folder to work on", "no MAIN_FOLDER",
                       'idf loop MAIN_FOLDER "PROMPT" --stylist NAME')
    if text is not None and config.prompt:
        raise IdfError("The prompt is given twice", f"{text!r} and {config.prompt!r}",
                       "give it once")
    config = replace(config, prompt=text or config.prompt, size=config.size or resolution)
    if sides is not None:
        config = replace(config, mode="grid", grid=sides)
    row = RowConfig(keys=keys, batch=batch_size, resolution=output_resolution,
                    batch_key="middle" if ebsynth_mode.lower() in ("true", "1") else "first",
                    background=background, depth_s=depth_s, clip=clip)
    line = Line()

    def say(text: str) -> None:
        line.close()
        print(text, flush=True)

    try:
        video = loop(main_folder, stylist, config, plan, row=row, propagate=propagate, out=out,
                     progress=line, say=say)
    except Waiting as waiting:
        say(str(waiting))
        return
    line.close()
    for n in range(plan.start + 1, plan.end + 1):
        report = read_record(video.parent / f"iter{n}" / "report.json", ("measures", "strength"),
                             "report")
        print(f"iteration {n}, strength {report['strength']:g}: {_measures(report['measures'])}")
    print(f"written: {video}")


def _measures(measures: dict) -> str:
    named = {"warp_error_neighbors": "warp error between neighbors {:.2f} levels",
             "warp_error_eighth": "an eighth of the turn apart {:.2f}",
             "sharpness_of_keys": "sharpness {:.2f} of the key views'",
             "splats_psnr": "splats {:.1f} dB on held-out views"}
    return ", ".join(t.format(measures[k]) for k, t in named.items()
                     if isinstance(measures.get(k), float)) or "nothing to measure"
