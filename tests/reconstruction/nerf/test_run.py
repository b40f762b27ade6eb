"""The stage end to end: run folders, the command line, meshes, points, exports with their marks."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.cli.main import main
from idf_helpers.data import media
from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.exporting import Model, export
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.mesh import extract_mesh, surface_nets
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from idf_helpers.reconstruction.nerf.field_file import read_field
from idf_helpers.reconstruction.nerf.voxel_method import FIELD
from idf_helpers.reconstruction.surface import surface_points
from tests.fixtures.ball_scene import CENTER, RADIUS, write_ball

SHORT = VoxelConfig(iterations=150, resolution=48, grid=40, rays=1024, occupancy_every=20)
SMALL_NERF = """netdepth = 2
netwidth = 16
netdepth_fine = 2
netwidth_fine = 16
N_samples = 8
N_importance = 8
N_rand = 64
dataset_type = blender
white_bkgd = True
no_batching = True
testskip = 2
half_res
"""


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    return write_ball(tmp_path_factory.mktemp("ball"), ("train", "test"))


@pytest.fixture(scope="module")
def run(ball, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "voxel"
    reconstruct(Dataset.open(ball), out, "nerf", SHORT)
    return out


def test_a_run_leaves_its_files_and_is_read_back(run, ball):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["psnr"] > 25 and metrics["iterations"] == 150 and metrics["views"] == 4
    assert {"psnr", "ssim", "psnr_masked", "num_voxels", "seconds", "peak_rss_mb"} <= set(metrics)
    assert provenance.verify(run / FIELD).synthetic
    assert provenance.verify(run / "held_out.jpg").synthetic
    stamp = (run / FIELD).stat().st_mtime_ns
    scene = reconstruct(Dataset.open(ball), run, "nerf", SHORT)
    assert (run / FIELD).stat().st_mtime_ns == stamp and len(scene.cameras) == 20
    with pytest.raises(IdfError, match="another run"):
        reconstruct(Dataset.open(ball), run, "nerf", replace(SHORT, seed=3))


def test_half_precision_on_disk_is_close(run, ball):
    from idf_helpers.metrics import evaluate_scene

    metrics = json.loads((run / "metrics.json").read_text())
    again = evaluate_scene(load(run), Dataset.open(ball).test, 48)
    assert again.psnr == pytest.approx(metrics["psnr"], abs=0.05)


@pytest.mark.parametrize("damage", ["bytes", "shape", "version", "order", "nan"])
def test_damaged_fields_are_told(run, tmp_path, damage):
    path = tmp_path / FIELD
    with np.load(run / FIELD) as data:
        a = dict(data)
    if damage == "shape":
        a["shape"] = a["shape"] // 2
    elif damage == "version":
        a["version"] = np.array(99)
    elif damage == "order":
        a["vertices"] = a["vertices"][::-1]
    elif damage == "nan":
        a["density"][0] = np.nan
    np.savez(path, **a)
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(IdfError, match="field"):
        read_field(path)


def test_fields_of_the_first_version_are_read(run, tmp_path):
    path = tmp_path / FIELD
    with np.load(run / FIELD) as data:
        a = dict(data)
    assert int(a["version"]) == 2
    np.savez(path, **{k: v for k, v in a.items() if k not in ("color", "version")},
             colour=a["color"], version=1)
    old, new = read_field(path), read_field(run / FIELD)
    np.testing.assert_array_equal(old.params, new.params)
    np.testing.assert_array_equal(old.vertices, new.vertices)


def test_mesh_of_a_ball_is_closed_and_round():
    n = np.indices((20, 20, 20)).transpose(1, 2, 3, 0) - 9.5
    vertices, triangles = surface_nets(6 - np.linalg.norm(n, axis=3), 0.0)
    radius = np.linalg.norm(vertices - 9.5, axis=1)
    assert abs(radius - 6).max() < 0.35
    corner = vertices[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert ((normal * (corner.mean(1) - 9.5)).sum(1) > 0).all()  # counter-clockwise from outside
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]],
                                    triangles[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # closed
    volume = (corner[:, 0] * np.cross(corner[:, 1], corner[:, 2])).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.05)
    with pytest.raises(IdfError, match="no surface"):
        surface_nets(np.zeros((4, 4, 4)), 0.5)


def test_mesh_and_points_of_the_trained_field_lie_on_the_ball(run):
    scene = load(run)
    mesh = extract_mesh(scene, cells=40, views=12)
    radius = np.linalg.norm(mesh.vertices - CENTER, axis=1)
    assert np.median(abs(radius - RADIUS)) < 0.12 and radius.std() < 0.08
    outward = (mesh.normals * (mesh.vertices - CENTER)).sum(1) / radius
    assert np.median(outward) > 0.95
    p = (mesh.vertices - CENTER) / radius[:, None]
    truth = 0.5 + 0.35 * np.stack([np.sin(4 * p[:, 0]), np.sin(4 * p[:, 1] + 1),
                                   np.cos(3 * p[:, 2])], axis=1)
    assert np.abs(mesh.colors - truth).mean() < 0.1
    points = surface_points(scene, 500, views=12)
    assert points.shape == (500, 6) and (points[:, 3:] >= 0).all() and (points[:, 3:] <= 1).all()
    away = np.linalg.norm(points[:, :3] - CENTER, axis=1) - RADIUS
    assert np.median(abs(away)) < 0.12 and away.std() < 0.08


def test_exports_carry_their_marks(run, tmp_path):
    from plyfile import PlyData

    model = Model.open(run)
    ply = PlyData.read(export(model, tmp_path / "m.ply"))
    assert {"x", "nx", "red"} <= set(ply["vertex"].data.dtype.names)
    assert len(ply["face"].data) > 100
    glb = export(model, tmp_path / "m.glb")
    data = glb.read_bytes()
    magic, version, size, length, kind = struct.unpack_from("<5I", data)
    assert (magic, version, size, kind) == (0x46546C67, 2, len(data), 0x4E4F534A)
    scene = json.loads(data[20:20 + length])
    faces = scene["accessors"][3]
    assert scene["asset"]["version"] == "2.0" and faces["count"] == 3 * len(ply["face"].data)
    for name in ("m.ply", "m.glb"):
        verdict = provenance.verify(tmp_path / name)
        assert verdict.synthetic and not verdict.problems
        assert verdict.fields["made"] == "radiance field"
    with pytest.raises(IdfError, match="export format"):
        export(model, tmp_path / "m.splat")
    broken = tmp_path / "broken.glb"
    broken.write_bytes(b"glTF????")
    with pytest.raises(IdfError, match="not a GLB"):
        provenance.mark(broken, model.mark)


def idf(*args):
    main([str(a) for a in args])


def test_command_line(run, ball, tmp_path, capsys):
    idf("eval", run)
    assert "mean" in capsys.readouterr().out
    idf("render", run, "--out", tmp_path, "--views", 2, "--resolution", 48)
    assert len(list(tmp_path.glob("view_*.png"))) == 2
    idf("export", run, "--out", tmp_path / "o.mp4", "--frames", 3, "--resolution", 48)
    assert provenance.verify(tmp_path / "o.mp4").synthetic
    with pytest.raises(SystemExit) as stop:
        idf("export", run, "--out", tmp_path / "x.ply", "--clean")
    assert stop.value.code == 2 and not (tmp_path / "x.ply").exists()


def test_splats_start_from_the_field(run, ball, tmp_path, capsys):
    idf("splat", ball, "--out", tmp_path / "s", "--points", run, "--iterations", 20,
        "--resolution", 32, "--max-gaussians", 2000, "--initial", 500)
    assert json.loads((tmp_path / "s/run.json").read_text())["config"]["points"]
    assert (tmp_path / "s/point_cloud.ply").is_file()
    with pytest.raises(SystemExit) as stop:
        idf("splat", ball, "--out", tmp_path / "t", "--points", ball, "--iterations", 20)
    assert stop.value.code == 2 and not (tmp_path / "t").exists()


# --- vanilla --------------------------------------------------------------------------------------

def test_vanilla_from_a_config_leaves_nerf_pytorchs_outputs(ball, tmp_path, capsys):
    config = tmp_path / "small.txt"
    config.write_text(SMALL_NERF)
    out = tmp_path / "nerf"
    flags = ("--backend", "vanilla", "--config", config, "--iterations", 6,
             "--video-frames", 2, "--device", "cpu", "--resolution", "None")
    idf("nerf", ball, "--out", out, *flags)
    names = {p.name for p in out.iterdir()}
    assert {"000006.tar", "args.txt", "config.txt", "testset_000006", "nerf_spiral_000006_rgb.mp4",
            "nerf_spiral_000006_disp.mp4", "metrics.json"} <= names
    pictures = sorted((out / "testset_000006").glob("*.png"))
    assert [p.name for p in pictures] == ["000.png", "001.png"]  # every second of four
    assert media.read_image(pictures[0]).shape == (32, 32, 3)  # half_res
    for file in (*pictures, out / "nerf_spiral_000006_disp.mp4"):
        assert provenance.verify(file).synthetic
    scene = load(out)
    assert (scene.near, scene.far) == (2.0, 6.0) and scene.cameras
    assert np.allclose(scene.render(scene.cameras[0].resized(32, 32)).shape, (32, 32, 3))
    idf("nerf", ball, "--out", out, *flags)  # finished: nothing is done again
    again = tmp_path / "again"
    idf("nerf", ball, "--out", again, *flags, "--checkpoint", out / "000006.tar")
    assert (again / "000012.tar").is_file()


@pytest.mark.parametrize("text, words", [("N_sampels = 3", "N_sampels"),
                                         ("netwidth = 20", "another network")])
def test_bad_vanilla_input_leaves_nothing(ball, tmp_path, capsys, text, words):
    config = tmp_path / "bad.txt"
    config.write_text(SMALL_NERF.replace("netwidth = 16\n", "") + text)
    from tests.reconstruction.nerf.tiny_vanilla import upstream_tar

    upstream_tar(tmp_path / "c.tar")
    with pytest.raises(SystemExit) as stop:
        idf("nerf", ball, "--out", tmp_path / "o", "--backend", "vanilla", "--iterations", 2,
            "--config", config, "--checkpoint", tmp_path / "c.tar")
    assert stop.value.code == 2 and words in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_without_val_and_test_split_frames_are_held_out(tmp_path, capsys):
    root = write_ball(tmp_path / "data", ("train",))
    idf("nerf", root, "--out", tmp_path / "run", "--iterations", 5, "--resolution", 32,
        "--grid", 24)
    assert "held out" in capsys.readouterr().out
    assert json.loads((tmp_path / "run/metrics.json").read_text())["views"] == 3


def test_near_behind_far_on_the_command_line(ball, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        idf("nerf", ball, "--out", tmp_path / "o", "--backend", "vanilla", "--near", 6,
            "--far", 2)
    assert stop.value.code == 2 and "near" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
