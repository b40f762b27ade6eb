"""Materials: what a head looks like that is made of one stuff, in the light of `lights`.

What does not depend on where one looks from (`matt`) can be carried from view to view; what is
mirrored (`gloss`) moves with the camera and is added to each view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...face.color import lab_to_rgb, rgb_to_lab, smoothstep
from ..shape import Surface, unit
from .lights import STUDIO, irradiance, light_of, reflection, shown, srgb_to_linear
from .noise import noise

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Material:
    """One stuff.

    color: of its matt part, sRGB 0-255. tint: what it mirrors, sRGB 0-255: its color for a metal,
    nearly black for everything else. roughness: 0.05 a mirror, 1 chalk. relief: how deep the
    picture's detail is cut into it. drawn: how much of that detail is seen as light and dark.
    wrap: how far red, green and blue light go through it, in [0, 1). hollows: how much darker
    hollows are. coat: (reflectance, roughness) of a clear glaze. second: the color of veins,
    patina or dirt; of: what it follows. own: share of the picture's own color kept.
    """

    summary: str
    color: Color
    tint: Color = (56, 56, 56)
    roughness: float = 0.5
    relief: float = 1.0
    drawn: float = 0.5
    wrap: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hollows: float = 0.6
    coat: tuple[float, float] | None = None
    second: Color | None = None
    of: str = ""
    own: float = 0.0
    regions = False

    def styled(self, own: np.ndarray, on: Surface, regions=None) -> np.ndarray:
        """Return (N, 3) sRGB float32 in [0, 1] of the matt part; own: (N, 3) sRGB of the view."""
        return shown(self.matt(on, own))

    def finished(self, picture: np.ndarray, on: Surface, strength: float) -> np.ndarray:
        """Return (N, 3) with what this camera sees mirrored."""
        return shown(light_of(picture) + np.float32(strength) * self.gloss(on))

    def normals(self, on: Surface) -> np.ndarray:
        return on.bumped(self.relief)

    def share(self, on: Surface) -> np.ndarray:
        """Return (N, 1) float32 in [0, 1]: how much of the second color a place has."""
        if self.of == "patina":  # in hollows, where rain stays, and in patches
            found = 0.55 * noise(on.place, 3.0, 4, 1) - 0.42 + 1.2 * on.hollow \
                - 1.6 * on.detail + 0.2 * np.maximum(on.normal[:, 1], 0)
        elif self.of == "veins":
            warp = np.stack([noise(on.place, 1.6, 4, 7 + k) for k in range(3)], 1)
            # sheets through the block, bent by the warp and of changing width
            sheet = on.place @ np.float32((0.55, 0.65, 0.5)) + 0.55 * warp[:, 0]
            line = np.abs(np.mod(sheet / 0.62, 1) - 0.5)
            thin = np.abs(noise(on.place + 0.3 * warp, 1.9, 2, 14))
            wide = 0.05 * (1 + 0.8 * warp[:, 1])
            return (0.42 * np.exp(-line / np.maximum(wide, 0.012))
                    + 0.12 * np.exp(-thin / 0.05) * smoothstep(0.5 + warp[:, 2])
                    + 0.14 * smoothstep(0.5 + noise(on.place, 1.2, 3, 9)))[:, None].clip(0, 1)
        elif self.of == "dirt":
            found = 1.2 * on.hollow - 1.6 * on.detail + 0.15 * noise(on.place, 5.0, 3, 2)
        else:
            return np.zeros((len(on.place), 1), np.float32)
        return smoothstep(found)[:, None].astype(np.float32)

    def albedo(self, on: Surface, share: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Return (N, 3) linear color of the matt part. own: (N, 3) sRGB of the view."""
        color = np.broadcast_to(srgb_to_linear(np.array(self.color) / 255), on.place.shape)
        if self.second is not None:
            color = color + share * (srgb_to_linear(np.array(self.second) / 255) - color)
        if self.own:
            lab = rgb_to_lab(shown(color)[None])[0]
            lab[:, 1:] += self.own * rgb_to_lab(own[None])[0][:, 1:]
            color = srgb_to_linear(lab_to_rgb(lab[None])[0])
        return color * np.exp(1.8 * self.drawn * on.detail)[:, None]

    def matt(self, on: Surface, own: np.ndarray) -> np.ndarray:
        """Return (N, 3) linear light that goes the same way in every direction. own: (N, 3) sRGB of
        the view."""
        n = self.normals(on)
        open_sky = (1 - self.hollows * on.hollow) * np.exp(self.hollows * np.minimum(on.detail, 0))
        light = np.empty_like(on.place)
        for c, wrap in enumerate(self.wrap):
            # light that goes through a stuff blurs its small forms, red most
            bent = unit(n + 0.9 * wrap * (on.soft - n)) if wrap else n
            light[:, c] = irradiance(bent, STUDIO, wrap)[:, c]
        shade = open_sky[:, None] ** (1 - 0.6 * np.array(self.wrap, np.float32))
        return self.albedo(on, self.share(on), own) * light * shade

    def gloss(self, on: Surface) -> np.ndarray:
        """Return (N, 3) linear light that is mirrored toward the camera."""
        n, share = self.normals(on), self.share(on) if self.of == "patina" else 0.0
        tint = srgb_to_linear(np.array(self.tint) / 255)
        out = reflection(n, on.back, self.roughness, tint) * (1 - 0.85 * share)
        if self.coat:
            # a glaze lies smooth over the relief
            over = unit(n + 0.6 * (on.soft - n))
            out = out + reflection(over, on.back, self.coat[1], (self.coat[0],) * 3)
        held = (1 - self.hollows * on.hollow) * np.exp(1.5 * np.minimum(on.detail, 0))
        return out * held[:, None]


MATERIALS: dict[str, Material] = {
    "bronze": Material("a bust of patinated bronze", (78, 50, 32), (178, 118, 72), 0.34,
                       relief=1.5, drawn=0.5, hollows=0.85, second=(66, 92, 80), of="patina"),
    "gold": Material("polished gold", (120, 82, 22), (255, 206, 112), 0.26, relief=1.2, drawn=0.3,
                     hollows=0.8),
    "marble": Material("a bust of white marble", (212, 210, 206), (52, 52, 52), 0.40, relief=1.2,
                       drawn=0.30, wrap=(0.30, 0.26, 0.22), hollows=0.7, second=(128, 132, 142),
                       of="veins"),
    "wax": Material("a figure of wax", (214, 172, 116), (50, 50, 50), 0.42, relief=0.9, drawn=0.35,
                    wrap=(0.75, 0.50, 0.28), hollows=0.6, own=0.3),
    "porcelain": Material("glazed porcelain with a little paint left", (214, 218, 224),
                          (30, 30, 30), relief=0.7, drawn=0.35, wrap=(0.15, 0.15, 0.2), hollows=0.6,
                          coat=(0.05, 0.12), own=0.6),
    "clay": Material("modeling clay", (172, 164, 154), (24, 24, 24), 0.9, relief=1.7, drawn=0.35,
                     hollows=0.9, second=(110, 102, 94), of="dirt"),
    "terracotta": Material("fired clay", (196, 112, 76), (28, 28, 28), 0.85, relief=1.7,
                           drawn=0.35, hollows=0.85, second=(112, 54, 38), of="dirt"),
    "jade": Material("polished green jade", (112, 164, 122), (54, 54, 54), 0.22, relief=1.1,
                     drawn=0.35, wrap=(0.45, 0.6, 0.5), hollows=0.6, second=(48, 98, 72),
                     of="dirt"),
}
