"""Our splat files in independent readers and theirs in ours: @playcanvas/splat-transform, the
library of .spz that it brings, and Khronos' glTF validator, fetched once from npm."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.exporting import Model, export
from idf_helpers.provenance import Mark
from idf_helpers.reconstruction.splats.formats import turn
from idf_helpers.reconstruction.splats.formats.axes import BLENDER, COLMAP, GLTF
from idf_helpers.reconstruction.splats.formats.registry import read
from idf_helpers.reconstruction.splats.formats.splat_model import Orbit
from idf_helpers.reconstruction.splats.formats.spz import write_spz
from idf_helpers.reconstruction.splats.formats.writing import exporters
from idf_helpers.reconstruction.splats.ply import property_names, read_ply, write_ply
from idf_helpers.reconstruction.splats.splat_file import write_splat
from tests.fixtures.gaussians import assert_equal, random_gaussians
from tests.fixtures.npm import npm_file
from tests.fixtures.splat_scenes import gentle, matched, scene_of

pytestmark = pytest.mark.npm
EXTENSION = "KHR_gaussian_splatting"  # newer than the validator
PACKAGE, VERSION = "@playcanvas/splat-transform", "2.7.1"  # runs on Node 18 and newer


@pytest.fixture(scope="module")
def requires_splat_transform():
    """splat-transform(input, output) -> output; installed beside the other downloads, once."""
    script = npm_file(PACKAGE, VERSION, "bin/cli.mjs")
    node = shutil.which("node")

    def transform(source, target, *flags):
        done = subprocess.run([node, str(script), "--overwrite", *flags, str(source), str(target)],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return target

    return transform


def table(path) -> dict[str, np.ndarray]:
    with open(path, newline="") as f:
        rows = list(csv.reader(f))
    values = np.array(rows[1:], float)
    return {name: values[:, i] for i, name in enumerate(rows[0])}


def test_it_reads_every_number_of_our_ply(requires_splat_transform, tmp_path):
    g = random_gaussians(300)
    ours = write_ply(g, tmp_path / "a.ply", comments=["synthetic, made with a tool; run x"])
    seen = table(requires_splat_transform(ours, tmp_path / "a.csv"))
    assert list(seen) == property_names()
    want = {"x": g.means[:, 0], "z": g.means[:, 2], "opacity": g.opacity_logits,
            "scale_1": g.log_scales[:, 1], "rot_0": g.quats[:, 0], "rot_3": g.quats[:, 3],
            "f_dc_2": g.sh[:, 0, 2], "f_rest_0": g.sh[:, 1, 0], "f_rest_15": g.sh[:, 1, 1],
            "f_rest_44": g.sh[:, 15, 2]}
    for name, values in want.items():
        np.testing.assert_allclose(seen[name], values, rtol=1e-6, atol=1e-7, err_msg=name)


def test_we_read_what_it_writes(requires_splat_transform, tmp_path):
    g = random_gaussians(300)
    ours = write_ply(g, tmp_path / "a.ply")
    assert_equal(read_ply(requires_splat_transform(ours, tmp_path / "b.ply")), g)


def test_it_compresses_our_ply_and_reads_our_splat_file(requires_splat_transform, tmp_path):
    g = random_gaussians(300, degree=0)
    ours = write_ply(g, tmp_path / "a.ply")
    small = requires_splat_transform(ours, tmp_path / "a.compressed.ply")
    assert small.stat().st_size < ours.stat().st_size / 2
    splat = write_splat(g, tmp_path / "a.splat")
    seen = table(requires_splat_transform(splat, tmp_path / "b.csv"))
    order = np.lexsort(g.means.T)
    mine = np.lexsort([seen["x"], seen["y"], seen["z"]])
    for name, values in {"x": g.means[:, 0], "scale_2": g.log_scales[:, 2]}.items():
        np.testing.assert_allclose(seen[name][mine], values[order], rtol=1e-5, atol=1e-5)
    visible = np.abs(g.opacity_logits[order]) < 2
    np.testing.assert_allclose(seen["opacity"][mine][visible], g.opacity_logits[order][visible],
                               atol=0.03)


# --- the other formats ----------------------------------------------------------------------------

def alike(got, want, places=5e-3, scales=0.04, opacity=4e-3, color=0.02, rest=0.1):
    """Both hold the same Gaussians, in any order, within what a packed format can hold."""
    got = got[matched(want, got)]
    assert np.abs(got.means - want.means).max() <= places
    assert np.abs(got.log_scales - want.log_scales).max() <= scales
    assert np.abs(got.opacities - want.opacities).max() <= opacity
    assert np.abs(got.sh[:, 0] - want.sh[:, 0]).max() <= color
    assert np.sqrt(((got.sh[:, 1:] - want.sh[:, 1:])**2).mean()) <= rest
    assert turned_apart(got, want) < 0.05


def turned_apart(got, want) -> float:
    """How far the axes of equally large Gaussians are apart: several quaternions are one ellipsoid.

    Worst of all, as a share of the covariance.
    """
    def covariances(quats):
        turns = Rotation.from_quat(quats[:, [1, 2, 3, 0]]).as_matrix()
        return turns * np.exp(2 * want.log_scales)[:, None] @ turns.transpose(0, 2, 1)

    a, b = covariances(got.quats), covariances(want.quats)
    return float((np.linalg.norm(a - b, axis=(1, 2)) / np.linalg.norm(b, axis=(1, 2))).max())


@pytest.mark.parametrize("suffix", [".spz", ".sog", ".compressed.ply"])
def test_it_reads_what_we_write_marked_and_turned(suffix, requires_splat_transform, tmp_path):
    g = gentle(400)
    model = Model(scene_of(g), Mark("r", "splats"), tmp_path, "r", exporters())
    ours = export(model, tmp_path / f"ours{suffix}")
    theirs = requires_splat_transform(ours, tmp_path / "theirs.ply")
    # its .ply is +y down, whatever the file was
    alike(read_ply(theirs), turn.turned(g, BLENDER.turn_to(COLMAP)))


@pytest.mark.parametrize("name,flags", [
    ("a.spz", ()), ("b.spz", ("--spz-version", "3")), ("a.compressed.ply", ()),
    ("a.sog", ("-g", "cpu", "-i", "2")), ("folder/meta.json", ("-g", "cpu", "-i", "2"))])
def test_we_read_what_it_writes_in_other_formats(name, flags, requires_splat_transform, tmp_path):
    g = gentle(400)
    ply = write_ply(g, tmp_path / "source.ply")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    model = read(requires_splat_transform(ply, tmp_path / name, *flags))
    assert model.axes is None and not model.notes
    if name.endswith(".spz"):  # +y up, as the format has it
        g = turn.turned(g, COLMAP.turn_to(GLTF))
    # for so few Gaussians its palette of harmonics is small
    alike(model.gaussians, g, rest=0.15)


def test_we_read_its_gltf(requires_splat_transform, tmp_path):
    g = gentle(400)
    model = read(requires_splat_transform(write_ply(g, tmp_path / "a.ply"), tmp_path / "a.glb"))
    assert model.up == GLTF.up and model.axes is None
    half = np.diag([-1.0, -1.0, 1.0])  # it turns a .ply by half about z: +y down becomes +y up
    alike(model.gaussians, turn.turned(g, half), 1e-5, 1e-5, 1e-5, 1e-5, 1e-5)


@pytest.fixture(scope="module")
def requires_spz_library():
    """spz(script) -> what the script prints as JSON, beside the library of the format's authors.

    The script has `spz` (the module) and `fs`.
    """
    package = npm_file(PACKAGE, VERSION, "bin/cli.mjs").parents[3] / "@adobe" / "spz"
    node = shutil.which("node")

    def run(script):
        done = subprocess.run([node, "--input-type=module", "-"], input=f"""
            import fs from "fs";
            import create from "@adobe/spz";
            const spz = await create();
            {script}""", capture_output=True, text=True, timeout=120, cwd=package.parents[1])
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout[done.stdout.index("{"):])

    return run


def test_the_authors_library_reads_our_spz(requires_spz_library, tmp_path):
    g = gentle(300)
    write_spz(g, tmp_path / "a.spz", Orbit(-0.2, 0.6, 1.5))
    got = requires_spz_library(f"""
        const cloud = await spz.loadSpzFromBuffer(fs.readFileSync({str(tmp_path / "a.spz")!r}),
                                                  {{to: spz.CoordinateSystem.RUB}});
        console.log(JSON.stringify({{n: cloud.numPoints, degree: cloud.shDegree,
            positions: [...cloud.positions], rotations: [...cloud.rotations],
            sh: [...cloud.sh], alphas: [...cloud.alphas], scales: [...cloud.scales]}}));""")
    ours = read(tmp_path / "a.spz").gaussians
    assert (got["n"], got["degree"]) == (300, 3)
    np.testing.assert_allclose(np.reshape(got["positions"], (-1, 3)), ours.means, atol=1e-6)
    np.testing.assert_allclose(np.reshape(got["scales"], (-1, 3)), ours.log_scales, atol=1e-5)
    np.testing.assert_allclose(np.reshape(got["sh"], (-1, 15, 3)), ours.sh[:, 1:], atol=1e-6)
    xyzw = np.reshape(got["rotations"], (-1, 4))
    np.testing.assert_allclose(xyzw[:, [3, 0, 1, 2]], ours.quats, atol=1e-5)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_we_read_the_authors_spz(version, requires_spz_library, tmp_path):
    g = gentle(300)
    list_ = {"positions": g.means, "scales": g.log_scales, "rotations": g.quats[:, [1, 2, 3, 0]],
             "alphas": g.opacity_logits, "colors": g.sh[:, 0], "sh": g.sh[:, 1:]}
    arrays = ", ".join(f"{n}: new Float32Array({v.reshape(-1).tolist()})" for n, v in list_.items())
    requires_spz_library(f"""
        const cloud = {{numPoints: 300, shDegree: 3, antialiased: false, extensions: [], {arrays}}};
        fs.writeFileSync({str(tmp_path / "a.spz")!r}, spz.saveSpzToBuffer(cloud, {{
            version: {version}, from: spz.CoordinateSystem.RDF, sh1Bits: 5, shRestBits: 4}}));
        console.log("{{}}");""")
    want = turn.turned(g, COLMAP.turn_to(GLTF))  # the library turns it from +y down to +y up
    got = read(tmp_path / "a.spz").gaussians
    np.testing.assert_allclose(got.means, want.means, atol=1.3e-4)
    assert turned_apart(got, want) < (0.2 if version == 2 else 0.01)
    np.testing.assert_allclose(got.sh[:, 1:4], want.sh[:, 1:4], atol=0.04)
    np.testing.assert_allclose(got.sh[:, 4:], want.sh[:, 4:], atol=0.07)


def test_khronos_validator_finds_no_error_in_our_gltf(tmp_path):
    module = npm_file("gltf-validator", "2.0.0-dev.3.10", "package.json").parent
    model = Model(scene_of(gentle(200)), Mark("r", "splats"), tmp_path, "r", exporters())
    path = export(model, tmp_path / "a.glb")
    done = subprocess.run([shutil.which("node"), "-e", f"""
        require({str(module)!r}).validateBytes(new Uint8Array(require("fs").readFileSync(
            {str(path)!r}))).then(r => console.log(JSON.stringify(r)))"""],
        capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    unknown = [m for m in report["issues"]["messages"] if m["severity"] == 0
               and EXTENSION not in m["pointer"]]
    assert not unknown
    assert report["info"]["totalVertexCount"] == 200


@pytest.mark.parametrize("level", [0, 1, 2])
def test_we_read_what_the_makers_of_ksplat_write(level, tmp_path):
    module = npm_file("@mkkellogg/gaussian-splats-3d", "0.4.7",
                      "build/gaussian-splats-3d.module.js")
    g = gentle(300, 1)
    ply = write_ply(g, tmp_path / "a.ply", sh_degree=1)
    done = subprocess.run([shutil.which("node"), "--input-type=module", "-"], input=f"""
        import fs from "fs";
        import * as maker from {module.as_uri()!r};
        globalThis.window = globalThis;  // it is made for browsers
        const file = fs.readFileSync({str(ply)!r});
        const data = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
        const made = await maker.PlyLoader.loadFromFileData(data, 1, {level}, true, 1);
        fs.writeFileSync({str(tmp_path / "a.ksplat")!r}, new Uint8Array(made.bufferData));""",
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = g[g.opacities > 1 / 255]
    alike(read(tmp_path / "a.ksplat").gaussians, seen, 2e-3, 2e-3, 5e-3, 0.02, 0.02)
