"""One expression of an avatar as a picture or a frozen model."""

from __future__ import annotations

from pathlib import Path

from ..data.media import write_image
from ..errors import IdfError
from ..provenance import label, marked
from ..provenance.lineage import copy_consent
from ..provenance.watermark import bake
from ..reconstruction import load, mark_of_model
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.splats.ply import write_ply
from ..runtime.settings import check_range
from .config import MAX_RESOLUTION

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def parse_values(texts) -> dict[str, float]:
    """Return {"jawOpen": 0.6, …} of ["jawOpen=0.6", …]. IdfError for anything else."""
    out = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            out[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise IdfError("This is not the value of an expression", text[:60],
                           "write NAME=NUMBER, such as jawOpen=0.6")
    return out


def write_expression(run, out, values: dict[str, float], resolution: int | None = None) -> Path:
    """Write the avatar of a run at named values, from the front, as a picture or `.ply`; marked,
    with its consent.

    resolution: longer side of the picture in pixels; None = as it was trained.
    IdfError: no avatar, unknown names, another suffix.
    """
    out, suffix = Path(out), Path(out).suffix.lower()
    if suffix not in (*PICTURES, ".ply"):
        raise IdfError(f"An expression is not written as `{suffix}`", str(out),
                       f"use one of: {', '.join((*PICTURES, '.ply'))}")
    check_range("resolution", resolution, 16, MAX_RESOLUTION)
    scene = load_avatar(run)
    expression = scene.basis.edit(values)
    mark = mark_of_model(run)
    with marked(out, mark) as temporary:
        if suffix == ".ply":
            write_ply(bake(scene.avatar.frozen(expression), mark.payload), temporary)
        else:
            size = resolution or scene.avatar.meta.get("resolution")
            picture = scene.render(scene.front.fitted(size), expression)
            write_image(temporary, mark.watermarked(label(picture)))
    copy_consent(run, out.parent)
    return out


def load_avatar(run) -> AvatarScene:
    """Return the avatar of a run folder. IdfError where it holds another scene."""
    scene = load(run)
    if not isinstance(scene, AvatarScene):
        raise IdfError(f"{run} holds no avatar with named expressions", type(scene).__name__,
                       "give the run folder of `idf avatar`")
    return scene
