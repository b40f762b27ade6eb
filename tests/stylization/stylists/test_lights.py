import numpy as np
import pytest

from idf_helpers.stylization.stylists.lights import (
    STUDIO,
    Lamp,
    irradiance,
    light_of,
    reflection,
    shown,
)


def sphere(count=200_000):
    """Unit directions, evenly spread (Fibonacci)."""
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)


def radiance(lamp, ways):
    s = lamp.sharpness
    return np.exp(s * (ways @ lamp.axis - 1)) * s / (2 * np.pi * (1 - np.exp(-2 * s)))


@pytest.mark.parametrize("sharpness", [1.6, 10.0, 40.0])
def test_irradiance_is_the_integral_over_the_sphere(sharpness):
    lamp, ways = Lamp((0, 0, 1), (1, 1, 1), sharpness), sphere()
    angles = np.radians(np.arange(0, 180, 15))
    normals = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1).astype(np.float32)
    light = radiance(lamp, ways) * 4 * np.pi / len(ways)
    true = np.clip(ways @ normals.T, 0, None).T @ light
    np.testing.assert_allclose(irradiance(normals, (lamp,))[:, 0], true, atol=0.035)


@pytest.mark.parametrize("roughness", [0.3, 0.5])
def test_reflection_is_near_the_integral_of_the_ggx_lobe(roughness):
    lamp, ways = Lamp((0.5, 0.2, 1), (1, 1, 1), 20.0), sphere()
    back = np.array([0.0, 0.0, 1.0])
    angles = np.radians(np.arange(-30, 61, 10))
    normals = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1).astype(np.float32)
    found = reflection(normals, np.tile(back, (len(normals), 1)), roughness, (1, 1, 1),
                       (lamp,))[:, 0]
    m2 = roughness**2
    true = []
    for n in normals.astype(float):
        half = ways + back
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        n_h, n_l, n_v = half @ n, np.clip(ways @ n, 0, None), n @ back
        d = m2 / (np.pi * (n_h**2 * (m2 - 1) + 1) ** 2)
        v = 1 / ((n_l + np.sqrt(m2 + (1 - m2) * n_l**2)) * (n_v + np.sqrt(m2 + (1 - m2) * n_v**2)))
        true.append(np.pi * (radiance(lamp, ways) * d * v * n_l).sum() * 4 * np.pi / len(ways))
    true = np.array(true)
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert abs(found.max() / true.max() - 1) < 0.25


def test_a_mirrored_lamp_moves_with_the_camera():
    lamp = STUDIO[0]
    angles = np.radians(np.arange(-60, 61, 2))
    normals = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1).astype(np.float32)
    peaks = []
    for way in ((0, 0, 1), (0.6, 0, 0.8)):
        made = reflection(normals, np.tile(np.float32(way), (len(normals), 1)), 0.2, (1, 1, 1),
                          (lamp,))
        half = np.array(way) + lamp.axis
        peaks.append(np.degrees(angles[made.sum(1).argmax()]))
        assert abs(peaks[-1] - np.degrees(np.arctan2(half[0], half[2]))) < 12
    assert peaks[1] - peaks[0] > 10


def test_what_is_shown_can_be_undone():
    light = np.linspace(0, 3, 50, dtype=np.float32)
    color = shown(light)
    assert (np.diff(color) > 0).all() and 0 <= color.min() and color.max() < 1
    np.testing.assert_allclose(light_of(color), light, rtol=2e-3, atol=1e-4)
