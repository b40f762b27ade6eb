"""Light from the side is taken out of a source photo, and nothing else."""

import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.swapping.mesh.even_light import even_light
from idf_helpers.swapping.source import from_image


def lit_from_the_side(picture, strength=0.9):
    x = np.linspace(-1, 1, picture.shape[1])[None, :, None]
    light = 0.35 + strength / (1 + np.exp(-9 * x))
    return (255 * np.clip((picture / 255.0) ** 2.2 * light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def cheeks(picture, xy):
    return [np.median([picture[int(y), int(x)] for x, y in xy[ring]], axis=0).mean()
            for ring in (topology.RIGHT_CHEEK, topology.LEFT_CHEEK)]


@pytest.mark.parametrize("name", ["B", "C"])
def test_both_sides_become_equally_bright(photos, detector, name):
    face = detector.detect(photos[name])[0]
    lit = lit_from_the_side(photos[name])
    right, left = cheeks(lit, face.xy)
    before = abs(np.log(left / right))
    assert before > 0.25
    right, left = cheeks(even_light(lit, face), face.xy)
    assert abs(np.log(left / right)) < 0.45 * before


def test_an_even_photo_stays_nearly_as_it_is(photos, detector):
    face = detector.detect(photos["C"])[0]
    out = even_light(photos["C"], face)
    assert np.abs(out.astype(int) - photos["C"]).mean() < 1.5
    np.testing.assert_array_equal(out[:30], photos["C"][:30])  # far from the face


def test_the_dark_half_of_a_face_is_still_skin(photos, detector):
    plain, lit = (from_image(p, detector) for p in (photos["C"],
                                                    lit_from_the_side(photos["C"])))
    np.testing.assert_array_equal(lit.image.shape, plain.image.shape)
    assert lit.skin.mean() > plain.skin.mean() - 0.02
    assert (lit.even != lit.image).any()
