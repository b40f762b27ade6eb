"""What a user gave as a target: a dataset, footage without cameras, or one picture."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..data import samples
from ..data.address import Address
from ..data.animations import is_animation
from ..data.dataset import Dataset, is_dataset
from ..data.footage import Source
from ..data.inputs import as_dataset, dataset_root
from ..data.media import is_image, is_video, read_image
from ..errors import IdfError, shorten
from ..runtime.archives import is_zip
from ..runtime.files import sha256_file
from ..runtime.progress import Reporter

Form = Literal["dataset", "footage", "picture"]
Kind = Literal["turn", "talk", "views", "picture"]
# What a target may be taken for, in words.
NAMES = {"turn": "a turn round a still head", "talk": "a talking head",
         "views": "views of a still head, with cameras", "picture": "one picture"}


@dataclass(frozen=True, eq=False)
class Target:
    """The target, read as far as its form says.

    form: footage is a video, or a folder of pictures without cameras. path: None for a dataset
    that was given as such. dataset, footage: the one that it is.
    """

    form: Form
    path: Path | None
    dataset: Dataset | None = None
    footage: Source | None = None

    def fingerprint(self) -> dict:
        """Return what identifies it."""
        if self.dataset is not None:
            return self.dataset.fingerprint()
        if self.footage is not None:
            return self.footage.fingerprint()
        return {"picture_sha256": sha256_file(self.path)}

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.path or (self.dataset.root if self.dataset else ""))


def open_target(target: Dataset | str | Path, reporter: Reporter) -> Target:
    """Open what was given. IdfError: it does not exist, or is none of these."""
    if isinstance(target, Dataset):
        return Target("dataset", target.root, _not_empty(target))
    text = str(target).strip()
    path = Path(Address.parse(text).place).expanduser()
    if not text or text in samples.DATASETS and not path.exists() \
            or urllib.parse.urlsplit(text).scheme in ("http", "https"):
        return Target("dataset", None, _not_empty(as_dataset(text, reporter)))
    if path.is_dir():
        return _of_folder(path, text, reporter)
    if path.is_file() and (is_video(path) or is_animation(path)):
        return Target("footage", path, footage=Source(path))
    if path.is_file() and is_image(path):
        read_image(path, "target picture")
        return Target("picture", path)
    if path.is_file() and is_zip(path):
        return Target("dataset", path, _not_empty(as_dataset(path, reporter)))
    raise IdfError(f"{path} is no target" if path.exists() else f"{path} does not exist",
                   "neither a video, a picture nor a dataset" if path.exists() else "no such file",
                   "give a video (.mp4, .mov …), a folder of photos, a picture, or a dataset")


def _of_folder(path: Path, text: str, reporter: Reporter) -> Target:
    if is_dataset(path):
        return Target("dataset", path, _not_empty(as_dataset(text, reporter)))
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    if any(p.is_file() and is_image(p) for p in inside):
        return Target("footage", path, footage=Source(path))
    if is_dataset(dataset_root(path)):
        return Target("dataset", path, _not_empty(as_dataset(text, reporter)))
    found = shorten([p.name for p in inside]) if inside else "an empty folder"
    videos = [p for p in inside if is_video(p)]
    raise IdfError(f"The folder {path} holds neither pictures nor a dataset", found,
                   f"give the video itself: {videos[0]}" if videos else
                   "give a folder of photos, a dataset (transforms_train.json and pictures), a "
                   "video or a picture")


def _not_empty(data: Dataset) -> Dataset:
    if not data.train:
        raise IdfError(f"{data.root} holds no training frames", "an empty training split",
                       "give a dataset with pictures and cameras")
    return data


def check_place(out: Path, target: Target) -> None:
    """Raise IdfError where the run tree would lie in the target's folder, or in a video's place."""
    places = [p.resolve() for p in (target.path, target.dataset and target.dataset.root) if p]
    for place in places:
        if place.is_dir() and (out.resolve() == place or place in out.resolve().parents):
            raise IdfError("The results cannot lie inside the target", f"--out {out} in {place}",
                           "choose a folder beside it with --out")
    if out.is_file():
        raise IdfError(f"The output folder {out} is a file", "a file", "choose another --out")
