"""`idf capture`: a video of a turn round a still head becomes a dataset with cameras.

Every frame is looked at small; of stretches in which equally much moves, the sharpest are written
out with their landmarks; of these, frames are kept that differ evenly in what they show of the
head. The person is cut out of them, a solver finds the cameras, and all is brought to the world of
the bundled views: z up, the face looks to -y, the head within about 1.25 of the origin.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from .. import provenance
from ..data.dataset import Dataset
from ..data.footage import Source
from ..data.media import write_image
from ..errors import IdfError
from ..face.downloads import FACE_LANDMARKS, PERSON_MASK
from ..face.head_model import FaceModel
from ..face.person_mask import PersonMask
from ..provenance.lineage import copy_consent, origin_of
from ..runtime import download
from ..runtime.files import write_json
from ..runtime.progress import Reporter
from ..runtime.runs import RunFolder
from .cameras import Cameras, Frames
from .config import CaptureConfig
from .hull import agreed
from .look import FEWEST, Choice, Look, above_necks, look_at
from .methods import CAPTURES
from .neck import Neck
from .place import ORIGIN, TO_WORLD, UNIT, place
from .report import Facts, cut_off, doubts, sheet
from .scan import zoomed
from .solving import find_cameras
from .writing import write_dataset

FILES = ("transforms_train.json", "transforms_test.json", "capture_report.json", "overlay.jpg")
BUST_CM = 9.0  # under the neck, where the bundled heads end; arms and chests move by themselves
UNLIKE = "the outlines of the person do not agree between the frames: the head may have moved"
WORK = "work"  # folder of what is of no use once the cameras are found


def capture(source: str | Path, out: str | Path, config: CaptureConfig | None = None, *,
            method: Literal["auto", "colmap", "landmarks"] = "auto", resume: bool = True,
            reporter: Reporter | None = None) -> Dataset:
    """Find cameras for a video of a turn round a still head: a dataset for swap and splats.

    Args:
        source: video, or folder of pictures in the order of their names.
        out: run folder, itself a dataset afterwards; overlay.jpg shows how well the cameras fit.
        config: of the capture.
        method: what finds the cameras; auto takes colmap where pycolmap is installed, and
            landmarks where it is not or fails, or for the frames that it leaves out.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.

    The folder holds images/ (RGBA, the person cut out, lens distortion taken out),
    transforms_{train,val,test}.json, capture_report.json and overlay.jpg.

    IdfError: no video, a still picture, nobody or no face in it, no cameras found.
    """
    config, reporter = (config or CaptureConfig()).checked(), reporter or Reporter()
    entry, why = CAPTURES.choose(method)
    for model in (FACE_LANDMARKS, PERSON_MASK):
        download.path(model)  # what is not there is said now rather than after minutes
    footage, person = Source(source), PersonMask()
    for note in footage.notes:
        reporter.note(note)
    with RunFolder(out, stage="capture", backend=method, config=config,
                   inputs=footage.fingerprint(), resume=resume) as run:
        if run.finished and all((run.path / name).is_file() for name in FILES):
            reporter.step("already done", 1.0)
            return Dataset.open(run.path)
        work = run.path / WORK
        if not run.resumed:
            shutil.rmtree(work, ignore_errors=True)
            run.event(kind="begun")  # what is in the work folder is worth keeping
        try:
            look = look_at(footage, work, config, reporter)
            solved = find_cameras(look, work, config, person, entry, why, method == "auto",
                                  reporter)
            choice, notes = solved.choice, solved.notes
            placed, frames = place(choice.frames, solved.cameras), choice.frames
            if placed.registered.sum() < FEWEST:
                raise IdfError("Too few frames got a camera", f"{placed.registered.sum()} of "
                               f"{len(frames)}", "film the whole turn slowly, in good light")
            if choice.head_only:  # cut again: the cameras have the neck, and know it better
                frames = above_necks(frames, Neck.placed(placed.cameras), "cut")
            frames, alike = agreed(frames, placed, work / "agreed",
                                   None if choice.head_only else BUST_CM)
            if not alike:
                notes.append(UNLIKE)
            origin = origin_of(footage.pictures or [footage.path])
            yaw = write_dataset(run.path, frames, placed, config, reporter,
                                origin.mark(run.run_id, "views"))
        except IdfError as error:
            if not isinstance(error.__cause__, OSError):  # a full disk is no fault of the footage
                run.discard()
            raise
        report = _report(look, frames, placed, choice, yaw, notes)
        write_json(run.path / "capture_report.json", report)
        drawn = "face mesh drawn over a video"
        mark = origin.mark(run.run_id, drawn) or provenance.Mark(run.run_id, drawn)
        mesh = FaceModel.load().rest @ TO_WORLD.T * UNIT + ORIGIN
        axes = np.concatenate([np.zeros((1, 3)), np.eye(3)])
        with provenance.marked(run.path / "overlay.jpg", mark) as temporary:
            write_image(temporary, sheet(frames, placed, mesh, axes))
        for sentence in report["doubts"]:
            reporter.note(sentence)
        if origin.consent:
            copy_consent(footage.path.parent, run.path, origin.consent)
        run.finish({k: report[k] for k in ("frames", "used", "registered", "reprojection_px")},
                   **origin.fields)
        shutil.rmtree(work, ignore_errors=True)
    return Dataset.open(out)


def _report(look: Look, frames: Frames, cameras: Cameras, choice: Choice,
            yaw: tuple[float, float], notes: list[str]) -> dict:
    count, left, moved = len(look.found), choice.left_out, choice.motion
    chin, top = cut_off(frames)
    facts = Facts(look.take[1] - look.take[0], count, look.seconds, look.breaks,
                  len(left.get("blurred", ())) / len(look.numbers),
                  len(left.get("nobody in the picture", ())) / len(look.numbers),
                  look.people, moved, chin, top, zoomed(look.found, look.take))
    return {"method": cameras.method, "why": "; ".join(notes), "moves": frames.moves,
            "head_only": choice.head_only,
            "frames": count, "used": int(cameras.registered.sum()), "left_out": left,
            "chosen": len(frames), "registered": int(cameras.registered.sum()),
            "without_camera": [int(n) for n in frames.numbers[~cameras.registered]],
            "other_models": list(cameras.other_models), "yaw": [round(v, 1) for v in yaw],
            "reprojection_px": round(cameras.reprojection_px, 3),
            "doubts": [*notes[1:], *cameras.notes, *doubts(frames, cameras, facts, yaw)]}
