"""What `idf eval` says of swaps."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media, samples
from idf_helpers.evaluation import evaluate as measure
from idf_helpers.evaluation import evaluate_run
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.frame_fitter import Lens
from idf_helpers.face.identity import IdentityNet
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.mesh import FaceMesh
from idf_helpers.perceptual import Lpips
from idf_helpers.runtime import download
from idf_helpers.runtime.files import read_json, sha256_file, stable_hash, write_json
from idf_helpers.swapping import frame_measures
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.evaluate import _outside, _sources_of, evaluate, head_yaws
from idf_helpers.swapping.frame_measures import (
    BINNED,
    YAW_BINS,
    FrameMeasures,
    FramePair,
    Networks,
    face_square,
)
from idf_helpers.swapping.image import swap_image
from idf_helpers.swapping.measure_table import MEASURES, figures_by_yaw, side_by_side
from idf_helpers.swapping.metrics import (
    eye_opening,
    landmark_error,
    mouth_opening,
    opening_correlation,
)
from idf_helpers.swapping.source import load_source
from idf_helpers.swapping.uv_method import MESH_FILE
from tests.fixtures.heads import NEAR
from tests.fixtures.identity import write_recognizer
from tests.fixtures.lpips import write_lpips

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
    assert uv["outside_mask"] == 0 == mesh["outside_mask"]
    # outlines move with the face's proportions, and alpha with them
    assert uv["alpha_changed"] > 0 < mesh["alpha_changed"]
    assert uv["color_spread_swapped"] < uv["color_spread_original"]
    assert uv["color_spread_swapped"] < mesh["color_spread_swapped"]
    assert 0 < mesh["landmark_error"] < 3 and 0 < uv["landmark_error"] < 6
    assert uv["hog_after"] > uv["hog_before"] and mesh["refound"] > 90
    assert mesh["landmark_error"] <= mesh["landmark_error_p95"]
    yaws = np.abs(head_yaws(runs[0].frames, FaceMesh.load(runs[1] / MESH_FILE).vertices))
    for row in measured:
        near, middle, side = row["by_yaw"].values()
        assert (near["faces"], middle["faces"]) == ((yaws < 30).sum(),
                                                    ((yaws >= 30) & (yaws < 60)).sum())
        assert near["faces"] + middle["faces"] + side["faces"] <= row["swapped"]
        assert 0 <= near["pose_error"] < 8 and 0 <= near["lips_error"] < 4
        assert near["identity_target"] is None is near["lpips_target"]
    table, notes = side_by_side(measured)
    assert all(set(line) == {"measure", "uv (uv)", "mesh (mesh)"} for line in table)
    words = [line["measure"].strip() for line in table]
    assert "nearer to the source than to the target, % of them" not in words  # nothing measured it
    assert MEASURES["landmark_error"] in words and BINNED["pose_error"] in words
    for name in ("arcface", "identity", "lpips"):  # but each is named, with what to type
        assert any(n.startswith("not measured: ") and f"idf download {name}" in n for n in notes)
    cells = next(line for line in table if line["measure"].strip() == BINNED["pose_error"])
    assert cells["uv (uv)"].split(" | ")[0] == f"{uv['by_yaw']['0-30']['pose_error']:.3f}"


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


def test_alpha_stays_where_no_proportions_are_carried_over(runs, tmp_path):
    data = runs[0]
    run = swap_dataset(data, samples.photo("C"), tmp_path / "o", SwapConfig("mesh", shape=0)).root
    row = evaluate(run, data)
    assert row["swapped"] > 5 and row["alpha_changed"] == 0 == row["outside_mask"]
    assert 0 < row["changed_pixels"] < 0.5


def test_faults_are_counted(runs, measured, tmp_path):
    """A face on the back, a near frame that was not swapped, alpha and pixels outside changed."""
    data, run, _ = runs
    yaws = np.abs(head_yaws(data.frames, FaceMesh.load(run / MESH_FILE).vertices))
    back, near = (data.frames[int(pick(yaws))].name for pick in (np.argmax, np.argmin))

    def change(out, row):
        if row["name"] == back:
            row |= {"status": "swapped", "outside": 7}
            picture = next(out.glob(f"{back}.*"))
            image = media.read_image(picture)
            image[:2, :5, 3] ^= 255  # of a frame that was left alone
            media.write_image(picture, image)
        if row["name"] == near:
            row["status"] = "extreme_pose"

    row = evaluate(damaged(run, tmp_path, change), data)
    assert row["false_faces"] == 1 and row["swapped"] == NEAR
    assert row["lost_near"] > 0 and row["outside_mask"] == 7
    left_out = next(f for f in data.frames if f.name == near)
    bent = Dataset.open(run).frames[[f.name for f in Dataset.open(run).frames].index(near)]
    gone = int((left_out.image()[..., 3] != bent.image()[..., 3]).sum())
    assert row["alpha_changed"] == measured[0]["alpha_changed"] - gone + 10


def test_reports_of_before_say_nothing_of_the_outside():
    notes = {}
    assert _outside([{"outside": 2}, {"outside": 3}], notes) == 5 and not notes
    assert _outside([{"outside": 2}, {}], notes) is None and "run the swap again" in \
        notes["outside_mask"]


def test_networks_that_are_here(runs, tmp_path, monkeypatch):
    """Tiny ones of the same formats; what they say is checked where they are."""
    write_recognizer(tmp_path / "identity")
    write_lpips(tmp_path / "lpips")
    monkeypatch.setattr(frame_measures, "IdentityNet", lambda: IdentityNet(tmp_path / "identity"))
    monkeypatch.setattr(frame_measures, "Lpips", lambda: Lpips(tmp_path / "lpips"))
    look = download.path
    monkeypatch.setattr(download, "path", lambda model: tmp_path / model.name
                        if model.name in ("identity", "lpips") else look(model))
    net = tiny_onnx.recognizer(tmp_path / "embed.onnx")
    data, run, _ = runs
    row = evaluate(run, data, arcface=net)
    near = row["by_yaw"]["0-30"]
    assert near["faces"] > 0 and not [k for k in BINNED if near[k] is None]
    assert -1 <= near["arcface_source"] <= 1 and near["arcface_source"] != near["arcface_before"]
    assert 0 < near["lpips_target"] and 0 < near["identity_target"]
    assert 0 <= row["retrieval"] <= 100 and 0 <= row["same_person"] <= 100
    assert not set(row["notes"]) & {*BINNED, "retrieval", "same_person"}
    # one frame by hand
    after = {f.name: f for f in Dataset.open(run).frames}
    frame = next(f for f in data.frames if abs(head_yaws([f], FaceMesh.load(
        run / MESH_FILE).vertices)[0]) < 15)
    measures = FrameMeasures([load_source(samples.photo("C"))], Networks.here(net, {}))
    pictures = frame.image(), after[frame.name].image()
    measures.add(*pictures, True, 0.0, Lens.of(30, *frame.image().shape[1::-1]))
    (pair,), identity = measures.pairs, IdentityNet(tmp_path / "identity")
    photo = load_source(samples.photo("C"))
    s, t, r = (identity.embed(i, f) for i, f in (
        (photo.image, photo.landmarks), *zip(pictures, (pair.old, pair.new), strict=True)))
    assert pair.values["identity_source"] == pytest.approx(np.linalg.norm(r - s))
    assert pair.values["identity_target"] == pytest.approx(np.linalg.norm(r - t))
    assert pair.values["identity_before"] == pytest.approx(np.linalg.norm(t - s))
    assert pair.values["lpips_target"] == pytest.approx(Lpips(tmp_path / "lpips")(
        *(face_square(i, pair.old) for i in pictures)))
    tiny_onnx.swapper(tmp_path / "other.onnx", 64)
    with pytest.raises(IdfError, match="other inputs"):
        evaluate(run, data, arcface=tmp_path / "other.onnx")


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    write_recognizer(tmp_path / "identity")  # another hash than the pinned one
    notes = {}
    monkeypatch.setenv("IDF_IDENTITY", "")
    monkeypatch.setenv("IDF_LPIPS", "")
    monkeypatch.setattr(download, "_folder", lambda model: tmp_path / model.name)
    assert Networks.here(None, notes).identity is None
    assert notes["identity_source"] == notes["retrieval"]
    assert "cannot be used" in notes["identity_source"]
    assert ".bin has" in notes["identity_source"] and "idf download identity" in \
        notes["identity_source"]
    assert "is not downloaded: idf download lpips" in notes["lpips_target"]


def pair(yaw, **values):
    return FramePair(None, None, None, yaw, values)


def test_means_in_bins_of_yaw():
    measures = FrameMeasures((), Networks())
    measures.pairs = [pair(-10, identity_source=0.4, identity_target=0.7, lips_error=1.0),
                      pair(29.9, identity_source=0.7, identity_target=0.6, lips_error=2.0),
                      pair(-30, identity_source=0.9, identity_target=0.1), pair(60, pose_error=3.0),
                      pair(90, pose_error=4.0), pair(95, pose_error=100.0)]
    bins = measures.by_yaw()
    assert list(bins) == list(YAW_BINS) and [b["faces"] for b in bins.values()] == [2, 1, 2]
    assert bins["0-30"]["identity_source"] == pytest.approx(0.55)
    assert bins["0-30"]["lips_error"] == 1.5 and bins["30-60"]["lips_error"] is None
    assert bins["60-90"]["pose_error"] == 3.5 and bins["30-60"]["identity_target"] == 0.1
    out = measures.likeness()  # within 30 degrees, 30 included
    assert out["same_person"] == pytest.approx(100 / 3, abs=0.01) == out["retrieval"]


def test_of_several_photos_the_nearest_counts():
    photos = [SimpleNamespace(image=name, landmarks=None) for name in "ab"]
    where = {"a": [1.0, 0, 0], "b": [0, 1.0, 0], "was": [0, 0, 1.0], "is": [0.8, 0.6, 0]}
    measures = FrameMeasures(photos, Networks(*[lambda image, face: np.array(where[image])] * 2))
    out = measures._compared("was", "is", None, None)
    assert out["identity_source"] == pytest.approx(np.hypot(0.2, 0.6))
    assert out["identity_target"] == pytest.approx(np.sqrt(2)) == out["identity_before"]
    assert out["arcface_source"] == pytest.approx(0.8) and out["arcface_before"] == 0


def test_of_several_faces_that_is_measured_which_changed(photos):
    """Two heads in one picture; the right one is swapped, though the left is found first."""
    left, right, other = (media.read_image(samples.photo(n))[..., :3] for n in ("B", "C", "B"))
    before, after = (np.concatenate([left, r], 1) for r in (right, other))
    measures = FrameMeasures((), Networks())
    assert measures.add(before, after, True, np.nan, Lens.of(40, *before.shape[1::-1]))
    assert measures.pairs[0].old.box[0] > left.shape[1] * 0.9
    assert measures.pairs[0].new.box[0] > left.shape[1] * 0.9
    gone = after.copy()
    gone[:, left.shape[1]:] = 127
    assert measures.add(before, gone, True, np.nan, Lens.of(40, *before.shape[1::-1]))
    assert len(measures.pairs) == 1 and measures.values["refound"] == [True, False]


def test_the_square_around_a_face():
    image = np.zeros((200, 300, 4), np.uint8)
    image[50:150, 100:200] = (200, 0, 0, 255)
    points = np.zeros((468, 3))
    points[::2], points[1::2] = (100, 50, 0), (200, 150, 0)
    square = face_square(image, face(points))
    assert square.shape == (256, 256, 3)
    assert (square[128, 128] == (200, 0, 0)).all() and (square[5, 5] == 128).all()
    assert abs((square[128, :, 1] == 0).mean() - 2 / 3) < 0.02  # of 150 pixels, 100 are face
    cut = face_square(image[:, :160], face(points))
    assert cut.shape == (256, 256, 3) and (cut[128, -1] == (200, 0, 0)).all()


def test_the_source_photo_must_be_the_runs(runs, tmp_path):
    with pytest.raises(IdfError, match="is not that of"):
        evaluate(runs[1], runs[0], source=samples.photo("B"))
    with pytest.raises(IdfError, match="does not exist"):
        evaluate(runs[1], runs[0], source=tmp_path / "none.png")


def test_several_photos_are_those_of_the_run_in_their_order(tmp_path):
    photos_ = [samples.photo("B"), samples.photo("C")]
    hashes = [sha256_file(p) for p in photos_]
    write_json(tmp_path / "run.json", {"run_id": "x", "config": {}, "inputs": {
        "source_sha256": stable_hash(hashes)}})
    assert len(_sources_of(tmp_path, photos_)) == 2 and _sources_of(tmp_path, None) == ()
    for wrong in (photos_[::-1], photos_[:1], photos_[0]):
        with pytest.raises(IdfError, match="is not that of") as error:
            _sources_of(tmp_path, wrong)
        assert "all of them, in their order" in error.value.do


def test_a_run_of_other_data(runs):
    with pytest.raises(IdfError, match="is not a swap of"):
        evaluate_run(runs[1], samples.dataset("head_turntable"))


def test_a_picture_beside_its_original(runs, photos, tmp_path):
    picture = tmp_path / "me.png"
    yaws = np.abs(head_yaws(runs[0].frames, FaceMesh.load(runs[1] / MESH_FILE).vertices))
    media.write_image(picture, runs[0].frames[int(yaws.argmin())].image())
    run = swap_image(picture, samples.photo("C"), tmp_path / "o", SwapConfig("mesh"),
                     consent="Synthetic heads that show nobody.").parent
    row, = evaluate_run(run, picture)
    found, face_ = (LandmarkDetector().detect(media.read_image(p), zoom=True)[0]
                    for p in (picture, run / "me.png"))
    assert row["landmark_error"] == pytest.approx(100 * landmark_error(found, face_), abs=1e-3)
    near = row["by_yaw"]["0-30"]
    assert near["faces"] == 1 and near["pose_error"] > 0 and near["lips_error"] is not None
    assert row["hog_after"] > row["hog_before"] and row["views"] == row["swapped"] == 1
    before, after = media.read_image(picture), media.read_image(run / "me.png")
    assert row["changed_pixels"] == pytest.approx((before != after).any(2).mean(), abs=1e-4)
    assert row["notes"]["mouth_correlation"] == "one picture only"
    both, _ = side_by_side([row, row])
    assert all({"o (mesh)", "o (mesh) 1"} < set(line) for line in both)
    with pytest.raises(IdfError, match="is not the picture that") as error:
        evaluate_run(run, run / "me.png")
    assert "--dataset PICTURE" in error.value.do
    with pytest.raises(IdfError, match="swap of a picture, which it does not keep"):
        evaluate_run(run)
    media.write_image(run / "me.png", after[:-1])
    with pytest.raises(IdfError, match="another size"):
        evaluate_run(run, picture)


def test_figures_for_a_chart(measured):
    lines = figures_by_yaw(measured, "pose_error")
    assert list(lines) == ["uv (uv)", "mesh (mesh)"]
    assert lines["uv (uv)"] == [measured[0]["by_yaw"][b]["pose_error"] for b in YAW_BINS]
    assert set(lines["uv (uv)"]) != {None}
    assert set(figures_by_yaw(measured, "lpips_target")["mesh (mesh)"]) == {None}


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
    assert "--source" in row["notes"]["identity_source"] == row["notes"]["hog_after"]
    near = row["by_yaw"]["0-30"]  # the fitted yaw, since no other is known
    assert near["faces"] == len(frames) and near["pose_error"] < 0.01 > near["lips_error"]
