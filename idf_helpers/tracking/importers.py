"""Datasets of other trackers as NeRFace folders: INSTA's and VHAP's, GaussianAvatars' unions too.

They open as they are, as any dataset (`data/layouts/tracked.py` says what is read, with sources).
Here they are written anew in the bundled sequence's world, each length scaled so that the camera's
median distance from the head is 0.5, and expressions filled up, as NeRFace's programs want them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.address import Address
from ..data.dataset import Dataset, Frame
from ..data.inputs import dataset_root, open_dataset
from ..data.media import encode_image
from ..data.transforms import write_transforms
from ..errors import IdfError, shorten
from ..provenance import mark_picture_bytes
from ..provenance.lineage import copy_consent, origin_of
from ..runtime.files import read_json, write_bytes
from ..runtime.runs import RunFolder
from .world import DISTANCE, EXPRESSIONS_LONG, TO_WORLD

KINDS = {"insta": "exp_path", "vhap": "flame_param_path"}


def import_tracked(folder, out, kind: str, resume: bool = True) -> Dataset:
    """Write the tracked dataset in `folder` as a NeRFace dataset to `out`.

    kind: "insta" or "vhap". Expressions are named flame_0 …, and jaw_0 … where there are such;
    the same sliders as ours they are not. IdfError: unknown kind, missing files or fields.
    """
    if kind not in KINDS:
        raise IdfError(f"There is no import from `{kind}`", kind, "one of: " + ", ".join(KINDS))
    _check_fields(dataset_root(Path(Address.parse(folder).place).expanduser()), kind)
    data = open_dataset(folder)
    frames = _normalized(list(data.frames))
    with RunFolder(out, stage="track", backend=kind, config={"from": kind},
                   inputs=data.fingerprint(), resume=resume) as run:
        if run.finished:
            return Dataset.open(out)
        origin = origin_of(f.path for f in frames)
        mark = origin.mark(run.run_id, "frames")
        for f in frames:
            png = f.path.read_bytes() if f.path.suffix.lower() == ".png" and f.is_as_on_disk \
                else encode_image(f.image())
            write_bytes(run.path / f"{f.name}.png",
                        mark_picture_bytes(png, ".png", mark) if mark else png)
        write_transforms(run.path, frames, expression_names=data.expression_names, fps=data.fps)
        copy_consent(data.root, run.path, origin.consent)
        run.finish({"frames": len(frames)}, **origin.fields)
    return Dataset.open(out)


def _check_fields(folder: Path, kind: str) -> None:
    """Raise IdfError where a folder was not exported by that tracker."""
    found = [p for p in (folder / f"transforms_{s}.json" for s in ("train", "val", "test"))
             if p.is_file()] or [p for p in [folder / "transforms.json"] if p.is_file()]
    if not found:
        raise IdfError(f"{folder} is not a tracked dataset", "no transforms*.json in it",
                       "give the folder that the tracker exported")
    for path in found:
        data = read_json(path, "camera file")
        entries = data.get("frames") if isinstance(data, dict) else None
        without = [i for i, e in enumerate(entries if isinstance(entries, list) else [])
                   if not isinstance(e, dict) or KINDS[kind] not in e]
        if without:
            raise IdfError(f"{path.name} lacks fields of an export by {kind}",
                           f"no {KINDS[kind]} in frame {shorten(map(str, without))}",
                           "VHAP: export with --flame_mode param" if kind == "vhap" else
                           "INSTA: run its scripts/transforms.py")


def _normalized(frames: list[Frame]) -> list[Frame]:
    """Cameras in the bundled sequence's world, median distance 0.5; expressions filled up to the
    width that NeRFace's networks have."""
    distance = float(np.median([np.linalg.norm(f.camera.position) for f in frames]))
    if distance < 1e-6:
        raise IdfError("The cameras stand inside the head", "distance 0", "check the export")
    out = []
    for f in frames:
        c2w = f.camera.c2w.copy()
        c2w[:3, :3] = TO_WORLD @ c2w[:3, :3]
        c2w[:3, 3] = DISTANCE / distance * TO_WORLD @ c2w[:3, 3]
        padding = np.zeros(max(0, EXPRESSIONS_LONG - len(f.expression)), np.float32)
        out.append(replace(f, name=f.name.removeprefix("./"), mask=None,
                           camera=replace(f.camera, c2w=c2w),
                           expression=np.concatenate([f.expression, padding])))
    return out
