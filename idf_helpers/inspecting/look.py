"""The verb: look at an input of any kind, and say what was understood."""

from __future__ import annotations

from pathlib import Path

from ..data import samples
from ..data.address import Address
from ..data.animations import is_animation
from ..data.dataset import Dataset, is_dataset
from ..data.inputs import dataset_root, mount_drive, open_dataset
from ..data.media import is_image, is_video, write_image
from ..errors import IdfError
from ..reconstruction.methods import METHODS
from ..reconstruction.splats.model_path import is_model
from ..runtime.files import write_json
from ..runtime.runs import read_manifest
from .dataset import inspect_dataset
from .inspection import Inspection
from .media import inspect_picture, inspect_video
from .model import inspect_model


def inspect(data: Dataset | str | Path, out: str | Path | None = None) -> Inspection:
    """Say what was understood of an input, before anything is made of it.

    Of a dataset: its layout, splits, sizes, lens, masks, points, instants and expressions, where
    its cameras stand, and what is likely to be wrong. Of a model, video or picture: what can be
    told.

    Args:
        data: a dataset (folder, bundled name, .zip or URL; #root=.. and #time=0 may follow), a run
            folder, a splat file, a video or a picture.
        out: folder for contact_sheet.png, cameras.png (where cameras stand around the subject) and
            inspection.json.

    Returns the inspection; its text is what `idf inspect` prints. IdfError: nothing that is known,
    or something broken.
    """
    found = inspect_dataset(data) if isinstance(data, Dataset) else _look(data)
    if out is not None:
        folder = Path(out)
        for name, draw in found.pictures.items():
            write_image(folder / name, draw())
        write_json(folder / "inspection.json", found.as_dict())
    return found


def _look(place: str | Path) -> Inspection:
    text = Address.parse(place).place
    if text in samples.DATASETS and not Path(text).exists():
        return inspect_dataset(open_dataset(place))
    path = mount_drive(text) if "://" not in text else None
    if path is None:
        return inspect_dataset(open_dataset(place))
    if path.is_file():
        if is_model(path):
            return inspect_model(path)
        if is_video(path) or is_animation(path):
            return inspect_video(path)
        if is_image(path):
            return inspect_picture(path)
    elif path.is_dir() and not is_dataset(path) and (is_model(path) or _is_scene(path)):
        return inspect_model(path)
    elif path.is_dir() and not is_dataset(dataset_root(path)) and any(
            map(is_image, path.iterdir())):
        raise IdfError(f"{path} holds pictures without cameras", "no transforms file, no sparse/",
                       "find them: idf capture (a still head, a turn), idf track (a talking one)")
    return inspect_dataset(open_dataset(place))


def _is_scene(folder: Path) -> bool:
    """Whether a folder is a run that left a scene."""
    return (folder / "run.json").is_file() and read_manifest(folder).get("stage") in METHODS
