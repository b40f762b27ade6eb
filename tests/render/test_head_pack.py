"""Heads rebuilt from a pack in numpy: a tiny pack made here, and the real one where it is given.

IDF_HEAD_PACK: folder of the real head pack; without it the checks against the bundled ground
truth are skipped (the pack is not part of the project).
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from pack import (
    CENTER,
    REST,
    HeadPack,
    attached_strands,
    to_blender,
    to_world,
    vertex_normals,
)
from render_samples import ground_truth

from idf_helpers.data import samples
from idf_helpers.errors import IdfError

EXPRESSIONS = ("jawOpen", *REST)


@pytest.fixture
def tiny(tmp_path):
    """A pack of a cube ("skin", quads) and a triangle ("lash"), two identities, known deltas."""
    rng = np.random.default_rng(3)
    cube = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    base = np.concatenate([cube, [[0, 0, 2], [1, 0, 2], [0, 1, 2]]]).astype(np.float32)
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3],
             [8, 9, 10]]
    delta = rng.uniform(-1, 1, (len(EXPRESSIONS), len(base), 3))
    scale = np.abs(delta).max((1, 2)) / 32767
    core = {
        "base": base,
        "face_len": np.array([len(f) for f in faces], np.uint8),
        "face_flat": np.concatenate(faces).astype(np.int32),
        "face_uv_flat": np.arange(27, dtype=np.int32),
        "uv": rng.random((27, 2)).astype(np.float32),
        "part_names": np.array(["skin", "lash"]),
        "part_face_range": np.array([[0, 6], [6, 7]], np.int32),
        "expr_names": np.array(EXPRESSIONS),
        "expr_q": np.round(delta / scale[:, None, None]).astype(np.int16),
        "expr_scale": scale.astype(np.float32),
        "landmarks68": np.arange(68, dtype=np.int32) % 8,
        "id_A_delta": np.zeros_like(base, np.float16),
        "id_B_delta": np.full_like(base, 0.25, np.float16),
        "mask_cheek": np.array([0, 255, 51, 0, 0, 0, 0, 0], np.uint8),
    }
    np.savez(tmp_path / "head_core.npz", **core)
    tri = np.array([[1, 5, 7], [0, 4, 5]], np.int32)
    np.savez(tmp_path / "strands_A.npz", brow_tri=tri,
             brow_bary=np.array([[0.2, 0.3, 0.5], [1, 0, 0]], np.float32),
             brow_local=np.array([[[0, 0, 0], [0, 0, 1]], [[0, 0, 0], [1, 2, 3]]], np.float16))
    (tmp_path / "look_A.json").write_text(json.dumps({"tone": "c08d72"}))
    return HeadPack(tmp_path), delta


def test_expressions_are_weighted_sums_of_quantized_deltas(tiny):
    pack, delta = tiny
    half_step = 0.5 * np.abs(delta).max() / 32767
    got = pack.vertices("B", {"jawOpen": 0.5, "mouthSmile_L": 1.0})
    expected = pack.base + 0.25 + 0.5 * delta[0] + delta[EXPRESSIONS.index("mouthSmile_L")]
    np.testing.assert_allclose(got, expected, atol=1.5 * half_step + 1e-6)
    np.testing.assert_array_equal(pack.vertices("A", {}), pack.base)
    rest = pack.base + sum(w * delta[EXPRESSIONS.index(n)] for n, w in REST.items())
    np.testing.assert_allclose(pack.vertices("A"), rest, atol=2 * half_step)


def test_unknown_names_are_told(tiny, tmp_path):
    pack, _ = tiny
    for ask, found in ((lambda: pack.vertices("Z"), "identities: A, B"),
                       (lambda: pack.vertices("A", {"earWiggle": 1}), "it has 5"),
                       (lambda: pack.part("tail"), "parts: skin, lash"),
                       (lambda: HeadPack(tmp_path / "none"), "no head_core.npz")):
        with pytest.raises(IdfError) as error:
            ask()
        assert found in error.value.found


def test_parts_are_renumbered(tiny):
    pack, _ = tiny
    lash = pack.part("lash")
    assert lash.vertex_ids.tolist() == [8, 9, 10] and lash.face_flat.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(lash.uv, pack.core["uv"][24:27])
    skin = pack.part("skin")
    assert skin.face_len.tolist() == [4] * 6 and len(skin.vertex_ids) == 8
    np.testing.assert_allclose(pack.mask("cheek")[:3], [0, 1, 0.2], atol=1e-7)
    assert len(pack.mask("cheek")) == 11 and not pack.mask("cheek")[8:].any()


def test_normals_of_a_quad_are_those_of_its_fan():
    # A flat quad in z = 0, counterclockwise from +z, and a vertex without a face.
    v = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0], [9, 9, 9.0]])
    n = vertex_normals(v, [4], [0, 1, 2, 3])
    np.testing.assert_allclose(n[:4], [[0, 0, 1]] * 4)
    np.testing.assert_array_equal(n[4], 0)
    # Bent along 0-2: the triangles (0, 1, 2) and (0, 2, 3) weigh by area.
    v[3] = [0, 1, 1]
    n = vertex_normals(v, [4], [0, 1, 2, 3])
    first, second = np.cross(v[1] - v[0], v[2] - v[0]), np.cross(v[2] - v[0], v[3] - v[0])
    both = first + second
    np.testing.assert_allclose(n[[0, 2]], [both / np.linalg.norm(both)] * 2)
    np.testing.assert_allclose(n[1], first / np.linalg.norm(first))
    np.testing.assert_allclose(n[3], second / np.linalg.norm(second))


def test_normals_of_a_sphere_point_outwards():
    # Latitude and longitude grid of quads, triangles at the poles.
    rows, cols = 24, 48
    lat = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[1:-1]
    lon = np.arange(cols) * 2 * np.pi / cols
    grid = [[np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)] for a in lat for b in lon]
    v = np.array([*grid, [0, 0, -1], [0, 0, 1]])
    faces = []
    for c in range(cols):
        d = (c + 1) % cols
        faces += [[r * cols + c, r * cols + d, (r + 1) * cols + d, (r + 1) * cols + c]
                  for r in range(rows - 2)]
        faces += [[len(grid), d, c], [len(grid) + 1, (rows - 2) * cols + c, (rows - 2) * cols + d]]
    n = vertex_normals(v, [len(f) for f in faces], np.concatenate(faces))
    assert (n * v).sum(1).min() > 0.99


def test_strands_ride_on_the_skin():
    v = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    n = np.array([[0, 0, 1.0]] * 3)
    tri, bary = np.array([[0, 1, 2]]), np.array([[0.5, 0.25, 0.25]])
    local = np.array([[[0, 0, 0], [1, 2, 3]]])
    # n = z, u = y x z = x, w = n x u = y: the local frame is the world's here.
    got = attached_strands(v, n, tri, bary, local)
    np.testing.assert_allclose(got, [[[0.25, 0.25, 0], [1.25, 2.25, 3]]])
    # Facing along x: u = y x x = -z, w = x x -z = y.
    got = attached_strands(v, np.array([[1.0, 0, 0]] * 3), tri, bary, local)
    np.testing.assert_allclose(got[0, 1] - got[0, 0], [3, 2, -1])
    # They turn with the skin about the vertical axis.
    R = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0.0]])
    turned = attached_strands(v @ R.T, n @ R.T, tri, bary, local)
    np.testing.assert_allclose(turned, attached_strands(v, n, tri, bary, local) @ R.T, atol=1e-12)


def test_attached_strands_of_a_pack(tiny):
    pack, _ = tiny
    v = pack.vertices("A", {})
    brows = pack.attached("A", "brow", v)
    assert brows.shape == (2, 2, 3)
    np.testing.assert_allclose(brows[0, 0], 0.2 * v[1] + 0.3 * v[5] + 0.5 * v[7], atol=1e-6)
    assert np.linalg.norm(brows[0, 1] - brows[0, 0]) == pytest.approx(1, abs=1e-3)
    assert pack.attached("A", "stubble", v) is None


def test_world_frame():
    # The head's left (+x), its front (+z) and its top (+y), in centimeters.
    np.testing.assert_allclose(to_blender([[1, 2, 3]]), [[0.1, -0.3, 0.2]])
    at_center = [CENTER[0] * 10, CENTER[2] * 10, -CENTER[1] * 10]
    np.testing.assert_allclose(to_world(at_center), 0, atol=1e-12)
    step = to_world(np.add(at_center, (0, 63, 0)))
    np.testing.assert_allclose(step, [0, 0, 4], atol=1e-12)


needs_pack = pytest.mark.skipif(
    not os.environ.get("IDF_HEAD_PACK"),
    reason="IDF_HEAD_PACK is not set; the head pack is not part of the project")


@pytest.fixture(scope="module")
def real():
    return HeadPack(os.environ["IDF_HEAD_PACK"])


@needs_pack
def test_pack_agrees_with_the_bundled_ground_truth(real):
    with np.load(samples.path("head_multiview") / "ground_truth.npz") as z:
        marks = z["landmarks68"]
    got = to_world(real.landmarks(real.vertices("A")))
    np.testing.assert_allclose(got, marks, atol=1e-6)
    assert "MIT License" in (real.folder / "LICENSES.md").read_text(encoding="utf-8")


@needs_pack
@pytest.mark.parametrize("identity", "ABC")
def test_rebuilt_brows_match_the_stored_ones(real, identity):
    got = real.attached(identity, "brow", real.vertices(identity, {}))
    stored = real.strands(identity)["brow_neutral"].astype(float)
    assert np.linalg.norm(got - stored, axis=-1).max() < 0.01  # cm


@needs_pack
def test_ground_truth_lies_on_the_face(real):
    truth = ground_truth(real)
    points, normals = truth["surface_points"], truth["surface_normals"]
    assert points.shape == normals.shape == (3000, 3) and points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (normals[:, 1] < 0).all()
    v = to_world(real.vertices("A"))[:11248]
    nearest = np.sqrt(((points[::50, None] - v[None]) ** 2).sum(-1).min(1))
    assert nearest.max() < 0.04
