"""Cameras by pycolmap: what is asked of its process, what becomes of its answer, and how it fails.

pycolmap itself is an extra; the last test runs it where it is installed. The others put a program
in its place that speaks the worker's language.
"""

import importlib.util
import json
import os
import sqlite3
import textwrap
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import psutil
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.capturing import colmap_cameras
from idf_helpers.capturing.cameras import Frames
from idf_helpers.capturing.colmap_process import run_worker
from idf_helpers.capturing.place import fit_similarity
from idf_helpers.data.cameras import GL_TO_CV, Camera, look_at_matrix
from idf_helpers.data.media import read_image, resize_area, write_image
from idf_helpers.errors import IdfError

N = 12


@pytest.fixture
def frames(tmp_path):
    """N small frames whose numbers are 10, 20, …; a square person in the middle."""
    (tmp_path / "pictures").mkdir()
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[10:, 20:60] = 255
    rng = np.random.default_rng(0)
    pictures, masks = [], []
    for i in range(N):
        pictures.append(tmp_path / "pictures" / f"f{i:02d}.png")
        masks.append(tmp_path / "pictures" / f"m{i:02d}.png")
        write_image(pictures[-1], rng.integers(0, 255, (60, 80, 3), np.uint8))
        write_image(masks[-1], mask)
    return Frames(np.arange(1, N + 1) * 10, tuple(pictures), tuple(masks),
                  np.full((N, 468, 3), np.nan, np.float32), 80, 60, "camera")


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A function that writes a worker of the given body; pycolmap counts as installed."""
    find = importlib.util.find_spec

    def found(name, *rest):
        return ModuleSpec(name, None, origin=str(tmp_path / "site" / "pycolmap" / "__init__.py")
                          ) if name == "pycolmap" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", found)

    def write(body):
        path = tmp_path / "stub.py"
        path.write_text("import json, os, sys, time\n"
                        "job = json.load(open(sys.argv[1]))\n"
                        "folder = os.path.dirname(sys.argv[1])\n"
                        "def say(**m): print(json.dumps(m), flush=True)\n"
                        "def leave(models): json.dump(models, open(folder + '/models.json', 'w'))\n"
                        + textwrap.dedent(body))
        return path

    return write


def silent(step, share):
    pass


GOOD = """
    say(step="features", share=0.5)
    print("a library prints this", flush=True)
    names = job["names"]
    pose = lambda i: [[0, 0, 1, i], [0, 1, 0, 2], [-1, 0, 0, 3]]
    point = [1, 2, 3, 255, 0, 51, 0.5, 4]
    leave([{"params": [70, 40, 30, 0.02], "model": "SIMPLE_RADIAL",
            "poses": {n: pose(i) for i, n in enumerate(names[:-1])},
            "points": [point, [9, 9, 9, 0, 0, 0, 5.0, 4], [8, 8, 8, 0, 0, 0, 0.3, 2]]},
           {"params": [70, 40, 30, 0.02], "model": "SIMPLE_RADIAL",
            "poses": {names[-1]: pose(0), names[0]: pose(0)}}])
    say(step="cameras", share=0.9)
    say(done=True)
    time.sleep(60)
