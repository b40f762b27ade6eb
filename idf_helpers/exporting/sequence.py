"""An avatar as a numbered sequence of .ply files, for programs that play such ones.

SuperSplat plays the files of a folder dropped on it if all their names end in a number and .ply
(src/file-handler.ts, `isPlySequence`): nothing else may lie beside them. Brush plays a folder or a
zip of them; both go through them in the order of the numbers. The head keeps still and goes
through the expressions that it was trained on, or, where these are not known, through its own named
ones and back.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np

from .. import provenance
from ..provenance.credentials import BESIDE, folder_beside
from ..reconstruction.avatar.pictures import tour
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.splats.ply import write_ply
from ..runtime.whole_folder import whole_folder
from .config import ExportConfig
from .model import Model

Progress = Callable[[float], None]
NAME = "frame_{:05d}.ply"


def expressions(model: Model, frames: int) -> list[np.ndarray]:
    """Return the (E,) expressions to be shown, `frames` at most: those of the training, else of a
    tour through the named ones."""
    scene, track = cast(AvatarScene, model.scene), model.track()
    if track is not None:
        return list(np.asarray(track.values, np.float32)[:frames])
    return [expression for _, expression in tour(scene, frames, None)]


def write_sequence(model: Model, out: Path, config: ExportConfig, progress: Progress) -> Path:
    """Write the folder `out` of frame_00000.ply and so on, each marked, whole or not at all.

    Their signatures lie in a folder beside it, `out`.c2pa: players want the numbered files alone.
    config: frames, at most. IdfError: one of the two is not empty.
    """
    with whole_folder(out) as part, whole_folder(folder_beside(out.absolute())) as signatures:
        for file in _frames(model, part, config, progress, sign=True):
            signature = file.with_name(file.name + BESIDE)
            signature.rename(signatures / signature.name)
    return out


def write_zip(model: Model, out: Path, config: ExportConfig, progress: Progress) -> None:
    """Write the same files into one zip, one after the other. config: frames, at most."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder, \
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in _frames(model, Path(folder), config, progress):
            archive.write(file, file.name)
            file.unlink()


def _frames(model: Model, folder: Path, config: ExportConfig, progress: Progress,
            sign: bool = False) -> Iterator[Path]:
    scene = cast(AvatarScene, model.scene)
    values = expressions(model, config.frames)
    for i, expression in enumerate(values):
        file = folder / NAME.format(i)
        write_ply(scene.at(scene.front, expression), file)
        yield provenance.mark(file, model.mark, sign)
        progress((i + 1) / len(values))
