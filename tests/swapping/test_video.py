"""Videos: the face changes, everything else stays, whatever stops or kills it."""

import subprocess
import sys

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.cli import main as cli
from idf_helpers.data import media, samples
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.face import topology
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.provenance import verify
from idf_helpers.provenance.watermark import payload_of, payload_text
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import SwapConfig, VideoConfig
from idf_helpers.swapping.held import BYTES
from idf_helpers.swapping.video import swap_video
from idf_helpers.swapping.video_faces import Found, VideoFaces, link, smoothed
from tests.fixtures.reporting import Calling
from tests.fixtures.video import ffmpeg

CONSENT = "Synthetic heads that show nobody."
N = 30
SHORT = VideoConfig(part=12)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of the bundled talking head, with sound."""
    d = tmp_path_factory.mktemp("clip")
    frames = [samples.path("head_talking") / f"train/f_{i:04d}.png" for i in range(66, 66 + N)]
    with media.video_writer(d / "silent.mp4", 25, crf=10) as video:
        for f in frames:
            video.append(media.read_image(f))
    ffmpeg("-i", d / "silent.mp4", "-f", "lavfi", "-i", "sine=f=330", "-shortest", "-c:v", "copy",
           "-c:a", "aac", d / "talk.mp4")
    return d / "talk.mp4"


@pytest.fixture(scope="module")
def swapped(clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("swapped") / "o"
    return swap_video(clip, samples.photo("C"), out, None, SHORT, consent=CONSENT)


def pixels(path):
    index = index_video(path)
    return np.stack([f.copy() for f in read_frames(path, index)])


def test_the_mouth_and_the_rest_stay(clip, swapped):
    report = read_json(swapped.parent / "swap_report.json")
    assert report["backend"] == "uv" and report["counts"] == {"swapped": N}
    assert report["sound"] == "copied" and not (swapped.parent / "work").exists()
    before, after = pixels(clip), pixels(swapped)
    detector, gaps, moved = LandmarkDetector(), [], []
    for a, b in zip(before[::3], after[::3], strict=True):
        p, q = (detector.detect(x)[0] for x in (a, b))
        across = p.xy[topology.LEFT_EYE_OUTER] - p.xy[topology.RIGHT_EYE_OUTER]
        turn = np.array([across, (-across[1], across[0])]) / np.linalg.norm(across)
        moved.append((q.xy - p.xy) @ turn.T / p.eye_distance)
        gaps.append([np.linalg.norm(f.xy[13] - f.xy[14]) for f in (p, q)])
        gap = 0.4 * p.size  # so far the surroundings bend along: hair above, too
        low, high = np.floor(p.box[:2] - gap).astype(int), np.ceil(p.box[2:] + gap).astype(int)
        low = np.maximum(low, 0)
        outside = np.ones(a.shape[:2], bool)
        outside[low[1]:high[1], low[0]:high[0]] = False
        outside[:36, :110] = False  # the label
        assert np.abs(a.astype(int) - b)[outside].mean() < 2.5  # the codec's
    assert np.corrcoef(np.transpose(gaps))[0, 1] > 0.97
    # The face has other proportions, the same in all frames.
    moved = np.array(moved)
    shape = moved.mean(0)
    assert np.linalg.norm(shape, axis=1).mean() > 0.005
    assert np.linalg.norm(moved - shape, axis=2).mean() < 0.02
    face = np.abs(before.astype(int) - after)[:, 90:180, 90:180].mean()
    assert face > 5


def test_it_is_measured_by_yaw(clip, swapped):
    """A video has no cameras: the yaw is that of the fitted head."""
    from idf_helpers.evaluation import evaluate

    table = evaluate([swapped.parent], clip)
    row, = table.records
    near, middle, side = row["by_yaw"].values()
    assert near["faces"] + middle["faces"] == N and side["faces"] == 0
    assert 0 < near["pose_error"] < 5 and 0 < near["lips_error"] < 3
    assert row["mouth_correlation"] > 0.95 and "idf download lpips" in str(table)


def test_it_is_labeled_and_marked(clip, swapped, tmp_path):
    v = verify(swapped)
    assert v.synthetic and v.fields["made"] == "face swap of a video (uv)"
    assert pixels(swapped)[:, 232:246, 12:80].mean() < 130  # the plate
    assert v.fields["watermark"] == payload_text(payload_of(
        read_json(swapped.parent / "run.json")["identity"]))
    assert swap_video(clip, samples.photo("C"), swapped.parent, None, SHORT,
                      consent=CONSENT) == swapped  # a second run does nothing
    with pytest.raises(IdfError, match="consent"):
        swap_video(clip, samples.photo("C"), tmp_path / "o", None, SHORT)
    assert not (tmp_path / "o").exists()


KILLED = """
import sys, os
from idf_helpers.swapping import video
from idf_helpers.swapping.config import SwapConfig, VideoConfig
clip, photo, out, consent = sys.argv[1:]
own, seen = video._swap_part, []
def dying(part, **more):
    row = own(part, **more)
    seen.append(part)
    if len(seen) == 2:
        os.kill(os.getpid(), 9)
    return row