"""


def test_the_largest_model_becomes_cameras(frames, stub, tmp_path):
    told = []
    found = colmap_cameras.solve(frames, tmp_path / "work", lambda *a: told.append(a),
                                 worker=stub(GOOD))
    assert told == [("features", 0.5), ("cameras", 0.9)]
    assert found.method == "colmap" and found.registered.tolist() == [True] * (N - 1) + [False]
    assert found.other_models == (N * 10,)  # the other model's first frame is in the largest, too
    assert found.distortion == (0.02, 0.0, 0.0, 0.0)
    # a median over all points; those handed on are exact and seen in at least three pictures
    assert found.reprojection_px == 0.5
    assert found.points.tolist() == [[1, 2, 3, 1, 0, np.float32(0.2)]]
    camera = found.cameras[4]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (70, 70, 40, 30)
    w2c = np.array([[0, 0, 1, 4], [0, 1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(camera.c2w, np.linalg.inv(w2c) @ GL_TO_CV, atol=1e-12)


def test_poses_without_a_point_in_space_are_none(frames, stub, tmp_path):
    """What pycolmap leaves of a camera that only pans."""
    pan = GOOD.replace("[point, [9, 9, 9, 0, 0, 0, 5.0, 4], [8, 8, 8, 0, 0, 0, 0.3, 2]]", "[]")
    assert pan != GOOD
    with pytest.raises(IdfError, match="too little that fits together"):
        colmap_cameras.solve(frames, tmp_path / "work", silent, worker=stub(pan))


def test_the_room_counts_only_where_the_camera_moves(frames, stub, tmp_path):
    colmap_cameras.solve(frames, tmp_path / "a", silent, worker=stub(GOOD))
    job = json.loads((tmp_path / "a" / "job.json").read_text())
    assert job["masks"] == "" and not job["drop_still"]
    turning = Frames(**{**vars(frames), "moves": "head"})
    colmap_cameras.solve(turning, tmp_path / "b", silent, worker=stub(GOOD))
    job = json.loads((tmp_path / "b" / "job.json").read_text())
    assert job["drop_still"]
    mask = read_image(Path(job["masks"]) / "f03.png.png")[..., 0]
    # a rim of the person is left out, but not where the picture cuts her off
    assert mask[30, 40] == 255 and mask[59, 40] == 255 and mask[30, 21] == 0 and mask[11, 40] == 0
    assert mask[30, 24] == 255


def test_pairs_are_neighbors_and_loops_then_these_closely_then_all():
    (few, _), (again, close) = colmap_cameras._rounds(10)
    assert len(few) == 45 and again == few and close
    (some, _), (again, _), (every, _) = colmap_cameras._rounds(90)
    assert again == some and len(every) == 90 * 89 // 2 and len(some) < len(every) / 3
    assert [close for _, close in colmap_cameras._rounds(90)] == [False, True, True]
    assert [0, 1] in some and [0, 85] in some and [1, 86] not in some


def test_frames_are_looked_at_closely_where_a_tenth_is_left_out(frames, stub, tmp_path,
                                                                monkeypatch):
    monkeypatch.setattr(colmap_cameras, "ALL_PAIRS", 4)
    monkeypatch.setattr(colmap_cameras, "NEAR", (1,))
    body = """
    count = {(False, False): 9, (True, False): CLOSE, (True, True): ALL}[
        job["close"], len(job["pairs"]) == 66]
    pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    leave([{"params": [70, 40, 30, 0.0], "model": "SIMPLE_RADIAL", "points": [[0] * 6 + [0.5, 3]],
            "poses": {n: pose for n in job["names"][:count]}}])
    open(folder + "/calls", "a").write("x")
    count or sys.exit(1)
    say(done=True)
    """
    # the last of 0: a round that fails leaves what the ones before gave
    for name, close, every, found, calls in (
            ("a", 12, 0, 12, ("x", "x")), ("b", 10, 11, 11, ("x", "xx")),
            ("c", 10, 0, 10, ("x", "xx")), ("d", 0, 0, 9, ("x", "x"))):
        work = tmp_path / name
        worker = stub(body.replace("CLOSE", str(close)).replace("ALL", str(every)))
        cameras = colmap_cameras.solve(frames, work, silent, worker=worker)
        assert cameras.registered.sum() == found
        assert tuple((w / "calls").read_text() for w in (work, work / "close")) == calls
        assert json.loads((work / "close" / "job.json").read_text())["size"] < 1000


def test_features_are_kept_for_the_same_pictures_only(frames, stub, tmp_path):
    work, worker = tmp_path / "work", stub(GOOD)
    colmap_cameras.solve(frames, work, silent, worker=worker)
    (work / "database.db").write_text("features")
    colmap_cameras.solve(frames, work, silent, worker=worker)
    assert (work / "database.db").exists()
    write_image(frames.pictures[2], np.zeros((60, 80, 3), np.uint8))
    colmap_cameras.solve(frames, work, silent, worker=worker)
    assert not (work / "database.db").exists()


@pytest.mark.parametrize(("body", "words"), [
    ("say(step='matches', share=0.1)\nos.kill(os.getpid(), 11)",
     "exit code 11" if os.name == "nt" else "signal 11, while at: matches"),
    ("say(error='RuntimeError: no such image')\nsys.exit(1)", "RuntimeError: no such image"),
    ("sys.stderr.write('out of memory')\nsys.exit(1)", "exit code 1, while at: starting; out of"),
    ("sys.exit(0)", "exit code 0"),
    ("leave([])\nsay(done=True)", "0 of 12 frames"),
    ("say(step='cameras', share=0.2)\ntime.sleep(60)", "while at: cameras"),
])
def test_failures_are_said_and_leave_no_process(frames, stub, tmp_path, body, words):
    with pytest.raises(IdfError) as error:
        colmap_cameras.solve(frames, tmp_path / "w", silent, seconds=3, worker=stub(body))
    assert words in error.value.found and error.value.do
    running = [p for p in psutil.Process().children(recursive=True) if p.is_running()
               and "stub.py" in " ".join(p.cmdline())]
    assert not running


def test_without_pycolmap_it_says_how_to_get_it(frames, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not colmap_cameras.is_installed()
    with pytest.raises(IdfError, match="pip install pycolmap"):
        colmap_cameras.solve(frames, tmp_path / "w", silent)


def test_an_interrupt_ends_the_worker(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text("import json, os, time\nprint(json.dumps({'step': str(os.getpid())}), "
                      "flush=True)\ntime.sleep(60)\n")
    (tmp_path / "job.json").write_text("{}")
    pid = []

    def stop(step, share):
        pid.append(int(step))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(tmp_path / "job.json", 30, stop, worker)
    assert not psutil.pid_exists(pid[0])


def textured(camera, walls):
    """A picture of a room's corner: three walls at x = 3, y = 3, z = -2 with random checks."""
    o, d = camera.rays()
    t = np.stack([(3 - o[0]) / d[..., 0], (3 - o[1]) / d[..., 1], (-2 - o[2]) / d[..., 2]], -1)
    t = np.where(t > 0, t, np.inf)
    wall, p = t.argmin(-1), o + t.min(-1)[..., None] * d
    uv = np.stack([p[..., [1, 0, 0]], p[..., [2, 2, 1]]], -1)  # (H, W, 3, 2), of each wall
    uv = np.take_along_axis(uv, wall[..., None, None], 2)[..., 0, :]
    i = np.floor(uv * 5).astype(int) % walls.shape[1]
    return walls[wall, i[..., 0], i[..., 1]]


