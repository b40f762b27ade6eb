"""The interface of stylists: one view in, the same view restyled out.

How key views follow each other (`key_styling`) is no concern of a stylist: of a sheet it gets one
large view made of several, in anchored mode a view that says what to start from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.cameras import Camera
from ..data.media import to_uint8
from ..errors import IdfError
from .config import StylizeConfig


@dataclass(frozen=True, eq=False)
class View:
    """One view to restyle, all arrays of one height and width.

    rgb:    (H, W, 3) uint8, or float32 in [0, 1]; the head over a plain background.
    mask:   (H, W) float32 in [0, 1], how much of each pixel is head; all 1 where it is not known.
    depth:  (H, W) float32 world units along the optical axis, NaN off the head; None = not known.
    normal: (H, W, 3) float32 unit normals in camera axes (x right, y up, z toward the camera), 0
            off the head; None = not known.
    camera: None for a sheet of several views.
    name:   of the frame, e.g. "train_main/r_0"; for messages and file names.
    start:  (H, W, 3) float32 in [0, 1], what an image-to-image stylist starts from in place of
            `rgb` (control pictures are always made from the view itself); None = from `rgb`.
    known:  (H, W) float32 in [0, 1], how far `start` already shows the style; None with `start`.
    confidence: (H, W) float32 in [0, 1], how far other views confirm `depth`; None = not known.
    """

    rgb: np.ndarray
    mask: np.ndarray
    depth: np.ndarray | None = None
    normal: np.ndarray | None = None
    camera: Camera | None = None
    name: str = ""
    start: np.ndarray | None = None
    known: np.ndarray | None = None
    confidence: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]

    def picture(self) -> np.ndarray:
        """Return (H, W, 3) uint8: what an image-to-image stylist starts from."""
        return to_uint8(self.rgb if self.start is None else self.start)[..., :3]

    def source(self) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1]: the view as it is, whatever to start from."""
        return as_float(self.rgb)

    def resized(self, width: int, height: int) -> View:
        """Return the view at another size; depth and normals keep their edges."""
        import cv2

        if (width, height) == self.size:
            return self

        def nearest(image):
            return None if image is None else cv2.resize(
                np.asarray(image, np.float32), (width, height), interpolation=cv2.INTER_NEAREST)

        rgb = scaled(as_float(self.rgb), width, height)
        return replace(
            self, rgb=to_uint8(rgb) if self.rgb.dtype == np.uint8 else rgb,
            mask=scaled(self.mask, width, height), depth=nearest(self.depth),
            normal=nearest(self.normal), camera=self.camera and self.camera.resized(width, height),
            start=None if self.start is None else scaled(as_float(self.start), width, height),
            known=nearest(self.known), confidence=nearest(self.confidence))


@dataclass(frozen=True, eq=False)
class Reference:
    """An already styled view of the same head. picture: (H, W, 3) float32 in [0, 1]."""

    view: View
    picture: np.ndarray


class Stylist(ABC):
    """One way to restyle a view.

    Made by `cls(config)`; IdfError there where something is missing.

    name:        as in `methods`. config_type: its settings; it reads all of them.
    source_type: IPTC digital source type of its pictures, see `provenance.marks.SOURCE_TYPES`.
    reads_prompt: whether the prompt has any influence.
    size:        longer side in pixels that it works best at, None = any. multiple: width and
                 height that it gets are multiples of this.
    default_strength: where the settings name none.
    pointwise:   views that are styled each by itself agree, so every frame is styled and none
                 propagated.
    wants_depth: it looks at the head's shape: the views that it gets have depth, if there is any.
    from_first:  the loop gives it the first views in every iteration, not its own results.
    reads_references: it keeps to already styled views by itself.

    progress: takes (fraction, words) while a picture is made, where the caller wants that.
    used: what the last picture was made with, as far as the stylist finds out only then.
    """

    name: str
    config_type: type[StylizeConfig]
    source_type: str
    reads_prompt: bool = False
    size: int | None = None
    multiple: int = 1
    default_strength: float = 0.6
    pointwise: bool = False
    wants_depth: bool = False
    from_first: bool = False
    reads_references: bool = False

    def __init__(self, config: Any):
        self.config = config.checked()
        self.progress: Callable[[float, str], None] | None = None
        self.used: dict = {}

    @property
    def strength(self) -> float:
        """In (0, 1], of the settings or the default."""
        return self.default_strength if self.config.strength is None else self.config.strength

    @property
    def controls(self) -> Collection[str]:
        """Kinds of control pictures that are made of a view: canny, depth, normal."""
        return ()

    @abstractmethod
    def settings(self) -> dict:
        """Return what decides the output beyond view, prompt, seed and strength, ready for JSON:
        model, scheduler, control models and weights … No password, no address."""

    @abstractmethod
    def stylize(self, view: View, prompt: str, seed: int, strength: float,
                references: Sequence[Reference] = ()) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1] of the view's size; the same for the same arguments.

        references: already styled views, nearest first, for stylists that can look at them.
        IdfError: no answer, a refused or black picture, another size.
        """

    def finish(self, view: View, picture: np.ndarray, strength: float) -> np.ndarray:
        """Return a styled or propagated picture of a view with what only its own camera sees, as
        the light that a surface mirrors; (H, W, 3) float32 in [0, 1]."""
        return picture

    def key_frame(self, names: Sequence[str]) -> str | None:
        """Return the name of the frame, out of all, that must be a key view and comes first; None
        where any will do."""
        return None

    def prepare(self, views: Sequence[View]) -> None:  # noqa: B027
        """See all key views once, before the first `stylize`, so that what is measured of them is
        the same for all."""

    def close(self) -> None:  # noqa: B027
        """Give back memory and connections."""


def as_float(image: np.ndarray) -> np.ndarray:
    """Return a uint8 or float picture as (H, W, 3) float32 in [0, 1], without its alpha."""
    image = np.asarray(image)[..., :3]
    if image.dtype == np.uint8:
        return image.astype(np.float32) / 255.0
    return np.asarray(image, np.float32)


def scaled(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture or mask, (H, W[, 3]) float in [0, 1], at another size as float32."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    method = cv2.INTER_AREA if width <= picture.shape[1] else cv2.INTER_CUBIC
    out = cv2.resize(np.asarray(picture, np.float32), (width, height), interpolation=method)
    return np.clip(out, 0, 1)


def checked_picture(picture: np.ndarray, view: View, who: str) -> np.ndarray:
    """Return a stylist's answer as (H, W, 3) float32 in [0, 1].

    IdfError: another size, NaN, or black where the view is not (what a safety checker leaves).
    """
    picture = as_float(picture)
    if picture.shape != (view.size[1], view.size[0], 3):
        raise IdfError(f"The stylist `{who}` gave a picture of another size for {view.name}",
                       f"{picture.shape[1]}x{picture.shape[0]}" if picture.ndim == 3 else
                       f"shape {picture.shape}", f"expected {view.size[0]}x{view.size[1]}")
    if not np.isfinite(picture).all():
        raise IdfError(f"The stylist `{who}` gave NaN for {view.name}", "not a picture",
                       "use float32 in place of half precision, or another model")
    if picture.max() < 4 / 255 and view.source().max() > 16 / 255:
        raise IdfError(f"The stylist `{who}` gave a black picture for {view.name}",
                       "all pixels below 4 of 255: most often the model's safety checker",
                       "change prompt or seed")
    return np.clip(picture, 0.0, 1.0)
