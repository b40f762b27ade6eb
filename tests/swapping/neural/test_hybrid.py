"""A neural swap painted onto the mesh: the same from every side."""

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.catalogue import STAGES
from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame, yaw_pitch
from idf_helpers.face import topology
from idf_helpers.face.mesh import FaceMesh
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.evaluate import evaluate_swap
from idf_helpers.swapping.neural.hybrid import close_openings, key_views
from idf_helpers.swapping.uv_method import MESH_FILE
from tests.fixtures.face_rig import make_frames, paint, true_mesh
from tests.fixtures.heads import BACK, NEAR

from . import tiny_onnx


@pytest.fixture(scope="module")
def made(small_head, tmp_path_factory):
    """The small head by a swapper that paints faces red, by itself and as a hybrid."""
    folder = tmp_path_factory.mktemp("hybrid")
    row = tiny_onnx.write_row(folder / "own", effect="red", size=128)
    data = Dataset.open(small_head)
    return data, row, *(swap_dataset(data, samples.photo("C"), folder / f"out{kind}", SwapConfig(
        f"{kind}onnx:{row}")) for kind in ("uv+", ""))


def red(image):
    rgb = image[..., :3].astype(int)
    return (rgb[..., 0] > 200) & (rgb[..., 1:].max(-1) < 60)


def test_every_view_that_shows_the_face_is_swapped(made):
    data, row, hybrid, _ = made
    report = read_json(hybrid.root / "swap_report.json")
    assert report["backend"] == "uv+onnx:tiny"
    assert report["counts"] == {"swapped": NEAR, "no_face": BACK}
    assert "onnx:tiny on" in report["note"] and "made by a test" in report["note"]
    status = {r["name"]: r["status"] for r in report["frames"]}
    for a, b in zip(data.frames, hybrid.frames, strict=True):
        x, y = a.image(), b.image()
        np.testing.assert_array_equal(x[..., 3], y[..., 3])
        assert (red(y).mean() > 0.02) == (status[a.name] == "swapped"), a.name
    assert read_json(hybrid.root / "run.json")["source_type"] == \
        "compositeWithTrainedAlgorithmicMedia"


def test_eyes_and_mouth_are_the_new_ones_too(made):
    data, _, hybrid, _ = made
    mesh = FaceMesh.load(hybrid.root / MESH_FILE)
    frame = min(hybrid.frames, key=lambda f: abs(yaw_pitch(f.camera, scene_frame(
        data.cameras))[0]))
    xy, _ = frame.camera.project(mesh.vertices)
    image = red(frame.image())
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH):
        x, y = xy[ring].mean(0).astype(int)
        assert image[y, x]


def test_it_is_more_consistent_than_the_swapper_by_itself(made, tmp_path):
    """With a swapper that keeps the target's shading, which differs from view to view."""
    data, _, _, _ = made
    row = tiny_onnx.write_row(tmp_path / "own", effect="shift", size=128)
    spread = {}
    for kind in ("uv+", ""):
        out = swap_dataset(data, samples.photo("C"), tmp_path / f"o{kind}",
                           SwapConfig(f"{kind}onnx:{row}"))
        if kind:
            mesh = FaceMesh.load(out.root / MESH_FILE)
        rows = evaluate_swap(list(data.frames), list(out.frames), mesh.vertices, mesh.triangles)
        spread[kind] = rows["color_spread_swapped"]
    assert spread["uv+"] < 0.8 * spread[""]


def test_a_second_run_reads_back_what_was_prepared(made):
    data, row, hybrid, _ = made
    stamps = {p: p.stat().st_mtime_ns for p in hybrid.root.rglob("*") if p.is_file()}
    swap_dataset(data, samples.photo("C"), hybrid.root, SwapConfig(f"uv+onnx:{row}"))
    assert stamps == {p: p.stat().st_mtime_ns for p in hybrid.root.rglob("*") if p.is_file()}


def test_key_views_are_frontal_and_spread():
    mesh = true_mesh(9)
    frames = make_frames(mesh, paint(1, (200, 150, 130)), range(-80, 81, 20))
    assert key_views(mesh, frames) == [3, 4, 5]
    with pytest.raises(IdfError, match="from the front") as error:
        key_views(true_mesh(2), frames[:2])
    assert "degrees away" in error.value.found


def test_closed_openings_leave_one_border():
    from idf_helpers.swapping.metrics import border_edges

    closed = close_openings(true_mesh())
    assert set(border_edges(closed.triangles).ravel()) == set(topology.FACE_OVAL)


@pytest.mark.parametrize("name", ["uv+mesh", "uv+uv", "uv+nonsense"])
def test_hybrids_of_what_is_no_neural_swapper(name):
    with pytest.raises(IdfError, match="There is no swap method"):
        STAGES["swap"].find(name)


def test_a_swapper_that_swaps_no_frontal_view(made, tmp_path, monkeypatch):
    data, row, _, _ = made
    with pytest.raises(IdfError, match="swapped none of the") as error:
        swap_dataset(data, samples.photo("C"), tmp_path / "o",
                     SwapConfig(f"uv+onnx:{row}", min_face=5000))
    assert "at least 5000" in error.value.found and not (tmp_path / "o").exists()
