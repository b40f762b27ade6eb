"""The light that materials stand in: a few soft lamps, fixed to the head, and what a surface makes
of it, in closed form.

A lamp is a spherical Gaussian G(v) = a exp(s (v · axis - 1)). Its irradiance is Stephen Hill's fit
(https://therealmjp.github.io/posts/sg-series-part-3-diffuse-lighting-from-an-sg-light-source/);
its reflection is the product with the GGX distribution of a rough surface's normals, which Wang et
al. (SIGGRAPH Asia 2009) turn into a spherical Gaussian about the mirrored view
(https://therealmjp.github.io/posts/sg-series-part-4-specular-lighting-from-an-sg-light-source/).
Light is scaled by π: a white, matt surface that faces a lamp shows its `light`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHOULDER = 3.0  # how suddenly bright light saturates
BRIGHTEST = 0.998  # of a shown color that its light can be told from


@dataclass(frozen=True)
class Lamp:
    """toward: direction to it in head axes (x right of one who looks at the face, y up, z out of
    it), any length. light: linear RGB on a surface that faces it. sharpness: s; 2 is half the sky,
    60 a window."""

    toward: tuple[float, float, float]
    light: tuple[float, float, float]
    sharpness: float

    @property
    def axis(self) -> np.ndarray:
        v = np.array(self.toward, np.float32)
        return v / np.linalg.norm(v)


STUDIO = (
    Lamp((-0.62, 0.62, 0.62), (1.15, 1.08, 0.98), 22.0),  # a window, left above the face
    Lamp((0.85, 0.15, 0.45), (0.26, 0.30, 0.36), 10.0),  # a cool reflector
    Lamp((0.80, 0.50, -0.65), (0.62, 0.64, 0.70), 26.0),  # behind, for the rim
    Lamp((-0.75, 0.35, -0.80), (0.50, 0.47, 0.44), 14.0),
    Lamp((0.0, 1.0, 0.0), (0.30, 0.32, 0.35), 1.6),  # ceiling
    Lamp((0.0, -1.0, 0.1), (0.10, 0.085, 0.075), 1.6),  # floor
)


def irradiance(normal: np.ndarray, lamps=STUDIO, wrap: float = 0.0) -> np.ndarray:
    """Return (N, 3) float32 light on matt surfaces with (N, 3) unit normals.

    wrap: in [0, 1), how far light goes around the edge of the shadow, as through wax: the lamps
    become that much softer.
    """
    out = np.zeros((len(normal), 3), np.float32)
    for lamp in lamps:
        s = lamp.sharpness * (1 - wrap) + 1.2 * wrap
        out += _share(normal @ lamp.axis, s)[:, None] * np.float32(lamp.light)
    return out


def _share(cosine: np.ndarray, s: float) -> np.ndarray:
    """Return irradiance over that of the same light from one direction that is faced."""
    low, lower, r = np.exp(-s), np.exp(-2 * s), 1 / s
    scale, bias = 1 + 2 * lower - r, (low - lower) * r - lower
    c0 = 0.36
    edge = np.sqrt(1 - scale) / (4 * c0)
    x = c0 * cosine
    n = x + edge
    rise = np.where(np.abs(x) <= edge, n * n / np.sqrt(1 - scale), np.clip(cosine, 0, 1))
    return np.maximum(scale * rise + bias, 0).astype(np.float32)


def reflection(normal: np.ndarray, back: np.ndarray, roughness: float, tint, lamps=STUDIO
               ) -> np.ndarray:
    """Return (N, 3) float32 light mirrored toward the camera.

    normal, back: (N, 3) unit, `back` toward the camera. roughness: GGX's, in (0, 1]. tint: (3,) or
    (N, 3) linear reflectance of a surface seen head-on; it rises to 1 at grazing angles (Schlick's
    Fresnel term).
    """
    m2 = max(float(roughness), 0.05) ** 2
    n_v = np.clip((normal * back).sum(1), 1e-3, 1)
    mirrored = 2 * n_v[:, None] * normal - back
    n_l = np.clip((normal * mirrored).sum(1), 0, 1)
    half = mirrored + back
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    grazing = (1 - np.clip((mirrored * half).sum(1), 0, 1)) ** 5
    lobe = (2 / m2) / (4 * n_v)
    out = np.zeros((len(normal), 3), np.float32)
    for lamp in lamps:
        s = lamp.sharpness
        strength = s / (2 * np.pi * (1 - np.exp(-2 * s)))  # so that its integral is 1
        both = np.sqrt(np.maximum(lobe**2 + s * s + 2 * lobe * s * (mirrored @ lamp.axis), 1e-6))
        met = 2 * np.pi * strength / m2 * np.exp(both - lobe - s) * (1 - np.exp(-2 * both)) / both
        out += met[:, None].astype(np.float32) * np.float32(lamp.light)
    shadowing = _smith(m2, n_l) * _smith(m2, n_v) * n_l
    tint = np.asarray(tint, np.float32)
    fresnel = tint + (1 - tint) * grazing[:, None] * (1 - 0.7 * np.sqrt(m2))
    return (out * shadowing[:, None] * fresnel).astype(np.float32)


def _smith(m2: float, cosine: np.ndarray) -> np.ndarray:
    return 1 / (cosine + np.sqrt(m2 + (1 - m2) * cosine**2))


def shown(light: np.ndarray) -> np.ndarray:
    """Return linear light as a display shows it, sRGB float32 in [0, 1), the brightest saturated
    softly."""
    x = np.maximum(light, 0)
    y = x / (1 + x**SHOULDER) ** (1 / SHOULDER)
    return linear_to_srgb(y)


def light_of(color: np.ndarray) -> np.ndarray:
    """Return the linear light that `shown` shows as a color in [0, 1]."""
    y = np.minimum(srgb_to_linear(color), BRIGHTEST)
    return (y / (1 - y**SHOULDER) ** (1 / SHOULDER)).astype(np.float32)


def srgb_to_linear(color) -> np.ndarray:
    """Return sRGB in [0, 1] as linear float32."""
    c = np.asarray(color, np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(light) -> np.ndarray:
    """Return linear light in [0, 1] as sRGB float32."""
    y = np.asarray(light, np.float32)
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * np.maximum(y, 1e-8) ** (1 / 2.4) - 0.055
                    ).astype(np.float32)
