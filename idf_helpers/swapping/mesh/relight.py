"""Move a face's colors onto another skin and into another light, keeping hair as dark as it is.

Adding the difference of two skins to every pixel grays black brows when a dark face meets a light
one; multiplying brightens stubble and burns highlights. Here skin is added, darkness is
multiplied, and highlights are compressed, each against a smooth field of the skin's own color.
"""

from __future__ import annotations

import numpy as np

from ...face.color import skin_field, smoothstep

LOW_FREQUENCY = 0.8  # share of the target's light and shading that is taken over
SIGMA = 0.10  # how smooth light and shading are, share of the face's width
# Share of the skin's lightness by which a pixel must be darker to count fully as hair, crease or
# lash.
DARK = 0.5
# Share of the skin's change in color that hair takes part in: 0 leaves black black, 1 makes it gray
# on a lighter skin.
LIFT = 0.6
CONTRAST = (0.7, 1.25)  # bounds of the ratio of fine contrast target/source


def _stats(lab, weight) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and standard deviation (3,) under `weight` (H, W)."""
    w = weight.reshape(-1).astype(np.float64)
    x = lab.reshape(-1, 3)
    mean = w @ x / w.sum()
    return mean, np.sqrt(w @ (x - mean) ** 2 / w.sum())


def relight(source, target, source_skin, target_skin, size: float) -> np.ndarray:
    """Return the source's Lab picture in the target's skin color and light.

    source, target: (H, W, 3) float32 Lab, aligned pixel by pixel. source_skin, target_skin: (H, W)
    weights of bare skin (no hair, lips or eyes). size: face width in pixels.
    Returns (H, W, 3) float32 Lab; the source itself where one of the two shows no skin.

    With skin fields S and T, d = source - S, k = how dark the pixel is against S:
        skin   T + g d, lightness above T squeezed into the room below white
        hair   L T_L / S_L (black stays black), a and b its own; then LIFT of the way to "skin"
    """
    source_skin, target_skin = (np.asarray(m, np.float32) for m in (source_skin, target_skin))
    if source_skin.sum() < 1 or target_skin.sum() < 1:
        return source
    sigma = SIGMA * size
    mean_s, _ = _stats(source, source_skin)
    mean_t, _ = _stats(target, target_skin)
    S = skin_field(source, source_skin, sigma)
    T = skin_field(target, target_skin, sigma)
    # The share of the source's own shading that stays.
    T = LOW_FREQUENCY * T + (1 - LOW_FREQUENCY) * (S - mean_s + mean_t)
    T, S = T.astype(np.float32), np.maximum(S, (1, -128, -128)).astype(np.float32)
    d = source - S
    _, fine_s = _stats(d, source_skin)
    _, fine_t = _stats(target - skin_field(target, target_skin, sigma), target_skin)
    g = np.clip(fine_t / np.maximum(fine_s, 1e-3), *CONTRAST).astype(np.float32)

    skin = d * g
    room = np.maximum(0.8 * (100 - T[..., 0]), 1)
    up = np.maximum(skin[..., 0], 0)
    skin[..., 0] = np.where(skin[..., 0] > 0, room * (1 - np.exp(-up / room)), skin[..., 0])
    skin += T
    hair = source.copy()
    hair[..., 0] *= T[..., 0] / S[..., 0]
    # Lifted hair takes the tint of the skin in shade; the skin's rule would turn black to blue.
    L = hair[..., 0] + LIFT * (skin[..., 0] - hair[..., 0])
    shade = T[..., 1:] * (L / np.maximum(T[..., 0], 1))[..., None]
    hair[..., 1:] += LIFT * (shade - hair[..., 1:])
    hair[..., 0] = L
    k = smoothstep(-d[..., 0] / (DARK * S[..., 0]))[..., None]
    return (skin * (1 - k) + hair * k).astype(np.float32)
