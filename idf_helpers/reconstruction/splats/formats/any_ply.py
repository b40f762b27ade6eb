"""Any splat `.ply`: graphdeco's layout, nerfstudio's with plain colors, 2D Gaussians, compressed.

Layouts: graphdeco-inria/gaussian-splatting (`ply.py`); nerfstudio's `ns-export gaussian-splat`,
whose `--ply-color-mode rgb` writes red, green, blue in place of f_dc (nerfstudio/scripts/
exporter.py); hbb1/2d-gaussian-splatting, which has two scales.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ....errors import IdfError, shorten
from ..gaussians import SH_C0, Gaussians
from ..ply import REQUIRED, Header, read_header, read_vertices, write_ply
from .axes import AS_SHOWN, AXES_COMMENT, BLENDER, Axes, axes_comment
from .packed_ply import is_packed, read_packed
from .splat_model import SplatModel, usable

FLATTENED = 7.0  # natural log by which a 2D Gaussian is thinner than its smaller axis: about 1100
OURS = "synthetic, made with ImplicitDeepfake"
_AXES = re.compile(f"{AXES_COMMENT}({AS_SHOWN})?" + r"((?: -?\d+(?:\.\d+)?){6})$")


def read_any_ply(path: Path) -> SplatModel:
    """Return the Gaussians of a splat `.ply`, whichever tool wrote it.

    Binary of both byte orders or text, properties in any order and of any type. What was made up
    or left out stands in the notes. IdfError: truncated, a mesh, a point cloud, a property missing
    (named). The size is checked before memory is taken.
    """
    header = read_header(path)
    if is_packed(header):
        model = read_packed(path, header)
    else:
        model = _read_plain(path, header)
    named, of_cameras = named_axes(header)
    ours = any(c.startswith(OURS) for c in header.comments)
    model.axes, model.of_cameras = named or (BLENDER if ours else None), of_cameras
    return model


def write_any_ply(g: Gaussians, path: Path, axes: Axes | None = None, of_cameras: bool = True
                  ) -> None:
    """Write Gaussians in graphdeco's layout, in the world they were trained in, with a comment that
    says what is up there. of_cameras: as of `axes_comment`."""
    write_ply(g, path, comments=[axes_comment(axes, of_cameras)] if axes else [])


def named_axes(header: Header) -> tuple[Axes | None, bool]:
    """Return the axes that a comment of the header names, and whether they are of its cameras."""
    for comment in header.comments:
        if found := _AXES.search(comment.strip()):
            numbers = np.array(found[2].split(), float).reshape(2, 3)
            up, front = numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-9)
            if abs(up @ front) < 1e-3 and abs(up @ up - 1) < 1e-3 and abs(front @ front - 1) < 1e-3:
                return Axes(tuple(up), tuple(front)), not found[1]
    return None, False


def _read_plain(path: Path, header: Header) -> SplatModel:
    data = read_vertices(path, header)
    names, notes, columns = set(data.names), [], data.columns
    plain_color = {"red", "green", "blue"} <= names and "f_dc_0" not in names
    surfels = {"scale_0", "scale_1"} <= names and "scale_2" not in names
    lacking = [n for n in REQUIRED if n not in names and not (n.startswith("f_dc_") and plain_color)
               and not (n == "scale_2" and surfels)]
    if lacking:
        cloud = plain_color and not names & {"opacity", "scale_0", "rot_0"}
        raise IdfError(f"{path} is not a 3DGS splat file",
                       "no property " + shorten(lacking, len(REQUIRED)),
                       "it is a colored point cloud: train splats from it, or give the trained file"
                       if cloud else "give a file written by a 3D Gaussian splatting trainer")
    if plain_color:
        rgb = columns("red", "green", "blue")
        if data.dtype["red"].kind in "iu" or np.nanmax(rgb) > 1.5:
            rgb = rgb / np.float32(255)
        rgb = (rgb - np.float32(0.5)) / np.float32(SH_C0)
        notes.append("its colors are plain red, green and blue: they do not change with the view")
    rest = sum(n.startswith("f_rest_") for n in names)
    if rest not in (0, 9, 24, 45) or any(f"f_rest_{i}" not in names for i in range(rest)):
        raise IdfError(f"{path} has an odd set of color coefficients", f"{rest} f_rest properties",
                       "3DGS files hold f_rest_0 to f_rest_8, _23 or _44, or none")
    sh = data.harmonics(rest, rgb if plain_color else None)
    scales = columns(*(f"scale_{i}" for i in range(2 if surfels else 3)))
    if surfels:
        scales = np.concatenate([scales, scales.min(axis=1, keepdims=True) - FLATTENED], axis=1)
        notes.append("it holds 2D Gaussians: they are drawn as 3D ones, flat along the third axis")
    model = usable(path, columns("x", "y", "z"), scales,
                   columns("rot_0", "rot_1", "rot_2", "rot_3"), columns("opacity")[:, 0], sh)
    model.notes = notes + model.notes
    return model
