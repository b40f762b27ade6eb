import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media, samples
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json, write_json
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.image import swap_image
from idf_helpers.swapping.uv_method import PREPARED
from tests.fixtures.heads import BACK, NEAR
from tests.fixtures.reporting import Calling


@pytest.fixture(scope="module")
def swapped(small_head, tmp_path_factory):
    out = tmp_path_factory.mktemp("swap") / "out"
    return Dataset.open(small_head), swap_dataset(Dataset.open(small_head), samples.photo("C"), out)


def pixels(dataset):
    return {f.name: f.image() for f in dataset.frames}


def test_dataset_in_dataset_out(swapped):
    before, after = swapped
    assert [f.name for f in before.frames] == [f.name for f in after.frames]
    for a, b in zip(before.frames, after.frames, strict=True):
        assert np.allclose(a.camera.c2w, b.camera.c2w) and a.split == b.split
        assert b.camera.fx == pytest.approx(a.camera.fx)


def test_swapped_frames_change_only_the_face_keep_alpha_and_are_marked(swapped):
    before, after = swapped
    report = read_json(after.root / "swap_report.json")
    rows = {r["name"]: r for r in report["frames"]}
    assert report["backend"] == "uv" and report["counts"] == {"swapped": NEAR, "no_face": BACK}
    guesses = [r["guessed"] for r in report["frames"] if r["status"] == "swapped"]
    assert f"{100 * np.mean(guesses):.0f} % of the face is guessed" in report["note"]
    for a, b in zip(before.frames, after.frames, strict=True):
        row = rows[a.name]
        if row["status"] == "no_face":
            assert row["reason"] and a.path.read_bytes() == b.path.read_bytes()
            assert not verify(b.path).synthetic
            continue
        x, y = a.image(), b.image()
        # Outlines bend along with the face; nothing else of alpha may change.
        assert (x[..., 3] != y[..., 3]).mean() < 0.03 and row["outside"] == 0
        changed = (x != y).any(axis=2)
        assert 0.01 < changed.mean() < 0.7 and changed.mean() <= row["changed"] + 1e-3
        assert 0 <= row["guessed"] < 1
        v = verify(b.path)
        assert v.synthetic and v.fields["made"] == "face swap (uv)"
        assert v.consent.basis == "synthetic"


def test_second_run_does_nothing(swapped):
    before, after = swapped
    stamps = {p: p.stat().st_mtime_ns for p in after.root.rglob("*") if p.is_file()}
    swap_dataset(before, samples.photo("C"), after.root)
    assert stamps == {p: p.stat().st_mtime_ns for p in after.root.rglob("*") if p.is_file()}
    with pytest.raises(IdfError, match="another run"):
        swap_dataset(before, samples.photo("B"), after.root)


@pytest.mark.parametrize("engine", ["serial", "process"])
def test_processes_give_the_same_pictures_as_threads(swapped, tmp_path, engine):
    before, after = swapped
    again = swap_dataset(before, samples.photo("C"), tmp_path / "o", engine=engine, workers=2)
    for name, image in pixels(again).items():
        assert (image == pixels(after)[name]).all(), name


def test_interrupt_in_the_middle_then_a_second_run(swapped, tmp_path):
    before, after = swapped

    def stop(step, fraction):
        if step == "swapping" and fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swap_dataset(before, samples.photo("C"), tmp_path / "o", reporter=Calling(stop))
    assert read_json(tmp_path / "o/run.json")["status"] == "interrupted"
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "o").rglob("r_*.png")}
    assert 0 < len(written) < NEAR + BACK
    again = swap_dataset(before, samples.photo("C"), tmp_path / "o")
    assert all(p.stat().st_mtime_ns == t for p, t in written.items())  # none was done twice
    for name, image in pixels(again).items():
        assert (image == pixels(after)[name]).all(), name