video._swap_part = dying
video.swap_video(clip, photo, out, SwapConfig("mesh"), VideoConfig(part=12), consent=consent)
"""


def test_killed_and_gone_on_with_other_processes_it_ends_the_same(clip, tmp_path):
    whole = swap_video(clip, samples.photo("C"), tmp_path / "whole", SwapConfig("mesh"), SHORT,
                       consent=CONSENT)
    out = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED, clip, samples.photo("C"), out, CONSENT])
    assert done.returncode != 0 and not (out / "talk.mp4").exists()
    parts = sorted((out / "work").glob("part_*.ts"))
    kept = [p.stat().st_mtime_ns for p in parts]
    assert len(parts) == 2
    steps = []
    path = swap_video(clip, samples.photo("C"), out, SwapConfig("mesh"), SHORT, consent=CONSENT,
                      engine="process", workers=1,
                      reporter=Calling(lambda step, share: steps.append((step, kept == [
                          p.stat().st_mtime_ns for p in parts[:1] if p.exists()] + kept[1:]))))
    assert [s for s, same in steps if s == "swapping" and same]
    assert "finding faces" not in [s for s, _ in steps]
    np.testing.assert_array_equal(pixels(path), pixels(whole))
    assert read_json(out / "swap_report.json")["counts"] == {"swapped": N}


def test_mostly_without_a_face_it_stops_and_says(clip, tmp_path):
    noise = np.random.default_rng(0).integers(90, 120, (256, 256, 3), np.uint8)
    with media.video_writer(tmp_path / "empty.mp4", 25) as video:
        for k, frame in enumerate(pixels(clip)[:20]):
            video.append(frame if k % 5 < 2 else noise)  # 60 % without
    out = tmp_path / "o"
    with pytest.raises(IdfError, match="60 % of the frames .* show no face"):
        swap_video(tmp_path / "empty.mp4", samples.photo("C"), out, SwapConfig("mesh"),
                   consent=CONSENT)
    assert not out.exists()
    path = swap_video(tmp_path / "empty.mp4", samples.photo("C"), out, SwapConfig("mesh"),
                      VideoConfig(max_missing=0.7, label=False), consent=CONSENT)
    rows = read_json(out / "swap_report.json")["frames"]
    assert {r["status"] for r in rows} <= {"swapped", "no_face"} and path.is_file()


def test_from_the_shell(clip, tmp_path, capsys, monkeypatch):
    with pytest.raises(SystemExit) as code:
        cli.main(["swap", str(tmp_path / "none.mp4"), "--source", str(samples.photo("C")), "--out",
                  str(tmp_path / "o"), "--consent", CONSENT])
    assert code.value.code == 2 and "does not exist" in capsys.readouterr().err
    asked = {}
    monkeypatch.setattr("idf_helpers.swapping.swap.swap_video",
                        lambda *a, **k: asked.update(a=a, k=k) or (_ for _ in ()).throw(
                            IdfError("asked")))
    with pytest.raises(SystemExit):
        cli.main(["swap", str(clip), "--source", str(samples.photo("C")), "--out",
                  str(tmp_path / "o"), "--video.crf", "24", "--engine", "process", "--workers",
                  "3"])
    assert asked["a"][4].crf == 24 and asked["k"]["engine"] == "process"


# --------------------------------------------------------------------------------------- linking

def faces_at(centers, size=40.0):
    """`Found` of one part: {frame: [x of each face]}."""
    rng = np.random.default_rng(0)
    shape = np.column_stack([rng.uniform(-0.5, 0.5, (468, 2)), np.zeros(468)]) * size
    frame = [n for n, xs in centers.items() for _ in xs]
    points = [shape + (x, 100, 0) for xs in centers.values() for x in xs]
    n = len(frame)
    iris = [p[:10] + 1 for p in points]
    return Found(np.array(frame), np.float32(points), np.float32(iris), np.ones(n), np.ones(n),
                 np.zeros((n, BYTES), np.uint8))


def test_one_face_is_followed_among_two():
    both = {n: ([100 + n, 300] if n % 2 else [300, 100 + n]) for n in range(20)}
    both[0] = [100]  # the clearest at first
    faces = link([faces_at({k: both[k] for k in range(10)}),
                  faces_at({k: both[k] for k in range(10, 20)})], 20)
    assert np.abs(faces.points[:, :, 0].mean(1) - (100 + np.arange(20))).max() < 5
    np.testing.assert_allclose(faces.iris, faces.points[:, :10] + 1, atol=1e-4)
    assert faces.seen.all() and faces.times.tolist() == list(range(20))


def test_cuts_and_gaps():
    faces = link([faces_at({n: [100] for n in range(6)} | {n: [250] for n in (6, 7, 8, 11, 12)})],
                 14)
    assert faces.times[6] - faces.times[5] > 100 and faces.times[7] - faces.times[6] == 1
    assert faces.seen.sum() == 11
    smooth = smoothed(faces)
    assert np.isnan(faces.iris[9]).all() and np.isfinite(smooth.face(9).iris).all()
    assert smooth.face(9) is not None and smooth.face(13) is None  # bridged; beyond the end
    np.testing.assert_allclose(smooth.points[10, :, :2], faces.points[11, :, :2], atol=0.1)


def test_a_turning_face_keeps_its_shape():
    rng = np.random.default_rng(2)
    shape = rng.uniform(-50, 50, (468, 3))
    points = []
    for n in range(40):
        a, s = 0.06 * n, 1 + 0.01 * n
        R = s * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        points.append(np.column_stack([shape[:, :2] @ R.T + (3 * n, 50), s * shape[:, 2]]))
    clean = np.float32(points)
    noisy = clean + rng.normal(0, 0.4, clean.shape).astype(np.float32)
    iris = clean[:, 33:43] + rng.normal(0, 0.4, (40, 10, 3)).astype(np.float32)
    smooth = smoothed(VideoFaces(noisy, np.ones(40, bool), np.arange(40), iris,
                                 np.zeros((40, BYTES), np.uint8)))
    for out, given, true in ((smooth.points, noisy, clean), (smooth.iris, iris, clean[:, 33:43])):
        assert np.abs(out - true)[2:-2].mean() < 0.62 * np.abs(given - true)[2:-2].mean()


def test_long_videos_are_smoothed_in_blocks_without_seams(monkeypatch):
    rng = np.random.default_rng(3)
    points = np.float32(np.cumsum(rng.normal(0, 1, (90, 468, 3)), axis=0) * 0.05 + 100
                        + 40 * rng.normal(size=(468, 3)))
    seen = np.ones(90, bool)
    seen[[29, 30, 31, 60]] = False
    points[~seen] = np.nan
    faces = VideoFaces(points, seen, np.arange(90), points[:, 5:15],
                       np.zeros((90, BYTES), np.uint8))
    # A plain mean: the noise, which is measured in each block, has no say.
    whole = smoothed(faces, 2, 1e6)
    monkeypatch.setattr("idf_helpers.swapping.video_faces.BLOCK", 30)
    parts = smoothed(faces, 2, 1e6)
    np.testing.assert_allclose(parts.points, whole.points, atol=1e-2)
    np.testing.assert_allclose(parts.iris, whole.iris, atol=1e-2)
