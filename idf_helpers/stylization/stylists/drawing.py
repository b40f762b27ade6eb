"""A pencil drawing: strokes that cling to the head, denser where it is darker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...face.color import rgb_to_lab, smoothstep
from ..shape import Surface
from .lights import irradiance, linear_to_srgb, srgb_to_linear
from .noise import noise

# Strokes of a layer are the cuts of the surface with planes at right angles to a direction in head
# axes; a layer is drawn where the tone is below its limit.
LAYERS = (((0.75, 0.60, 0.28), 0.80), ((-0.55, 0.75, 0.36), 0.52), ((0.20, 0.95, -0.25), 0.30))
SPACING = 0.028  # head axes' units between strokes
LEAD = 0.62  # share of a stroke's ink where it is darkest
BLEND = 0.22  # of tones, below a layer's limit, over which its strokes reach full ink
RIM = 0.30  # cosine to the camera below which the outline is drawn


@dataclass(frozen=True)
class Drawing:
    """paper, lead: sRGB 0-255."""

    summary: str
    paper: tuple[int, int, int] = (247, 244, 237)
    lead: tuple[int, int, int] = (52, 52, 58)
    regions = False

    def styled(self, own: np.ndarray, on: Surface, regions=None) -> np.ndarray:
        """Return (N, 3) sRGB of the strokes; own: (N, 3) sRGB of the view."""
        return self._inked(self._ink(own, on))

    def finished(self, picture: np.ndarray, on: Surface, strength: float) -> np.ndarray:
        """Return (N, 3) with the outline as this camera sees it."""
        facing = (on.normal * on.back).sum(1)
        line = strength * 0.75 * smoothstep((RIM - facing) / (0.6 * RIM))[:, None]
        return picture + line * (np.minimum(picture, np.float32(self.lead) / 255) - picture)

    def _inked(self, ink: np.ndarray) -> np.ndarray:
        paper, lead = (srgb_to_linear(np.array(c) / 255) for c in (self.paper, self.lead))
        light = np.exp(np.log(paper) + ink[:, None] * (np.log(lead) - np.log(paper)))
        return linear_to_srgb(light)

    def _ink(self, own: np.ndarray, on: Surface) -> np.ndarray:
        light = irradiance(on.bumped(0.8)).mean(1)
        tone = np.clip(0.48 * rgb_to_lab(own[None])[0, :, 0] / 80 + 0.46 * light, 0, 1)
        pixel = max(1e-4, float(np.ptp(on.place[:, 1])) / on.height)
        sway = 0.55 * noise(on.place, 2.5, 2, 11)
        ink = np.zeros(len(tone), np.float32)
        for k, (toward, limit) in enumerate(LAYERS):
            d = np.array(toward, np.float32)
            across = np.sqrt(np.clip(1 - (on.soft @ d) ** 2, 0, 1))  # 0: the plane lies in it
            u = on.place @ d / SPACING + sway + 0.3 * k
            off = np.abs(u - np.round(u))  # 0 in the middle of a stroke
            dark = smoothstep((limit - tone) / BLEND)
            width = 0.06 + 0.17 * dark
            edge = max(0.06, 0.9 * pixel / SPACING)
            stroke = np.clip((width - off) / edge + 0.5, 0, 1)
            pressed = 0.75 + 0.35 * noise(on.place, 9.0, 2, 20 + k)
            drawn = LEAD * stroke * dark * pressed * smoothstep(2 * across)
            ink = np.maximum(ink, 0.5 * ink + drawn)
        line = 2.6 * np.clip(-on.detail - 0.02, 0, 0.3)
        grain = 0.06 * noise(on.place, 60.0, 2, 30)
        wash = 0.34 * np.clip(0.75 - tone, 0, 1)  # rubbed with a finger
        return np.clip(np.maximum(ink, line) + wash + grain * (0.3 + ink), 0, 1)


DRAWINGS = {"pencil": Drawing("a drawing in pencil")}
