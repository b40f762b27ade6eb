"""The stylist `preset`: looks made by a function of each pixel's color.

No model, nothing to download, and no understanding of text: it knows its presets and nothing else.
Since a pixel's new color depends on its old color alone, views that agree before agree after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import IdfError, nearest
from ...face.color import lab_to_rgb, rgb_to_lab, smoothstep
from ..config import StylizeConfig
from ..stylist import Reference, Stylist, View

CROWN = 0.12  # share of a head's height that counts as its crown, where hair is looked for
SHADE = 0.7  # exponent on the lightness of recolored hair
TOO_MUCH_HAIR = 0.8  # share of all pixels above which hair was not told from skin


@dataclass(frozen=True)
class GradientMap:
    """Lightness of a pixel -> color. stops: (lightness in [0, 1], red, green, blue in 0..255),
    rising. gamma: exponent on lightness first; below 1 it brings hair nearer to skin, as one
    material has it. keep: share of the own chroma kept."""

    summary: str
    stops: tuple[tuple[float, int, int, int], ...]
    gamma: float = 0.6
    keep: float = 0.0


@dataclass(frozen=True)
class HairColor:
    """Hair gets this hue and chroma (Lab a, b); its lightness, raised in the shade by an exponent,
    times `gain`."""

    summary: str
    a: float
    b: float
    gain: float


PRESETS: dict[str, GradientMap | HairColor] = {
    "bronze": GradientMap("a bust of patinated bronze", (
        (0.00, 8, 16, 15), (0.28, 40, 52, 42), (0.50, 78, 60, 38), (0.70, 122, 82, 44),
        (0.80, 164, 112, 60), (0.88, 214, 164, 98), (1.00, 255, 242, 206))),
    "marble": GradientMap("a bust of white marble", (
        (0.00, 70, 72, 80), (0.30, 128, 130, 138), (0.60, 176, 178, 182), (0.80, 214, 213, 210),
        (0.90, 240, 238, 234), (1.00, 255, 254, 250)), 0.5),
    "porcelain": GradientMap("glazed porcelain with a little paint left", (
        (0.00, 46, 62, 110), (0.22, 120, 140, 186), (0.45, 214, 222, 232), (0.75, 246, 247, 247),
        (1.00, 255, 255, 255)), 0.6, 0.35),
    "terracotta": GradientMap("fired clay", (
        (0.00, 48, 20, 14), (0.30, 118, 56, 36), (0.60, 188, 102, 68), (1.00, 244, 190, 150))),
    "gold": GradientMap("polished gold", (
        (0.00, 26, 14, 4), (0.25, 100, 62, 12), (0.50, 190, 136, 36), (0.72, 246, 206, 92),
        (1.00, 255, 250, 214)), 0.7),
    "jade": GradientMap("green jade", (
        (0.00, 8, 30, 22), (0.30, 34, 86, 62), (0.60, 96, 160, 118), (1.00, 220, 244, 220))),
    "graphite": GradientMap("a drawing in graphite", (
        (0.00, 28, 28, 32), (0.35, 96, 96, 102), (0.70, 196, 196, 198), (1.00, 252, 252, 250)),
        0.8),
    "red_hair": HairColor("the same head with copper-red hair", 46.0, 42.0, 1.1),
    "blond_hair": HairColor("the same head with blond hair", 5.0, 25.0, 2.5),
    "blue_hair": HairColor("the same head with blue hair", 4.0, -48.0, 1.05),
}


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
        self._crown: tuple[np.ndarray, np.ndarray] | None = None

    def settings(self) -> dict:
        return {"preset": self.config.preset}

    def prepare(self, views: Sequence[View]) -> None:
        if not isinstance(self.look, HairColor):
            return
        self._crown = crown_color(views)
        share = np.mean([hairness(rgb_to_lab(v.source()), self._crown)[v.mask > 0.5].mean()
                         for v in views if (v.mask > 0.5).any()])
        if share > TOO_MUCH_HAIR:
            raise IdfError(f"The preset `{self.config.preset}` cannot tell hair from skin here",
                           f"{100 * share:.0f} % of the head has the color of its crown",
                           "use a head with hair, or another preset")

    def stylize(self, view: View, prompt: str = "", seed: int = 0, strength: float = 1.0,
                references: Sequence[Reference] = ()) -> np.ndarray:
        rgb = view.source()
        if isinstance(self.look, GradientMap):
            styled = gradient_map(rgb, self.look)
        else:
            if self._crown is None:
                self.prepare([view])
            styled = recolor(rgb, self.look, self._crown)
        return rgb + np.float32(strength) * (styled - rgb)


def gradient_map(rgb: np.ndarray, look: GradientMap) -> np.ndarray:
    """Return the look's color at each pixel's lightness; rgb and result (H, W, 3) in [0, 1]."""
    lab = rgb_to_lab(rgb)
    light = np.clip(lab[..., 0] / 100, 0, 1) ** look.gamma
    table = np.array(look.stops, np.float32)
    out = np.stack([np.interp(light, table[:, 0], table[:, 1 + c] / 255) for c in range(3)], -1)
    out = out.astype(np.float32)
    if look.keep:
        styled = rgb_to_lab(out)
        styled[..., 1:] += look.keep * lab[..., 1:]
        out = lab_to_rgb(styled)
    return np.clip(out, 0, 1)


def crown_color(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """Return Lab mean (3,) and spread (3,) of the tops of the heads in all views: hair, if any.

    The lightness "mean" is the 90th percentile: hair in the shade is darker than any of it, and
    counts as hair. IdfError where no view shows a head.
    """
    found = []
    for view in views:
        rows = np.flatnonzero((view.mask > 0.9).any(axis=1))
        if not len(rows):
            continue
        top = rows[0] + max(2, round(CROWN * (rows[-1] - rows[0])))
        found.append(rgb_to_lab(view.source())[:top][view.mask[:top] > 0.9])
    if not found or sum(map(len, found)) < 8:
        raise IdfError("No view shows a head to recolor", f"{len(views)} views",
                       "use pictures with alpha, the head uncut at the top")
    lab = np.concatenate(found)
    middle, light = np.median(lab, axis=0), np.percentile(lab[:, 0], 90)
    spread = 1.4826 * np.median(np.abs(lab - middle), axis=0)  # robust standard deviation
    return np.array([light, *middle[1:]]), np.maximum(spread, (4.0, 3.0, 3.0))


def hairness(lab: np.ndarray, crown: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: how far each pixel has the crown's color, or a darker one.
    """
    center, spread = crown
    above = smoothstep(1 - (lab[..., 0] - center[0]) / (3 * spread[0]))
    off = ((lab[..., 1:] - center[1:]) / (2.5 * spread[1:])) ** 2
    return (above * np.exp(-0.5 * off.sum(-1))).astype(np.float32)


def recolor(rgb: np.ndarray, look: HairColor, crown) -> np.ndarray:
    """Return rgb (H, W, 3) float32 in [0, 1] with its hair in the look's color."""
    lab = rgb_to_lab(rgb)
    weight = hairness(lab, crown)[..., None]
    light = np.clip(look.gain * 100 * (np.clip(lab[..., :1], 0, 100) / 100) ** SHADE, 0, 100)
    # chroma follows lightness, so that shades stay shades
    chroma = np.array([look.a, look.b], np.float32) * np.clip(light / 35, 0, 1.2)
    styled = lab_to_rgb(np.concatenate([light, chroma], -1).astype(np.float32))
    return np.clip(rgb + weight * (styled - rgb), 0, 1).astype(np.float32)
