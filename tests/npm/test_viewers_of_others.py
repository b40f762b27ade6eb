"""Meshes, camera paths and splats in independent readers: Khronos' validator, SuperSplat's viewer,
three.js."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from idf_helpers.data.camera_path import CameraPath, write_camera_path
from idf_helpers.data.cameras import Camera, scene_frame
from idf_helpers.data.dataset import Dataset
from idf_helpers.exporting import Model
from idf_helpers.exporting.face_mesh import face_glb
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.head_shape import HeadFrame
from idf_helpers.provenance import mark
from idf_helpers.reconstruction.splats.formats.glb import write_glb
from tests.fixtures.gaussians import SH_C0, random_gaussians
from tests.fixtures.npm import npm_file

pytestmark = pytest.mark.npm


def run(script: str, *args) -> dict:
    done = subprocess.run([shutil.which("node"), "--input-type=module", "-e", script, "--",
                           *map(str, args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_khronos_finds_nothing_wrong_with_the_mesh_of_a_face(trained, tmp_path):
    folder, scene = trained
    model = Model.open(folder)
    frame = scene_frame(scene.cameras)
    axes = np.stack([np.cross(frame.up, frame.front), frame.up, frame.front], axis=1)
    head = HeadFrame(frame.radius / 12, axes, frame.center, FaceModel.load().rest.astype(float))
    file = tmp_path / "face.glb"
    file.write_bytes(face_glb(scene, Dataset.open(model.source), head, 4))
    mark(file, model.mark)
    package = npm_file("gltf-validator", "2.0.0-dev.3.10", "index.js")
    report = run("import validator from 'file://" + str(package) + "'; import fs from 'fs';"
                 "const bytes = new Uint8Array(fs.readFileSync(process.argv[1]));"
                 "console.log(JSON.stringify(await validator.validateBytes(bytes)))", file)
    issues = report["issues"]
    assert not issues["numErrors"] and not issues["numWarnings"], issues["messages"]
    assert report["info"]["animationCount"] == 1 and report["info"]["hasMorphTargets"]


def test_supersplats_viewer_takes_our_path_as_its_settings(tmp_path):
    turn = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    track = CameraPath([Camera.look_at((3 * np.sin(a), -0.2, 3 * np.cos(a)), (0, 0, 0), (0, -1, 0),
                                       0.6, 80, 60) for a in turn], 12)
    write_camera_path(tmp_path / "path.json", track)
    package = npm_file("@playcanvas/supersplat-viewer", "1.36.2", "dist/settings.js")
    settings = run("import * as viewer from 'file://" + str(package) + "'; import fs from 'fs';"
                   "const data = JSON.parse(fs.readFileSync(process.argv[1]));"
                   "viewer.validateSettings(data);"
                   "console.log(JSON.stringify(viewer.importSettings(data)))",
                   tmp_path / "path.json")
    keys = settings["animTracks"][0]["keyframes"]
    assert len(keys["times"]) == 7 == len(keys["values"]["fov"])
    # its world: half a turn about z
    np.testing.assert_allclose(keys["values"]["position"][:3],
                               track.cameras[0].position * (-1, -1, 1), atol=1e-12)


def test_three_js_reads_every_number_of_our_glb(tmp_path):
    g = random_gaussians(60)
    write_glb(g, tmp_path / "a.glb")
    jsm = npm_file("three", "0.187.0", "package.json").parent / "examples/jsm/loaders"
    name = "GLTFGaussianSplatLoaderExtension"
    seen = run(f"import {{GLTFLoader}} from 'file://{jsm}/GLTFLoader.js';"
               f"import {{{name}}} from 'file://{jsm}/{name}.js'; import fs from 'fs';"
               f"const loader = new GLTFLoader(); loader.register(p => new {name}(p));"
               "const file = fs.readFileSync(process.argv[1]); const found = [];"
               "const {scene} = await loader.parseAsync(file.buffer.slice(file.byteOffset,"
               " file.byteOffset + file.length), '');"
               "scene.traverse(o => { if (o.isGaussianSplat) found.push(o); });"
               "const {attributes} = found[0].splatGeometry, out = {splats: found.length};"
               "for (const [key, a] of Object.entries(attributes)) out[key] = Array.from("
               " key.startsWith('spher') ? new Uint8Array(a.array.buffer) : a.array);"
               "console.log(JSON.stringify(out))", tmp_path / "a.glb")
    assert seen["splats"] == 1
    arrays = {name: np.reshape(values, (len(g), -1)) for name, values in seen.items()
              if name != "splats"}
    M = Rotation.from_quat(g.quats[:, [1, 2, 3, 0]]).as_matrix() * np.exp(g.log_scales)[:, None]
    covariance = (M @ M.transpose(0, 2, 1))[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(arrays["position"], g.means, rtol=1e-6)
    np.testing.assert_allclose(arrays["covariance"], covariance, rtol=1e-4, atol=1e-9)
    rgba = np.concatenate([0.5 + SH_C0 * g.sh[:, 0], 1 / (1 + np.exp(-g.opacity_logits[:, None]))],
                          axis=1)
    np.testing.assert_allclose(arrays["color"], 255 * np.clip(rgba, 0, 1), atol=0.51)
    for l in (1, 2, 3):
        band = g.sh[:, l**2:(l + 1) ** 2].reshape(len(g), -1)
        np.testing.assert_allclose(arrays[f"sphericalHarmonics{l}"][:, :band.shape[1]],
                                   np.clip(band * 128 + 128, 0, 255), atol=0.51)
