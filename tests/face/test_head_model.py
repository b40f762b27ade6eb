"""The bundled face model: its shape, symmetry and names, and files that are none."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.data.samples import path
from idf_helpers.errors import IdfError
from idf_helpers.face import topology
from idf_helpers.face.head_model import BUNDLED, FaceModel
from idf_helpers.face.mesh import vertex_normals


def test_rest_face_is_a_symmetric_face_in_centimeters():
    v = FaceModel.load().rest
    assert v.shape == (468, 3) and v.dtype == np.float32
    np.testing.assert_allclose(v, v[topology.MIRROR] * (-1, 1, 1), atol=1e-4)
    width = np.linalg.norm(v[topology.FACE_LEFT] - v[topology.FACE_RIGHT])
    assert 12.5 < width < 15.5
    assert v[topology.FACE_LEFT, 0] > 0 > v[topology.FACE_RIGHT, 0]  # x: the head's own left
    assert v[topology.FOREHEAD, 1] > v[topology.NOSE_TIP, 1] > v[topology.CHIN, 1]
    assert v[:, 2].argmax() in (1, 4)  # the tip of the nose is foremost
    normals = vertex_normals(v.astype(np.float64))
    assert (normals[topology.NOSE_RIDGE, 2] > 0.2).all() and normals[:, 2].mean() > 0.5


def test_rest_face_lies_on_the_bundled_head():
    """Head A was not among the measured ones: its surface is met after alignment."""
    with np.load(path("head_multiview") / "ground_truth.npz") as z:
        surface = z["surface_points"] * 15.75  # world units to cm
    surface = np.stack([surface[:, 0], surface[:, 2], -surface[:, 1]], 1)  # y up, looking to +z
    v = FaceModel.load().rest - (0, 1.2, 1.8)  # the samples' center
    distance = np.sqrt(((v[:, None] - surface) ** 2).sum(-1).min(1))
    assert np.median(distance) < 0.6  # another person's face, 14 cm wide


def test_vertices_are_linear_in_identity_and_expression():
    m = FaceModel.load()
    assert len(m.expression_names) == 53 and "jawOpen" in m.expression_names
    np.testing.assert_allclose(m.vertices(), m.rest)
    a = m.vertices([1.0, -2.0], {"jawOpen": 0.5})
    k = m.expression_names.index("jawOpen")
    expected = m.rest + m.identity[0] - 2 * m.identity[1] + 0.5 * m.expression[k]
    np.testing.assert_allclose(a, expected, atol=1e-5)
    w = np.zeros(53)
    w[k] = 0.5
    np.testing.assert_array_equal(m.vertices([1.0, -2.0], w), a)
    assert 0 < m.rigid_weights.min() and m.rigid_weights.max() == 1
    for wrong in ({"earWiggle": 1}, np.zeros(52)):
        with pytest.raises(IdfError):
            m.vertices(None, wrong)
    with pytest.raises(IdfError, match="more identity"):
        m.vertices(np.zeros(99))


def test_license_travels_with_the_model():
    text = (BUNDLED.parent / "LICENSE-ICT-FaceKit.txt").read_text(encoding="utf-8")
    assert "USC Institute for Creative Technologies" in text
    assert BUNDLED.stat().st_size < 600_000


def test_bad_model_files_are_told(tmp_path):
    good = FaceModel.load().arrays()

    def saved(**changes):
        np.savez(tmp_path / "m.npz", **{k: v for k, v in (good | changes).items()
                                        if v is not None})
        return tmp_path / "m.npz"

    assert FaceModel.load(saved()).expression_names == FaceModel.load().expression_names
    nan = good["rest"].copy()
    nan[3] = np.nan
    for changes, word in (({"signal": None}, "signal"), ({"rest": good["rest"][:100]}, "rest"),
                          ({"rest": nan}, "rest"), ({"expression_names": None}, "names"),
                          ({"extra": np.zeros(3)}, "extra")):
        with pytest.raises(IdfError) as error:
            FaceModel.load(saved(**changes))
        assert word in str(error.value)
    (tmp_path / "text.npz").write_text("no model")
    for name in ("text.npz", "none.npz"):
        with pytest.raises(IdfError, match="face model"):
            FaceModel.load(tmp_path / name)
