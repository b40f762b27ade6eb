"""Heads that talk: the mesh follows the face, and only the face."""

from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import samples
from idf_helpers.face import topology
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.mesh import FaceMesh
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.evaluate import evaluate
from idf_helpers.swapping.mesh.mesh_tracking import (
    Tracks,
    bent,
    bridge,
    follow,
    neighbor_mean,
)
from idf_helpers.swapping.uv_method import MESH_FILE, TRACKS_FILE
from tests.fixtures.datasets import part_of_talking
from tests.fixtures.face_rig import camera, true_mesh

N = 60
LIPS = [13, 14, 17, 0]


@pytest.fixture(scope="module")
def talking():
    """Frames, landmarks with noise and a bias that goes with the turn, and the true vertices."""
    rng = np.random.default_rng(1)
    rest, frames, points, truth = true_mesh(), [], [], []
    lower = np.zeros(468)
    lower[[14, 17, 87, 317, 84, 314, 16, 15, 178, 402]] = 1
    for i in range(N):
        cam = camera(20 * np.sin(i / 9), 6 * np.cos(i / 7))
        vertices = rest.vertices.copy()
        vertices[:, 2] -= 0.08 * lower * (np.sin(i / 3) > 0.3)
        xy, _ = cam.project(vertices)
        bias = np.zeros((468, 2))
        bias[topology.RIGHT_CHEEK, 0] = 4 * np.sin(20 * np.sin(i / 9) / 57)
        frames.append(SimpleNamespace(camera=cam, name=f"f_{i:04d}"))
        points.append((xy + bias + rng.normal(0, 0.25, xy.shape)).astype(np.float32))
        truth.append(vertices)
    return rest, frames, points, np.stack(truth)


def test_the_mouth_is_followed_and_the_rest_keeps_still(talking):
    rest, frames, points, truth = talking
    out = follow(rest, frames, points)
    gap = out[:, 13, 2] - out[:, 14, 2]
    want = truth[:, 13, 2] - truth[:, 14, 2]
    assert np.corrcoef(gap, want)[0, 1] > 0.99
    assert np.abs((gap - gap.min()) - (want - want.min())).max() < 0.02
    still = np.setdiff1d(topology.FACE_OVAL, [152, 148, 377])[:20]  # forehead and temples
    raw = follow(rest, frames, points, min_frames=10**6)
    assert out[:, still].std(0).mean() < 0.3 * raw[:, still].std(0).mean()
    cheek = topology.RIGHT_CHEEK
    assert out[:, cheek].std(0).mean() < 0.3 * raw[:, cheek].std(0).mean()  # the turn's bias


def test_without_statistics_the_landmarks_are_met_exactly(talking):
    rest, frames, points, _ = talking
    out = follow(rest, frames[:4], points[:4], window=0, min_frames=10**6)
    for f, p, v in zip(frames, points, out, strict=False):
        np.testing.assert_allclose(f.camera.project(v)[0], p, atol=0.02)


def test_frames_without_a_face(talking):
    rest, frames, points, _ = talking
    some = [None if i in (10, 20, 21, 22, 23, 24) else p for i, p in enumerate(points)]
    out = follow(rest, frames, some)
    assert np.isfinite(out[10]).all() and np.isnan(out[[20, 22, 24]]).all()
    step = np.linalg.norm(out[10] - 0.5 * (out[9] + out[11]), axis=1)
    assert step.max() < 0.02
    side = [SimpleNamespace(camera=camera(85), name="f_0060"), *frames]
    np.testing.assert_allclose(follow(rest, side, [None, *points])[0], rest.vertices, atol=1e-6)


def test_bridges_end_at_cuts():
    v = np.array([0, np.nan, 2, np.nan, np.nan, 5.0])[:, None, None]
    assert bridge(v, np.arange(6), 1)[:, 0, 0].tolist()[:3] == [0, 1, 2]
    assert np.isnan(bridge(v, np.arange(6), 1)[3:5]).all()
    assert bridge(v, np.arange(6), 2)[4, 0, 0] == 4
    assert np.isnan(bridge(v, np.array([0, 1, 9, 10, 11, 12]), 3)[1]).all()


def test_tracks_are_kept(talking, tmp_path):
    rest, frames, points, _ = talking
    tracks = Tracks(np.array([f.name for f in frames]), follow(rest, frames, points))
    tracks.save(tmp_path / "t.npz")
    again = Tracks.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(again.vertices, tracks.vertices)
    mesh = again.mesh(rest, "f_0003")
    np.testing.assert_allclose(mesh.vertices, tracks.vertices[3])
    assert mesh.triangles is rest.triangles and again.mesh(rest, "f_9999") is None
    np.testing.assert_allclose(bent(rest, rest.vertices).normals, rest.normals)
    Tracks(tracks.names, tracks.vertices[:5]).save(tmp_path / "t.npz")
    with pytest.raises(IdfError, match="saved Tracks .* is damaged"):
        Tracks.load(tmp_path / "t.npz")
    assert neighbor_mean(np.ones((468, 2))).max() == pytest.approx(1)


@pytest.fixture(scope="module")
def short_talk(tmp_path_factory):
    """Folder: 28 frames of the bundled talking head, as train and test."""
    return part_of_talking(tmp_path_factory.mktemp("talk"), slice(66, 94), 2)


def test_a_talking_head_is_swapped_with_one_texture(short_talk, tmp_path):
    data = Dataset.open(short_talk)
    assert data.train[0].expression is not None
    out = swap_dataset(data, samples.photo("C"), tmp_path / "o")
    report = read_json(out.root / "swap_report.json")
    assert report["backend"] == "uv" and report["counts"] == {"swapped": 28}
    mesh, tracks = FaceMesh.load(out.root / MESH_FILE), Tracks.load(out.root / TRACKS_FILE)
    detector = LandmarkDetector()
    before, after, errors = [], [], []
    for a, b in list(zip(data.frames, out.frames, strict=True))[::3]:
        assert np.allclose(a.expression, b.expression, atol=1e-5)
        p, q = (detector.detect(f.image())[0] for f in (a, b))
        errors.append(np.linalg.norm(p.xy - q.xy, axis=1).mean() / p.eye_distance)
        for face, gaps in ((p, before), (q, after)):
            gaps.append(np.linalg.norm(face.xy[13] - face.xy[14]) / face.eye_distance)
        assert tracks.mesh(mesh, a.name) is not None
    assert np.corrcoef(before, after)[0, 1] > 0.97  # the mouth moves as the target's does
    assert np.mean(errors) < 0.04
    # Measured along the tracks, a moving face has a color spread too.
    row = evaluate(out.root, data)
    assert row["color_spread_swapped"] < 0.6 * row["color_spread_original"]
