"""What `idf eval` says of swaps."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media, samples
from idf_helpers.evaluation import evaluate as measure
from idf_helpers.evaluation import evaluate_run
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.mesh import FaceMesh
from idf_helpers.runtime.files import read_json, write_json
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.evaluate import (
    MEASURES,
    FrameMeasures,
    _outside,
    evaluate,
    head_yaws,
    side_by_side,
)
from idf_helpers.swapping.metrics import (
    eye_opening,
    landmark_error,
    mouth_opening,
    opening_correlation,
)
from idf_helpers.swapping.uv_method import MESH_FILE
from tests.fixtures.heads import NEAR

from .neural import tiny_onnx


@pytest.fixture(scope="module")
def runs(small_head, tmp_path_factory):
    """The small head, and its swap by `uv` and by `mesh`."""
    data = Dataset.open(small_head)
    folder = tmp_path_factory.mktemp("evaluated")
    return data, *(swap_dataset(data, samples.photo("C"), folder / b, SwapConfig(b)).root
                   for b in ("uv", "mesh"))


@pytest.fixture(scope="module")
def measured(runs):
    return [evaluate(run, runs[0]) for run in runs[1:]]


def test_swaps_side_by_side(runs, measured):
    uv, mesh = measured
    assert uv["swapped"] == NEAR and uv["lost_near"] == 0 == uv["false_faces"]
    assert uv["outside_mask"] == 0 == uv["alpha_changed"] == mesh["outside_mask"]
    assert uv["color_spread_swapped"] < uv["color_spread_original"]
    assert uv["color_spread_swapped"] < mesh["color_spread_swapped"]
    assert 0 < mesh["landmark_error"] < 3 and 0 < uv["landmark_error"] < 6
    assert uv["hog_after"] > uv["hog_before"] and mesh["refound"] > 90
    assert mesh["landmark_error"] <= mesh["landmark_error_p95"]
    table, notes = side_by_side(measured)
    assert [set(line) for line in table] == [{"measure", "uv (uv)", "mesh (mesh)"}] * len(MEASURES)
    assert any("not measured: no recognizer" in n and "idf download arcface" in n for n in notes)
    identity = next(line for line in table if line["measure"].startswith("recognized as"))
    assert identity["uv (uv)"] == "not measured"


def test_as_text_from_the_command_line(runs, measured, monkeypatch):
    import idf_helpers.swapping.evaluate as module

    rows = {str(run): row for run, row in zip(runs[1:], measured, strict=True)}
    monkeypatch.setattr(module, "evaluate", lambda run, data, **k: rows[str(run)])
    text = str(measure(runs[1:], None, None))
    assert text.splitlines()[0].split("  ")[0] == "measure" and "mesh (mesh)" in text
    assert "landmarks moved, mean, % of eye distance" in text
    with pytest.raises(IdfError, match="no measures in common"):
        measure([runs[1], runs[0].root / "avatar.ply"])
    with pytest.raises(IdfError, match="are for swaps"):
        measure([runs[0].root / "avatar.ply"], source="me.png")


def damaged(run, tmp_path, change):
    """A copy of a run whose rows of the report are changed by name."""
    out = shutil.copytree(run, tmp_path / "copy")
    report = read_json(out / "swap_report.json")
    for row in report["frames"]:
        change(out, row)
    write_json(out / "swap_report.json", report)
    return out


def test_faults_are_counted(runs, tmp_path):
    """A face on the back, a near frame that was not swapped, alpha and pixels outside changed."""
    data, run, _ = runs
    yaws = np.abs(head_yaws(data.frames, FaceMesh.load(run / MESH_FILE).vertices))
    back, near = (data.frames[int(pick(yaws))].name for pick in (np.argmax, np.argmin))

    def change(out, row):
        if row["name"] == back:
            row |= {"status": "swapped", "outside": 7}
            picture = next(out.glob(f"{back}.*"))
            image = media.read_image(picture)
            image[:2, :5, 3] ^= 255
            media.write_image(picture, image)
        if row["name"] == near:
            row["status"] = "extreme_pose"

    row = evaluate(damaged(run, tmp_path, change), data)
    assert row["false_faces"] == 1 and row["swapped"] == NEAR
    assert row["lost_near"] > 0 and row["outside_mask"] == 7 and row["alpha_changed"] == 10


def test_reports_of_before_say_nothing_of_the_outside():
    notes = {}
    assert _outside([{"outside": 2}, {"outside": 3}], notes) == 5 and not notes
    assert _outside([{"outside": 2}, {}], notes) is None and "run the swap again" in \
        notes["outside_mask"]


def test_identity_with_a_recognizer(runs, tmp_path):
    net = tiny_onnx.recognizer(tmp_path / "embed.onnx")
    row = evaluate(runs[1], runs[0], arcface=net)
    assert -1 <= row["identity_after"] <= 1 and row["identity_before"] != row["identity_after"]
    assert 0 <= row["retrieval"] <= 100 and "identity_after" not in row["notes"]
    tiny_onnx.swapper(tmp_path / "other.onnx", 64)
    with pytest.raises(IdfError, match="other inputs"):
        evaluate(runs[1], runs[0], arcface=tmp_path / "other.onnx")


def test_identity_by_hand():
    """The target at right angles to the source; after the swap half way, and once all the way."""
    e = np.eye(3)
    photo = SimpleNamespace(image=None, landmarks=None)
    measures = FrameMeasures(photo, lambda image, face: 5 * e[0])
    measures.values |= {"hog": [(0.5, 0.7)] * 2,
                        "embedding": [(2 * e[1], e[0] + 0.9 * e[1]), (e[1], 3 * e[0])]}
    out = measures.likeness()
    cosine = 1 / np.hypot(1, 0.9)
    assert out == {"hog_before": 0.5, "hog_after": 0.7, "identity_before": 0.0,
                   "identity_after": pytest.approx((cosine + 1) / 2, abs=1e-3), "retrieval": 100.0}
    measures.values["embedding"][0] = (e[1], 0.9 * e[0] + e[1])
    assert measures.likeness()["retrieval"] == 50.0


def test_the_source_photo_must_be_the_runs(runs, tmp_path):
    with pytest.raises(IdfError, match="is not that of"):
        evaluate(runs[1], runs[0], source=samples.photo("B"))
    with pytest.raises(IdfError, match="does not exist"):
        evaluate(runs[1], runs[0], source=tmp_path / "none.png")


def test_a_run_of_other_data(runs):
    with pytest.raises(IdfError, match="is not a swap of"):
        evaluate_run(runs[1], samples.dataset("head_turntable"))


# --- the measures themselves ----------------------------------------------------------------------

def face(points):
    return FaceLandmarks(np.asarray(points, np.float32), 1.0, 1.0)


def test_landmark_error_and_openings_by_hand():
    points = np.zeros((468, 3))
    points[33], points[263] = (0, 0, 0), (100, 0, 0)
    points[13], points[14] = (50, 60, 0), (50, 75, 0)
    for upper, lower, gap in ((159, 145, 8), (386, 374, 12)):
        points[upper, 1], points[lower, 1] = -gap / 2, gap / 2
    assert mouth_opening(face(points)) == pytest.approx(0.15)
    assert eye_opening(face(points)) == pytest.approx(0.10)
    away = points + (3, 4, 50)
    assert landmark_error(face(points), face(away)) == pytest.approx(0.05)


def test_correlation_of_openings():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 0.3, 50)
    assert opening_correlation(zip(x, 0.5 * x + 0.1, strict=True)) == pytest.approx(1)
    assert opening_correlation(zip(x, -x, strict=True)) == pytest.approx(-1)
    noisy = x + rng.normal(0, 0.05, 50)
    assert opening_correlation(zip(x, noisy, strict=True)) == pytest.approx(
        np.corrcoef(x, noisy)[0, 1])
    still = 0.1 + rng.normal(0, 0.002, 50)
    assert opening_correlation(zip(still, x, strict=True)) is None
    assert opening_correlation(zip(x[:5], x[:5], strict=True)) is None


def test_moving_faces_have_openings_and_no_spread(tmp_path, monkeypatch):
    """A sequence that is 'swapped' into itself: nothing moves, correlations are 1."""
    from idf_helpers.data.transforms import write_transforms

    talking = samples.dataset("head_talking")
    frames = list(talking.train)[::12]
    for root in ("data", "run"):
        for f in frames:
            (tmp_path / root / f.name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f.path, (tmp_path / root / f.name).with_suffix(f.path.suffix))
        write_transforms(tmp_path / root, frames)
    rows = [{"name": f.name, "status": "swapped", "outside": 0} for f in frames]
    write_json(tmp_path / "run" / "swap_report.json", {"backend": "none", "frames": rows})
    write_json(tmp_path / "run" / "run.json", {
        "run_id": "x", "config": {}, "inputs": {"source_sha256": "unknown"}})
    monkeypatch.setattr("idf_helpers.swapping.evaluate._mesh_of",
                        lambda run, data, notes: notes.update(lost_near="no") or None)
    row = evaluate(tmp_path / "run", SimpleNamespace(
        frames=Dataset.open(tmp_path / "data").frames, root=tmp_path / "data"))
    assert row["landmark_error"] == 0 and row["mouth_correlation"] == pytest.approx(1)
    assert row["color_spread_swapped"] is None and row["changed_pixels"] == 0
    assert "--source" in row["notes"]["identity_after"]
