"""One photo and one target: the stages that the target needs, in one run tree."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..capturing.capture import capture
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.media import read_image, write_image
from ..data.moments import moves
from ..errors import IdfError
from ..exporting.config import ExportConfig
from ..exporting.gallery import write_avatar_view, write_view
from ..provenance import marked
from ..provenance.lineage import copy_consent, mark_of_run
from ..reconstruction import choose_method, reconstruct
from ..reconstruction.config import TrainingConfig
from ..reconstruction.sequence_of import as_sequence
from ..runtime.files import read_json, sha256_bytes, write_error
from ..runtime.progress import Reporter
from ..swapping.dataset import swap_dataset
from ..swapping.image import swap_image
from ..swapping.job import check_swap, photo_bytes
from .config import MakeConfig
from .doubts import Clip
from .probe import look_at
from .report import Report
from .target import NAMES, Target, check_place, open_target

Kind = Literal["auto", "turn", "talk", "views", "picture"]
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


@dataclass(frozen=True)
class Made:
    """What `make` left.

    kind: what the target was taken for. files: what to look at, by name. metrics: of the
    reconstruction on held-out views; empty for a picture. doubts: plain sentences on what may have
    gone wrong, each with where to look.
    """

    kind: str
    files: dict[str, Path]
    metrics: dict
    doubts: tuple[str, ...] = ()


def make(photo: str | Path, target: Dataset | str | Path,
         out: str | Path, config: MakeConfig | TrainingConfig | None = None,
         view: ExportConfig | None = None,
         *, consent: str = "", kind: Kind = "auto", resume: bool = True,
         reporter: Reporter | None = None) -> Made:
    """Put the face of a photo into a target and make the avatar that the target allows.

    A video or photos of a turn round a still head become a 3D head (capture, swap, splats), and so
    do views with cameras (swap, splats); a video of a talking head, or a tracked dataset, becomes a
    4D avatar (track, swap, avatar); a picture is swapped. Each stage has its folder in `out`; a
    second call goes on where the first stopped.

    Args:
        photo: the face to put in.
        target: video, folder of photos, picture, or dataset (its folder, bundled name, .zip or
            URL).
        out: the run tree: capture/ or track/, swap/, splats/ or avatar/, view/, as far as they are
            needed; report.md says what came of it and what to doubt.
        config: how long the reconstruction is trained, and how fine; from Python also the settings
            of its method.
        view: of the exports.
        consent: whose faces these are, and that they agreed; covers photo and target.
        kind: what the target is: turn, talk (a talking head), views (a dataset with cameras) or
            picture; auto: looked at.
        resume: go on with unfinished runs; --no-resume starts them again.
        reporter: takes word of the progress.

    Returns what was made. IdfError: as of each stage; a target without a face or with two people;
    another photo or target in `out`; a full disk.
    """
    out, reporter = Path(out), reporter or Reporter()
    with _disk_errors(out):
        given = open_target(target, reporter)
        check_place(out, given)
        if given.footage is not None:  # before minutes of work, not after
            check_swap(photo, consent, given.footage.path)
        report = Report.begin(out, {"photo_sha256": sha256_bytes(photo_bytes(photo)),
                                    "target": given.fingerprint()}, Path(photo).name, given.name,
                              kind)
        try:
            report.kind = found = _kind(given, kind, report, reporter)
            job = _Job(photo, out, config, view, consent, resume, reporter, report)
            return {"picture": job.picture, "views": job.views, "turn": job.turn,
                    "talk": job.talk}[found](given)
        except IdfError:
            report.abandon()
            raise


def _kind(target: Target, told: str, report: Report, reporter: Reporter) -> str:
    """Return the kind of the target, and report it. IdfError where it cannot be what was told."""
    fits = {"dataset": ("views", "talk"), "picture": ("picture",), "footage": ("turn", "talk")}
    if told != "auto" and told not in fits[target.form]:
        raise IdfError(f"{target.name} cannot be taken for {NAMES[told]}",
                       {"dataset": "a dataset", "picture": "a picture",
                        "footage": "footage without cameras"}[target.form],
                       f"leave --as out, or say one of: {', '.join(fits[target.form])}")
    if target.footage is not None:
        report.clip = Clip(0.0 if target.footage.pictures else target.footage.fps)
        look = report.look
        if look is None:
            look, sheet = look_at(target.footage, None if told == "auto" else told,  # type: ignore
                                  reporter)
            report.looked(look, sheet)
        reporter.stage(f"{target.name}: {NAMES[look.kind]}"
                       + (f" ({look.why})" if told == "auto" else ", as you said"))
        if told == "auto":
            reporter.note(look.otherwise)
        for doubt in look.doubts:
            reporter.note(doubt)
        return look.kind
    if target.form == "picture":
        return "picture"
    talks = target.dataset is not None and moves(target.dataset.frames)
    found = told if told != "auto" else "talk" if talks else "views"
    reporter.note(f"{target.name}: {NAMES[found]}")
    return found


@dataclass(frozen=True, eq=False)
class _Job:
    """One call of `make`: each kind of target is a method."""

    photo: str | Path
    out: Path
    config: MakeConfig | TrainingConfig | None
    view: ExportConfig | None
    consent: str
    resume: bool
    reporter: Reporter
    report: Report

    def picture(self, target: Target) -> Made:
        self.report.stages = ("swap",)
        self._stage("swap", f"into the picture {target.name}")
        path = swap_image(target.path, self.photo, self.out / "swap",
                          consent=self.consent, resume=self.resume, reporter=self.reporter)
        sheet = self.out / "before_after.png"
        if not sheet.is_file():
            pictures = [read_image(target.path), read_image(path)]
            mark = mark_of_run(self.out / "swap", "face swap, before and after")
            with marked(sheet, mark) as temporary:
                write_image(temporary, mark.watermarked(contact_sheet(pictures, 2, cell=512)))
            copy_consent(self.out / "swap", self.out)
        return self._done({path.name: path, sheet.name: sheet}, {})

    def turn(self, target: Target) -> Made:
        self.report.stages = ("capture", "swap", "splats", "view")
        self._stage("capture", f"the cameras of {target.name}")
        data = capture(target.path, self.out / "capture",  # type: ignore[arg-type]
                       resume=self.resume, reporter=self.reporter)
        return self._splats(data)

    def views(self, target: Target) -> Made:
        self.report.stages = ("swap", "splats", "view")
        return self._splats(target.dataset)  # type: ignore[arg-type]

    def talk(self, target: Target) -> Made:
        data = target.dataset
        self.report.stages = ("swap", "avatar", "view")
        if data is None:
            self.report.stages = ("track", *self.report.stages)
            self._stage("track", f"the face in {target.name}")
            data = as_sequence(target.path, self.out / "track",  # type: ignore[arg-type]
                               self._training("avatar").resolution,
                               crop=self.report.look.crop, resume=self.resume,  # type: ignore
                               reporter=self.reporter)
        swapped = self._swap(data)
        config = self._training("avatar")
        self._stage("avatar", config.describe())
        run = self.out / "avatar"
        reconstruct(swapped, run, "avatar", config, resume=self.resume, reporter=self.reporter)
        self._stage("view", "page, video and picture")
        files = write_avatar_view(run, self.out / "view", self.view, swap=(data, swapped),
                                  reporter=self.reporter)
        return self._done(files, read_json(run / "metrics.json", "metrics file"))

    # --- parts of these ---------------------------------------------------------------------------

    def _splats(self, data: Dataset) -> Made:
        swapped = self._swap(data)
        config = self._training("splats")
        self._stage("splats", config.describe())
        run = self.out / "splats"
        reconstruct(swapped, run, "splats", config, resume=self.resume, reporter=self.reporter)
        self._stage("view", "video, page and model")
        files = write_view(run, self.out / "view", self.view or ExportConfig(clean=True),
                           swap=(data, swapped), reporter=self.reporter)
        return self._done(files, read_json(run / "metrics.json", "metrics file"))

    def _swap(self, data: Dataset) -> Dataset:
        self._stage("swap", f"photo {Path(self.photo).stem} into {len(data.frames)} views")
        return swap_dataset(data, self.photo, self.out / "swap", consent=self.consent,
                            resume=self.resume, reporter=self.reporter)

    def _training(self, method: str) -> TrainingConfig:
        """Return the settings of the method that is chosen here."""
        if isinstance(self.config, TrainingConfig):
            return self.config
        entry, _ = choose_method(method)
        return entry.config_type()(**(self.config or MakeConfig()).checked().given())

    def _stage(self, name: str, details: str) -> None:
        self.report.enter(name)
        number = self.report.stages.index(name) + 1
        self.reporter.stage(f"{number}/{len(self.report.stages)} {name:7} {details}")

    def _done(self, files: dict[str, Path], metrics: dict) -> Made:
        report = self.report.finish(files, metrics)
        return Made(self.report.kind, {**files, "report.md": report}, metrics, self.report.doubts)


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Turn what the disk refuses into one IdfError."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise write_error(error.filename or out, error) from error
