"""The stylist `preset`: looks by name, computed from the view and the head's shape.

No model, nothing to download, and no understanding of text: it knows its presets and nothing else.
Every view is styled by itself, and the views agree: what a look depends on is fixed to the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import IdfError, nearest
from ..config import StylizeConfig
from ..regions import Regions
from ..shape import Shape, Surface
from ..stylist import Reference, Stylist, View
from .drawing import DRAWINGS, Drawing
from .materials import MATERIALS, Material
from .recolor import RECOLORS, Recolor

PRESETS: dict[str, Material | Drawing | Recolor] = {**MATERIALS, **DRAWINGS, **RECOLORS}


@dataclass(frozen=True)
class PresetConfig(StylizeConfig):
    """Settings of the stylist `preset`."""

    preset: str = ""
    """Name of the look."""


class PresetStylist(Stylist):
    """Looks by name. `strength` mixes the look with the view; prompt and seed have no effect."""

    name = "preset"
    config_type = PresetConfig
    source_type = "compositeSynthetic"
    pointwise = True
    from_first = True
    default_strength = 1.0

    def __init__(self, config: PresetConfig):
        super().__init__(config)
        if config.preset not in PRESETS:
            raise IdfError(f"There is no look `{config.preset}`" if config.preset else
                           "The stylist `preset` needs the name of a look",
                           (config.preset or "no preset") + nearest(config.preset, PRESETS),
                           f"give --preset with one of: {', '.join(PRESETS)}; prompts are read by "
                           "diffusers, a1111 and comfyui")
        self.look = PRESETS[config.preset]
        self.wants_depth = not self.look.regions  # outlines tell the parts of a head apart
        self.shape: Shape | None = None
        self.regions: Regions | None = None
        self._last: tuple[View, Surface] | None = None

    def settings(self) -> dict:
        return {"preset": self.config.preset}

    def prepare(self, views: Sequence[View]) -> None:
        self.shape, self._last = Shape(views), None
        self.used = {"shape": self.shape.how}
        if self.look.regions:
            self.regions = Regions(views, self.shape)
            self.look.check(self.regions, self.config.preset)

    def _surface(self, view: View) -> Surface:
        if self.shape is None:
            self.prepare([view])
        if self._last is None or self._last[0] is not view:
            self._last = (view, self.shape.surface(view))
        return self._last[1]

    def stylize(self, view: View, prompt: str = "", seed: int = 0, strength: float = 1.0,
                references: Sequence[Reference] = ()) -> np.ndarray:
        rgb, on = view.source(), self._surface(view)
        own = rgb[on.rows, on.columns]
        if self.regions is None:
            styled = self.look.styled(own, on)
        else:
            styled = self.look.styled(own, on, self.regions.of(view, on), self.regions.tones)
        return on.picture(own + np.float32(strength) * (styled - own), rgb)

    def finish(self, view: View, picture: np.ndarray, strength: float) -> np.ndarray:
        if self.look.regions:
            return picture  # a recolored part has its own light
        on = self._surface(view)
        return on.picture(self.look.finished(picture[on.rows, on.columns], on, strength), picture)