def test_started_again_from_nothing_uses_nothing_of_before(small_head, tmp_path):
    data = Dataset.open(small_head)
    swap_dataset(data, samples.photo("C"), tmp_path / "o")
    for name in PREPARED:  # as an older version of the program may have left them
        (tmp_path / "o" / name).write_bytes(b"stale")
    run_id = read_json(tmp_path / "o/run.json")["run_id"]
    again = swap_dataset(data, samples.photo("C"), tmp_path / "o", resume=False)
    assert read_json(tmp_path / "o/run.json")["run_id"] != run_id
    assert all((again.root / name).stat().st_size > 1000 for name in PREPARED[:2])


KILLED = """
import sys
from idf_helpers import Dataset
from idf_helpers.data import samples
from idf_helpers.swapping.dataset import swap_dataset
from tests.fixtures.reporting import Calling
swap_dataset(Dataset.open(sys.argv[1]), samples.photo("C"), sys.argv[2],
             reporter=Calling(lambda step, fraction: print(step, fraction, flush=True)))
"""


def test_kill_in_the_middle_then_a_second_run(swapped, small_head, tmp_path):
    before, after = swapped
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(small_head), str(tmp_path / "o")],
                             stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if line.startswith("swapping"):
            child.kill()
            break
    child.wait()
    child.stdout.close()
    victim = next((tmp_path / "o").rglob("r_*.png"))
    victim.write_bytes(victim.read_bytes()[:-9])  # as a full disk or another program may leave it
    again = swap_dataset(before, samples.photo("C"), tmp_path / "o")
    assert not list((tmp_path / "o").rglob("*.part*"))
    for name, image in pixels(again).items():
        assert (image == pixels(after)[name]).all(), name


# --- consent and bad input ------------------------------------------------------------------------

@pytest.fixture
def foreign_photo(tmp_path):
    """A photo that the program cannot know to be synthetic."""
    path = tmp_path / "me.png"
    image = media.read_image(samples.photo("C"))
    image[0, 0] ^= 1
    media.write_image(path, image)
    return path


def test_consent_is_asked_for_and_kept(small_head, foreign_photo, tmp_path):
    data = Dataset.open(small_head)
    with pytest.raises(IdfError, match="consent statement covering the source photo"):
        swap_dataset(data, foreign_photo, tmp_path / "o")
    assert not (tmp_path / "o").exists()
    said = "A made-up person, drawn by me."
    swap_dataset(data, foreign_photo, tmp_path / "o", consent=said)
    assert read_json(tmp_path / "o/consent.json")["statement"] == said
    assert read_json(tmp_path / "o/run.json")["consent"] == \
        read_json(tmp_path / "o/consent.json")["digest"]


