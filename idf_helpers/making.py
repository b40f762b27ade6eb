"""One photo and one target: the stages that the target needs, in one run tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from .data.dataset import Dataset
from .data.inputs import as_dataset
from .data.media import is_image, is_video
from .errors import IdfError
from .exporting import export
from .exporting.config import ExportConfig
from .exporting.gallery import write_view
from .reconstruction import reconstruct
from .reconstruction.config import TrainingConfig
from .runtime.files import read_json
from .runtime.progress import Reporter
from .swapping.dataset import swap_dataset
from .swapping.image import swap_image
from .tracking.track import track

Kind = Literal["auto", "views", "talk", "picture"]


@dataclass(frozen=True)
class Made:
    """What `make` left.

    kind: what the target was taken for. files: what to look at, by name. metrics: of the
    reconstruction on held-out views; empty for a picture.
    """

    kind: str
    files: dict[str, Path]
    metrics: dict


def make(photo: str | Path, target: Dataset | str | Path,
         out: str | Path, config: TrainingConfig | None = None, view: ExportConfig | None = None,
         *, consent: str = "", kind: Kind = "auto", resume: bool = True,
         reporter: Reporter | None = None) -> Made:
    """Put the face of a photo into a target and make the avatar that the target allows.

    Views of a still head become a 3D head (swap, splats, page and video); a talking head, as a
    video or as a tracked dataset, becomes a 4D avatar (track, swap, avatar, page and video); a
    picture is swapped. Each stage has its folder in `out`; a second call goes on where the first
    stopped.

    Args:
        photo: the face to put in.
        target: dataset (or its folder, bundled name, .zip or URL), video of a talking head, or
            picture.
        out: the run tree: track/, swap/, splats/ or avatar/, view/, as far as they are needed.
        config: of the reconstruction.
        view: of the exports.
        consent: whose faces these are, and that they agreed; covers photo and target.
        kind: what to take the target for; auto: detected from the file.
        resume: go on with unfinished runs; --no-resume starts them again.
        reporter: takes word of the progress.

    Returns what was made. IdfError: as of each stage.
    """
    out, reporter = Path(out), reporter or Reporter()
    found = kind_of(target) if kind == "auto" else kind
    if found == "picture":
        reporter.stage(f"1/1 swap    into the picture {target}")
        path = swap_image(target, photo, out / "swap", consent=consent, resume=resume,
                          reporter=reporter)
        return Made(found, {path.name: path}, {})
    video = found == "talk" and not isinstance(target, Dataset) and is_video(Path(target))
    stages = Stages(reporter, 3 + video)
    if video:
        stages.begin("track", f"the face in {target}")
        target = track(cast(Path, target), out / "track", resume=resume, reporter=reporter)
    data = as_dataset(target, reporter)
    stages.begin("swap", f"photo {Path(photo).stem} into {len(data.frames)} views")
    swapped = swap_dataset(data, photo, out / "swap", consent=consent, resume=resume,
                           reporter=reporter)
    method, run = ("avatar", out / "avatar") if found == "talk" else ("splats", out / "splats")
    stages.begin(method, "training" if config is None else config.describe())
    reconstruct(swapped, run, method, config, resume=resume, reporter=reporter)
    stages.begin("view", "video, page and model")
    view = view or ExportConfig(clean=found == "views")
    files = {f"avatar.{suffix}": export(run, out / "view" / f"avatar.{suffix}", config=view,
                                        reporter=reporter) for suffix in ("html", "mp4", "png")} \
        if found == "talk" else write_view(run, out / "view", view, swap=(data, swapped),
                                           reporter=reporter)
    return Made(found, files, read_json(run / "metrics.json", "metrics file"))


class Stages:
    """Reports the stages of one job by number: "2/3 splats  ..."."""

    def __init__(self, reporter: Reporter, total: int):
        self.reporter, self.total, self.done = reporter, total, 0

    def begin(self, name: str, details: str) -> None:
        """Report that a stage begins."""
        self.done += 1
        self.reporter.stage(f"{self.done}/{self.total} {name:7} {details}")


def kind_of(target: Dataset | str | Path) -> str:
    """Return the kind of a target: "views", "talk" or "picture". IdfError: none of these."""
    if not isinstance(target, Dataset):
        path = Path(target)
        if path.is_file() and is_video(path):
            return "talk"
        if path.is_file() and is_image(path):
            return "picture"
        target = as_dataset(target)
    if not target.train:
        raise IdfError(f"{target.root} holds no training frames", "an empty training split",
                       "give a dataset with pictures and cameras")
    return "talk" if target.train[0].expression is not None else "views"
