"""Looks that change the color of a part of the head and keep its shading: dyed hair, an elf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import IdfError
from ...face.color import lab_to_rgb, rgb_to_lab
from ..regions import Regions
from ..shape import Surface

TOO_MUCH_HAIR, TOO_LITTLE_HAIR = 0.8, 0.01  # shares of the head

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Dye:
    """Colors, sRGB 0-255, for the darkest, the middle and the brightest of a part; own: share of
    the part's own variation in hue kept."""

    dark: Color
    middle: Color
    bright: Color
    own: float = 0.3

    def of(self, lab: np.ndarray, tone: tuple[float, float, np.ndarray]) -> np.ndarray:
        """Return (N, 3) Lab of dyed pixels. tone: of the part, see `Regions.tones`."""
        low, high, median = tone
        level = np.clip((lab[:, 0] - low) / (high - low), -0.4, 1.25)
        ramp = rgb_to_lab(np.float32([[self.dark, self.middle, self.bright]]) / 255)[0]
        out = np.stack([np.interp(level, (0, 0.5, 1), ramp[:, c]) for c in range(3)], 1)
        slope = (ramp[2, 0] - ramp[1, 0]) / 0.5
        out[:, 0] += np.where(level > 1, slope * (level - 1), 0) \
            + np.where(level < 0, (ramp[1, 0] - ramp[0, 0]) / 0.5 * level, 0)
        out[:, 1:] += self.own * (lab[:, 1:] - median[1:])
        return np.clip(out, (0, -110, -110), (100, 110, 110))


@dataclass(frozen=True)
class Recolor:
    """parts: region of `Regions.of` -> its dye. Regions that are not named stay."""

    summary: str
    parts: dict[str, Dye]
    regions = True

    def check(self, regions: Regions, name: str) -> None:
        """Raise IdfError where the parts cannot be told apart."""
        share = regions.shares["hair"]
        if "hair" in self.parts and not TOO_LITTLE_HAIR < share < TOO_MUCH_HAIR:
            raise IdfError(f"The preset `{name}` cannot tell hair from skin here",
                           f"{100 * share:.0f} % of the head has the color of its crown",
                           "use a head with hair, or another preset")
        if "skin" in self.parts and regions.shares["skin"] < TOO_LITTLE_HAIR:
            lacks = regions.shape.lacks
            raise IdfError(f"The preset `{name}` finds no skin here",
                           "no models that find a face" if lacks else "no face in any view",
                           lacks or "use views that show the face, or another preset")

    def styled(self, own: np.ndarray, on: Surface, regions: dict[str, np.ndarray],
               tones: dict) -> np.ndarray:
        """Return (N, 3) sRGB float32 in [0, 1]; own: (N, 3) sRGB of the view. regions, tones: of
        `Regions`."""
        lab, out = rgb_to_lab(own[None])[0], own
        for part, dye in self.parts.items():
            if part not in tones:
                continue
            weight, before = regions[part], lab
            if part == "hair" and "skin" in tones:
                pure = unmixed(lab[:, 0], tones["hair"], tones["skin"])
                # where skin shines through, what is bright is skin
                weight, before = weight * pure, lab.copy()
                before[:, 0] -= np.maximum(1 - pure, regions["hairline"]) * np.maximum(
                    lab[:, 0] - regions["hair_light"], 0)
            dyed = lab_to_rgb(dye.of(before, tones[part])[None].astype(np.float32))[0]
            out = out + weight[:, None] * (dyed - out)
        return out.astype(np.float32)


def unmixed(light: np.ndarray, hair, skin) -> np.ndarray:
    """Return (N,) in [0, 1]: how much of a pixel brighter than nearly all hair is hair, where skin
    shines between strands or a hairline crosses it. hair, skin: tones."""
    gap = skin[2][0] - hair[1]
    return np.clip((skin[2][0] - light) / gap, 0, 1) if gap > 12 else np.ones_like(light)


def _hair(summary: str, *colors: Color) -> Recolor:
    return Recolor(summary, {"hair": Dye(*colors)})


RECOLORS: dict[str, Recolor] = {
    "red_hair": _hair("the same head with copper-red hair", (46, 10, 4), (142, 44, 16),
                      (208, 100, 52)),
    "blond_hair": _hair("the same head with blond hair", (84, 56, 26), (186, 142, 82),
                        (246, 220, 164)),
    "blue_hair": _hair("the same head with blue hair", (6, 14, 44), (28, 66, 150),
                       (116, 170, 240)),
    "elf": Recolor("an elf: green skin, bright eyes; hair and clothes as they are", {
        "skin": Dye((40, 62, 58), (124, 158, 138), (206, 226, 204), 0.3),
        "lips": Dye((60, 36, 52), (122, 76, 96), (180, 132, 146), 0.3),
        "iris": Dye((20, 96, 70), (70, 214, 150), (190, 255, 214), 0.1)}),
}
