"""An avatar for programs that play numbered files, and as a mesh with blendshapes."""

import io
import json
import re
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.cli.main import main
from idf_helpers.data.camera_path import read_camera_path
from idf_helpers.data.cameras import scene_frame
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import video_info
from idf_helpers.exporting import Model, export, render
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.face_mesh import face_glb, surface_of
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.head_shape import HeadFrame
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.splats.ply import read_ply
from tests.fixtures.marked import CONSENT

FRAMES = 4


def test_numbered_files_show_the_expressions_of_the_training(trained, tmp_path):
    run, scene = trained
    out = export(run, tmp_path / "seq", "frames", ExportConfig(frames=FRAMES))
    files = sorted(out.glob("*.ply"))
    # as SuperSplat tells a sequence: one beginning, then a number
    assert len({re.fullmatch(r"(.*?)(\d+)\.ply", f.name)[1] for f in files}) == 1
    assert len(files) == FRAMES and all(verify(f).synthetic for f in files)
    values = Model.open(run).track().values
    assert np.abs(values[0] - values[2]).max() > 0.05
    for file, value in zip(files, values, strict=False):
        want = scene.at(scene.front, value.astype(np.float32))
        np.testing.assert_allclose(read_ply(file).means, want.means, atol=1e-6)
    with pytest.raises(IdfError, match="not an empty folder"):
        export(run, out, "frames")


def test_nothing_lies_beside_the_numbered_files(trained, tmp_path):
    (tmp_path / "origin").mkdir()
    CONSENT.write(tmp_path / "origin")
    model = replace(Model.open(trained[0]), folder=tmp_path / "origin")
    out = export(model, tmp_path / "to" / "seq", "frames", ExportConfig(frames=2))
    assert sorted(f.name for f in out.iterdir()) == ["frame_00000.ply", "frame_00001.ply"]
    assert (out.parent / "consent.json").is_file()


def test_the_zip_holds_the_same_files_and_leaves_nothing_beside(trained, tmp_path):
    run, _ = trained
    folder = export(run, tmp_path / "seq", "frames", ExportConfig(frames=2))
    out = export(run, tmp_path / "z" / "seq.zip", config=ExportConfig(frames=2))
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(f.name for f in folder.glob("*.ply"))
        for name in archive.namelist():
            assert archive.read(name) == (folder / name).read_bytes()
    assert verify(out).synthetic
    assert {f.name for f in out.parent.iterdir()} <= {
        "seq.zip", "seq.zip.c2pa", "seq.zip.provenance.json", "consent.json"}


def test_without_its_dataset_an_avatar_goes_through_its_named_expressions(trained, tmp_path):
    run, _ = trained
    model = replace(Model.open(run), source=None)
    files = sorted(export(model, tmp_path / "seq", "frames", ExportConfig(frames=5)).glob("*.ply"))
    means = [read_ply(f).means for f in files]
    assert len(files) == 5 and np.abs(means[0] - means[1]).max() > 1e-4


def chunks(data: bytes) -> tuple[dict, bytes]:
    magic, version, size = struct.unpack_from("<4sII", data)
    assert (magic, version, size) == (b"glTF", 2, len(data))
    n = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20:20 + n]), data[28 + n:]


