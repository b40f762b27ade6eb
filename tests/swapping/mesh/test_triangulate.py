"""Fitting the face mesh to views of a head whose geometry is known."""

import pickle

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import topology
from idf_helpers.face.mesh import FaceMesh, vertex_normals
from idf_helpers.swapping.mesh.refine import _solve, refine_face
from idf_helpers.swapping.mesh.triangulate import fit_face, triangulate
from tests.fixtures.face_rig import camera, make_frames, paint, true_mesh

YAWS = (-50, -35, -20, -8, 5, 17, 30, 46)


class Seen:
    """A frame without a picture, for fits from landmarks alone."""

    def __init__(self, yaw, pitch=0.0):
        self.camera = camera(yaw, pitch)


def landmarks_of(frames, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    mesh = true_mesh()
    return [f.camera.project(mesh.vertices)[0] + noise * rng.normal(size=(468, 2)) for f in frames]


def off(mesh, part=slice(None)):
    """Mean distance to the truth, % of the face's width."""
    truth = true_mesh()
    return 100 * np.linalg.norm(mesh.vertices - truth.vertices, axis=1)[part].mean() / truth.width


def test_exact_landmarks_give_the_exact_mesh():
    frames = [Seen(y, p) for y in YAWS for p in (-12, 15)]
    mesh = fit_face(frames, landmarks_of(frames), refine_rounds=0)
    np.testing.assert_allclose(mesh.vertices, true_mesh().vertices, atol=1e-5)
    assert mesh.inliers.all() and (mesh.residuals < 1e-3).all()
    assert (mesh.normals * true_mesh().normals).sum(1).min() > 0.99
    assert mesh.normals[topology.NOSE_TIP, 1] < -0.9  # out of the face, which looks to -y
    assert mesh.width == pytest.approx(true_mesh().width, rel=1e-4)


def test_false_faces_are_voted_out_and_missing_ones_marked():
    frames = [Seen(y) for y in YAWS] + [Seen(y) for y in (175, -160, 150, 90)]
    points = landmarks_of(frames, noise=0.7)
    for k in (8, 9, 10):  # "faces" on the back: a frontal face pasted somewhere
        points[k] = points[4] + (9 * k - 70, 12)
    points[11] = None
    mesh = fit_face(frames, points, refine_rounds=0)
    assert mesh.inliers.tolist() == [True] * 8 + [False] * 4
    assert np.isnan(mesh.residuals[11]) and np.isfinite(mesh.residuals[:11]).all()
    assert (mesh.residuals[8:11] > 3 * mesh.residuals[:8].max()).all()
    assert off(mesh) < 1.0


def test_all_forms_of_landmarks_are_taken():
    class Face:
        def __init__(self, p):
            self.points = np.column_stack([p, np.zeros(468)])

    frames = [Seen(y) for y in YAWS]
    points = landmarks_of(frames)
    plain = fit_face(frames, points, refine_rounds=0)
    faces = fit_face(frames, [[Face(p), Face(p + 50)] for p in points], refine_rounds=0)
    np.testing.assert_allclose(plain.vertices, faces.vertices, atol=1e-9)
    mixed = fit_face(frames, [[]] + [Face(p) for p in points[1:]], refine_rounds=0)
    assert mixed.inliers.tolist() == [False] + [True] * 7


def test_one_bad_landmark_in_a_view_does_not_move_the_mesh():
    frames = [Seen(y) for y in YAWS]
    points = landmarks_of(frames)
    points[3][100] += 25
    assert np.linalg.norm(fit_face(frames, points, refine_rounds=0).vertices[100]
                          - true_mesh().vertices[100]) < 0.005


@pytest.mark.parametrize("case", ["none", "two", "nonsense"])
def test_too_few_views_are_told(case):
    frames = [Seen(y) for y in YAWS]
    points = landmarks_of(frames)
    rng = np.random.default_rng(0)
    points = {"none": [None] * 8, "two": points[:2] + [None] * 6,
              "nonsense": [p * rng.uniform(0.3, 2) + rng.uniform(-300, 300, 2)
                           for p in points]}[case]
    with pytest.raises(IdfError, match="too few views") as error:
        fit_face(frames, points, refine_rounds=0)
    assert "of 8 views" in error.value.found and "--backend mesh" in error.value.do


def test_parallel_cameras_give_no_mesh():
    frames = [Seen(10 + 0.1 * k) for k in range(6)]
    with pytest.raises(IdfError, match="too few views"):
        fit_face(frames, landmarks_of(frames), refine_rounds=0)


def test_wrong_shapes_are_a_callers_bug():
    frames = [Seen(y) for y in YAWS]
    with pytest.raises(ValueError, match="8 frames but 7"):
        fit_face(frames, landmarks_of(frames)[:7], refine_rounds=0)
    with pytest.raises(ValueError, match="expected .468"):
        fit_face(frames, [np.zeros((68, 2))] * 8, refine_rounds=0)


def test_triangulate_is_the_weighted_least_squares_point():
    cameras = [camera(y) for y in (-20, 0, 25)]
    P = np.stack([c.K @ c.w2c_cv[:3] for c in cameras])
    X = np.array([[0.1, -0.2, 0.3], [-0.3, 0.1, 0.0]])
    xy = np.stack([c.project(X)[0] for c in cameras])
    np.testing.assert_allclose(triangulate(P, xy, np.ones((3, 2))), X, atol=1e-5)
    xy[2] += 40  # without weight it does not count
    weight = np.array([[1, 1], [1, 1], [0, 0.0]])
    np.testing.assert_allclose(triangulate(P, xy, weight), X, atol=1e-5)


def test_the_mesh_is_kept(tmp_path):
    frames = [Seen(y) for y in YAWS]
    mesh = fit_face(frames, landmarks_of(frames, 0.5), refine_rounds=0)
    mesh.save(tmp_path / "mesh.npz")
    for again in (FaceMesh.load(tmp_path / "mesh.npz"), pickle.loads(pickle.dumps(mesh))):
        for name, value in mesh.arrays().items():
            np.testing.assert_array_equal(getattr(again, name), value)
    data = (tmp_path / "mesh.npz").read_bytes()
    for broken in (b"", b"no archive", data[:len(data) // 2]):
        (tmp_path / "bad.npz").write_bytes(broken)
        with pytest.raises(IdfError, match="saved FaceMesh .* is damaged"):
            FaceMesh.load(tmp_path / "bad.npz")


# ---------------------------------------------------------------------------- correction by flow

@pytest.fixture(scope="module")
def views():
    truth = true_mesh()
    return make_frames(truth, paint(1, (200, 150, 130)), range(-75, 76, 15), (-12, 14))


def test_pictures_correct_what_all_landmarks_get_wrong(views):
    truth = true_mesh()
    # Cheeks set back by 4 % of the width, as a landmark model that never saw a profile would.
    wrong = truth.vertices.copy()
    side = np.abs(wrong[:, 0]) / np.abs(wrong[:, 0]).max()
    wrong[:, 1] += 0.04 * truth.width * np.sin(np.pi * side)
    mesh = FaceMesh(wrong, vertex_normals(wrong), np.ones(len(views), bool), np.zeros(len(views)))
    cheeks = (side > 0.25) & (side < 0.75)
    depth = [np.abs((m.vertices - truth.vertices)[cheeks, 1]).mean()
             for m in (mesh, refine_face(mesh, views))]
    assert depth[1] < 0.5 * depth[0]


def test_pictures_leave_a_right_mesh_alone(views):
    frames = views
    mesh = fit_face(frames, landmarks_of(frames))
    assert off(mesh) < 0.4


def test_no_rounds_or_too_few_views_change_nothing(views):
    mesh = true_mesh(2)
    assert refine_face(mesh, views[:2]) is mesh
    assert refine_face(true_mesh(len(views)), views, 0).vertices \
        == pytest.approx(mesh.vertices)


def test_the_block_solver_against_numpy():
    rng = np.random.default_rng(0)
    n = 12
    blocks = rng.normal(size=(n, 3, 3))
    blocks = blocks @ blocks.transpose(0, 2, 1)
    C = rng.normal(size=(n, n))
    C = C @ C.T + 0.1 * np.eye(n)
    rhs = rng.normal(size=(n, 3))
    full = np.kron(C, np.eye(3))
    for v in range(n):
        full[3 * v:3 * v + 3, 3 * v:3 * v + 3] += blocks[v]
    expected = np.linalg.solve(full, rhs.ravel()).reshape(n, 3)
    np.testing.assert_allclose(_solve(blocks, C, rhs), expected, atol=1e-4 * np.abs(expected).max())
