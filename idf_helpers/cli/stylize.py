"""`idf stylize` and `idf loop`: their flags, and what is printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..data.dataset import Dataset
from ..reconstruction.config import TrainingConfig
from ..runtime.files import read_record
from ..runtime.progress import Reporter
from ..stylization.config import KeyViewConfig, LoopConfig, StylizeConfig

Background = Literal["white", "gray", "black"]


def stylize(data: Dataset | str | Path, out: Path, stylist: str = "",
            config: StylizeConfig | None = None, *, keys: int | None = None,
            resolution: int | None = None, background: Background = "white",
            propagator: str = "auto", depth: str = "60", resume: bool = True,
            reporter: Reporter | None = None) -> None:
    """Restyle all views of a dataset: key views by a stylist, the others from them.

    Args:
        data: dataset folder.
        out: run folder; it is itself a dataset afterwards.
        stylist: who restyles the key views; never chosen for you.
        config: of the stylist.
        keys: how many views the stylist gets; default: all for preset, else 8.
        resolution: longer side of the pictures in pixels; default: as they are.
        background: what lies behind the head in what the stylist gets.
        propagator: auto, geometry, flow, patchmatch, ebsynth (its program) or ebsynth:FOLDER (its
            window program: keys/ and frames/ are written there, out_*/ read back).
        depth: a reconstruction of this head (run folder or model file), or the seconds of training
            for splats that give the depth, where it is needed; a `preset` takes a third of them.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.
    """
    from ..stylization import dataset as stage  # numba, which help does not need
    from ..stylization.measures import in_words
    from ..stylization.propagators.ebsynth import Waiting

    views = KeyViewConfig(keys=keys, resolution=resolution, background=background)
    try:
        seconds: float | None = float(depth)
    except ValueError:
        seconds = None
    try:
        styled = stage.stylize(
            data, out, stylist, config, views=views, propagator=propagator, resume=resume,
            depth=depth if seconds is None else TrainingConfig(budget_s=seconds).checked(),
            reporter=reporter)
    except Waiting as waiting:
        print(waiting)
        return
    report = read_record(out / stage.REPORT, ("measures", "propagator", "seconds"), "report")
    print("; ".join(in_words(report["measures"])))
    print(f"propagated by {report['propagator']}; {report['seconds']:.1f} s\n{styled.describe()}")


def loop(main_folder: Path, out: Path | None = None, stylist: str = "",
         config: StylizeConfig | None = None, *, start: int = 0, end: int = 1,
         strength: tuple[float, ...] = (), fps: float = 30.0, max_frames: int | None = None,
         batch_size: int | None = None,
         ebsynth_mode: Literal["true", "false", "True", "False", "1", "0"] = "true",
         output_resolution: int | None = None, background: Background = "white",
         propagator: str = "auto", splat_s: float = 30.0, splat_iterations: int | None = None,
         splat_resolution: int | None = 256, reporter: Reporter | None = None) -> None:
    """Restyle, fit splats, render, and restyle that again: `idf loop MAIN_FOLDER "PROMPT"`, or
    with --main_folder and --prompt. Flags of the original scripts keep their meaning.

    Args:
        main_folder: the paper's folder (iter0.mp4, train_main/, transforms_train_main.json) or any
            dataset; a missing iter0.mp4 is made from the pictures.
        out: where iterN/ and iterN.mp4 are written; default: MAIN_FOLDER.
        stylist: who restyles the key views; never chosen for you.
        config: of the stylist; --resolution is another name of --size, --sides 4 of --mode 4x4.
        start: number of the video that it starts from, iter<start>.mp4.
        end: number of the last video that it makes.
        strength: how far from the source a picture may go, in (0, 1]: of the first iteration, the
            later ones take 0.75 and 0.6 of it; or one for each, the last one for all that follow.
        fps: frames a second of the videos.
        max_frames: only so many views, evenly spread.
        batch_size: the stylist gets one view out of so many successive ones; default: all for
            preset, else 8 of them.
        ebsynth_mode: with --batch_size: the middle view of each batch (true), or its first.
        output_resolution: longer side of the styled views in pixels; default: as they are.
        background: what lies behind the head in what the stylist gets.
        propagator: as in `idf stylize`.
        splat_s: seconds of training of the first views' splats, which give the depth; those of each
            iteration are these, refitted in a few hundred steps.
        splat_iterations: the same in training steps, in place of the seconds.
        splat_resolution: longer side in pixels at which splats are trained.
        reporter: takes word of the progress.
    """
    from ..stylization import loop as loops
    from ..stylization.measures import in_words
    from ..stylization.propagators.ebsynth import Waiting

    splats = TrainingConfig(splat_iterations, None if splat_iterations else splat_s,
                            splat_resolution)
    if len(strength) == 1 and config is not None:
        config, strength = replace(config, strength=strength[0]), ()
    views = KeyViewConfig(None, batch_size,
                          "middle" if ebsynth_mode.lower() in ("true", "1") else "first",
                          output_resolution, background)
    try:
        video = loops.loop(main_folder, stylist, config,
                           LoopConfig(start, end, strength, fps, max_frames, splats),
                           views=views, propagator=propagator, out=out, reporter=reporter)
    except Waiting as waiting:
        print(waiting)
        return
    for n in range(start + 1, end + 1):
        report = read_record(video.parent / f"iter{n}" / "report.json", ("measures", "strength"),
                             "report")
        print(f"iteration {n}, strength {report['strength']:g}: "
              f"{'; '.join(in_words(report['measures']))}")
    print(f"written: {video}")