def array(scene: dict, binary: bytes, accessor: int) -> np.ndarray:
    a = scene["accessors"][accessor]
    view = scene["bufferViews"][a["bufferView"]]
    kind, width = {5126: "<f4", 5125: "<u4"}[a["componentType"]], {
        "SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[a["type"]]
    return np.frombuffer(binary, kind, a["count"] * width, view["byteOffset"]).reshape(-1, width)


def test_the_mesh_moves_as_the_training_did(trained, tmp_path):
    run, scene = trained
    data = Dataset.open(Model.open(run).source)
    frame = scene_frame(scene.cameras)
    side = np.cross(frame.up, frame.front)
    axes = np.stack([side, frame.up, frame.front], axis=1)
    head = HeadFrame(frame.radius / 12, axes, frame.center, FaceModel.load().rest.astype(float))
    gltf, binary = chunks(face_glb(scene, data, head, FRAMES))
    mesh = gltf["meshes"][0]
    skin, mouth = mesh["primitives"]
    names = mesh["extras"]["targetNames"]
    assert tuple(names) == FaceModel.load().expression_names
    assert len(names) == len(mesh["weights"]) == len(skin["targets"]) == len(mouth["targets"])
    points = array(gltf, binary, skin["attributes"]["POSITION"])
    np.testing.assert_allclose(points[:468], 0.01 * head.face, atol=1e-6)
    jaw = array(gltf, binary, skin["targets"][names.index("jawOpen")]["POSITION"])
    np.testing.assert_allclose(jaw[:468], 0.01 * FaceModel.load().expression[
        names.index("jawOpen")], atol=1e-7)
    view = gltf["bufferViews"][gltf["images"][0]["bufferView"]]
    picture = Image.open(io.BytesIO(
        binary[view["byteOffset"]:view["byteOffset"] + view["byteLength"]]))
    assert picture.size == (512, 512)
    # the animation: weights by name, and a head that turns as the cameras say
    animation = gltf["animations"][0]
    out = {c["target"]["path"]: array(gltf, binary, animation["samplers"][c["sampler"]]["output"])
           for c in animation["channels"]}
    weights = out["weights"].reshape(FRAMES, len(names))
    at = data.expression_names.index("jawOpen")
    want = [np.clip(f.expression[at], 0, 1) for f in data.train[:FRAMES]]
    np.testing.assert_allclose(weights[:, names.index("jawOpen")], want, atol=1e-6)
    from scipy.spatial.transform import Rotation
    for k, f in enumerate(data.train[:FRAMES]):
        # what the still camera sees of the moved head is what the frame's camera saw
        moved = points[:468] @ Rotation.from_quat(out["rotation"][k]).as_matrix().T \
            + out["translation"][k]
        seen, _ = scene.front.project(head.to_world(100 * moved))
        own = replace(scene.front, c2w=f.camera.c2w)
        np.testing.assert_allclose(seen, own.project(head.to_world(head.face))[0], atol=0.05)


def test_eyes_and_mouth_are_closed_by_triangles_that_face_the_camera():
    face = surface_of(FaceModel.load().rest.astype(float))
    for triangles in (face.triangles[-32:], face.mouth):
        a, b, c = face.points[triangles].transpose(1, 0, 2)
        assert np.cross(b - a, c - a)[:, 2].sum() > 0
    edges = np.sort(np.concatenate([np.concatenate([face.triangles, face.mouth])[:, p] for p in
                                    ([0, 1], [1, 2], [2, 0])]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 1).sum() == 36  # only the outline of the face is open


def test_a_mesh_of_what_is_no_face_is_refused(trained, tmp_path):
    with pytest.raises(IdfError, match="face"):
        export(trained[0], tmp_path / "a.face.glb")
    assert not list(tmp_path.iterdir())


def test_a_camera_path_goes_out_and_comes_back(trained, tmp_path, capsys):
    run, _ = trained
    path = export(run, tmp_path / "turn.path.json", config=ExportConfig(frames=6, fps=12))
    assert {f.name for f in tmp_path.iterdir()} == {"turn.path.json"}  # no picture, no mark
    track = read_camera_path(path)
    assert len(track.cameras) == 6 and track.fps == 12
    video = render(run, tmp_path / "out", path=path, resolution=64)
    info = video_info(video)
    assert video.name == "path.mp4" and (info.width, info.height) == (64, 64)
    assert verify(video).synthetic
    with pytest.raises(SystemExit):
        main(["render", str(run), "--out", str(tmp_path / "b.mp4"), "--path",
              str(tmp_path / "none.json")])
    assert "none.json does not exist" in capsys.readouterr().err