@pytest.mark.skipif(not colmap_cameras.is_installed(), reason="pip install pycolmap")
def test_pycolmap_itself_finds_true_cameras_and_goes_on_after_a_kill(tmp_path):
    rng = np.random.default_rng(0)
    walls = rng.integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    truth, pictures = [], []
    for i in range(9):
        a = 0.16 * (i - 4)
        eye = np.array([-1 + 1.5 * np.sin(a), -1 - np.cos(a), 0.2 * np.sin(2 * a)])
        truth.append(Camera(look_at_matrix(eye, [3, 3, -0.5], [0, 0, 1]), 300, 300, 160, 120,
                            320, 240))
        pictures.append(tmp_path / f"p{i}.png")
        big = textured(truth[-1].resized(640, 480), walls)
        write_image(pictures[-1], resize_area(big, 320, 240))
    frames = Frames(np.arange(9), tuple(pictures), (), np.full((9, 468, 3), np.nan, np.float32),
                    320, 240, "camera")

    def stop(step, share):
        if step == "matching frames":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        colmap_cameras.solve(frames, tmp_path / "work", stop)
    database = sqlite3.connect(tmp_path / "work" / "database.db")
    kept = database.execute("SELECT image_id, rows, data FROM keypoints").fetchall()
    database.close()
    assert len(kept) == 9
    found = colmap_cameras.solve(frames, tmp_path / "work", silent)
    database = sqlite3.connect(tmp_path / "work" / "database.db")
    assert database.execute("SELECT image_id, rows, data FROM keypoints").fetchall() == kept
    assert database.execute("SELECT COUNT(*) FROM cameras").fetchone() == (1,)
    database.close()
    assert found.registered.all()
    assert found.cameras[0].fx == pytest.approx(300, rel=0.02)
    centers = np.array([c.position for c in found.cameras])
    sim = fit_similarity(centers, np.array([c.position for c in truth]), np.ones(9))
    off = np.linalg.norm(sim.points(centers) - [c.position for c in truth], axis=1)
    assert off.max() < 0.05  # of walls 4 to 6 away
    here, there = (Rotation.from_matrix(c[0].c2w[:3, :3].T @ c[8].c2w[:3, :3])
                   for c in (found.cameras, truth))
    assert np.degrees((here.inv() * there).magnitude()) < 0.5