def bad_photo(kind, folder):
    path = folder / f"{kind}.png"
    c = media.read_image(samples.photo("C"))
    if kind == "no face":
        media.write_image(path, np.full((200, 200, 3), 120, np.uint8))
    elif kind == "two faces":
        media.write_image(path, np.concatenate([c, media.read_image(samples.photo("B"))], axis=1))
    elif kind == "tiny face":
        media.write_image(path, media.resize_area(c, 70, 70))
    elif kind == "truncated":
        path.write_bytes(samples.photo("C").read_bytes()[:20000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not a picture")
    return path


@pytest.mark.parametrize("kind, words", [
    ("missing", "does not exist"), ("no face", "no face"), ("two faces", "2 faces|several"),
    ("tiny face", "small"), ("truncated", "truncated"), ("empty", "empty"),
    ("text", "not an image")])
def test_bad_photo_is_one_error_and_leaves_nothing(small_head, tmp_path, kind, words):
    photo = bad_photo(kind, tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(IdfError, match=words):
        swap_dataset(Dataset.open(small_head), photo, tmp_path / "out", consent="Drawn by me today")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_dataset_without_any_face_leaves_nothing(tmp_path):
    from tests.fixtures.datasets import make_dataset

    root = make_dataset(tmp_path / "noise", size=(96, 96))
    for backend in ("uv", "mesh"):
        with pytest.raises(IdfError):
            swap_dataset(Dataset.open(root), samples.photo("C"), tmp_path / "o",
                         SwapConfig(backend), consent="Only noise, no faces")
        assert not (tmp_path / "o").exists()


def test_mesh_backend_and_one_of_two_faces(small_head, tmp_path):
    data = Dataset.open(small_head)
    two = bad_photo("two faces", tmp_path)
    out = swap_dataset(data, two, tmp_path / "o", SwapConfig("mesh", face=0),
                       consent="Both were drawn by me.")
    report = read_json(out.root / "swap_report.json")
    assert report["counts"]["swapped"] >= NEAR // 2
    back = [r for r in report["frames"] if r["name"] in ("train/r_12", "train/r_13", "train/r_14")]
    assert [r["status"] for r in back] == ["no_face"] * BACK


def test_one_picture_is_not_offered_the_backend_for_views(tmp_path):
    with pytest.raises(IdfError, match="needs several views"):
        swap_image(samples.photo("B"), samples.photo("C"), tmp_path / "o", SwapConfig("uv"))


def test_one_picture(tmp_path):
    target = samples.path("head_multiview") / "test/r_0.png"
    path = swap_image(target, samples.photo("C"), tmp_path / "o")
    before, after = media.read_image(target), media.read_image(path)
    assert (before[..., 3] != after[..., 3]).mean() < 0.06 and (before != after).any()
    assert verify(path).synthetic
    stamp = path.stat().st_mtime_ns
    time.sleep(0.01)
    assert swap_image(target, samples.photo("C"), tmp_path / "o").stat().st_mtime_ns == stamp
    noise = tmp_path / "noise.png"
    media.write_image(noise, np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    with pytest.raises(IdfError, match="not swapped"):
        swap_image(noise, samples.photo("C"), tmp_path / "p", consent="Only noise here.")
    assert not (tmp_path / "p").exists()


def test_evaluation_of_the_swap_beside_the_unswapped_views(swapped):
    from idf_helpers.evaluation import evaluate_run

    row, = evaluate_run(swapped[1].root)
    assert 0 < row["color_spread_swapped"] < row["color_spread_original"]
    assert 0.02 < row["changed_pixels"] < 0.7 and row["views"] >= 8


DAMAGE = {
    "a frame of the same size": lambda d: overwrite(d / "train/r_00.png"),
    "a frame is gone": lambda d: frames_in(d)[0].unlink(),
    "texture": lambda d: (d / PREPARED[1]).write_bytes(b"xx"),
    "mesh": lambda d: (d / PREPARED[0]).write_bytes(b""),
    "events": lambda d: (d / "events.jsonl").write_text('[1]\n3\n{"kind": "frame"}\n{torn'),
    "report": lambda d: (d / "swap_report.json").unlink(),
}


def frames_in(folder):
    return sorted(folder.glob("t*/*.png"))


def overwrite(path):
    path = path if path.is_file() else frames_in(path.parent.parent)[0]
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("name, status", [
    ("a frame of the same size", "running"), ("a frame of the same size", "finished"),
    ("a frame is gone", "finished"), ("texture", "running"), ("mesh", "running"),
    ("events", "running"), ("report", "finished")])
def test_what_was_damaged_is_made_again(swapped, tmp_path, name, status):
    before, after = swapped
    out = shutil.copytree(after.root, tmp_path / "o")
    manifest = read_json(out / "run.json")
    write_json(out / "run.json", manifest | {"status": status})
    DAMAGE[name](out)
    again = swap_dataset(before, samples.photo("C"), out)
    assert read_json(out / "swap_report.json")["counts"] == {"swapped": NEAR, "no_face": BACK}
    want = pixels(after)
    for frame, image in pixels(again).items():
        assert (image == want[frame]).all(), frame
