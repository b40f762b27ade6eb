"""Exports of other trackers, tiny ones made here, become NeRFace datasets."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from idf_helpers.cli.main import main
from idf_helpers.data.cameras import GL_TO_CV, look_at_matrix
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.layouts.flame import ROOT
from idf_helpers.data.media import write_image
from idf_helpers.errors import IdfError
from idf_helpers.face.pose import rigid_inverse, rotation
from idf_helpers.tracking.importers import import_tracked


def camera(yaw: float) -> np.ndarray:
    """OpenGL camera-to-world before a head at 0 that looks to +z, y up."""
    a = np.radians(yaw)
    return look_at_matrix((1.2 * np.sin(a), 0, 1.2 * np.cos(a)), (0, 0, 0), (0, 1, 0))


YAWS = {"train": (-20, 0, 15, 30), "val": (-10,), "test": (-10, 5)}


def picture(root, name):
    write_image(root / name, np.random.default_rng(len(name)).integers(0, 255, (16, 12, 3),
                                                                       np.uint8))


@pytest.fixture
def insta(tmp_path):
    """INSTA's: OpenCV axes, one intrinsics at the top, expressions in text files."""
    root = tmp_path / "insta"
    (root / "flame" / "exp").mkdir(parents=True)
    for split, yaws in YAWS.items():
        frames = []
        for yaw in yaws:
            name = f"{yaw + 100:05d}"
            picture(root, f"images/{name}.png")
            (root / "flame" / "exp" / f"{name}.txt").write_text("\n".join(
                str(0.1 * k + yaw) for k in range(5)))
            frames.append({"file_path": f"images/{name}.png", "exp_path": f"flame/exp/{name}.txt",
                           "transform_matrix": (camera(yaw) @ GL_TO_CV).tolist()})
        top = {"fl_x": 30.0, "fl_y": 31.0, "cx": 6.5, "cy": 8.0, "w": 12.0, "h": 16.0}
        (root / f"transforms_{split}.json").write_text(json.dumps({**top, "frames": frames}))
    return root


@pytest.fixture
def vhap(tmp_path):
    """VHAP's: a camera that stands still, the head's motion in FLAME files."""
    root = tmp_path / "vhap"
    (root / "flame_param").mkdir(parents=True)
    still = camera(0)
    for split, yaws in YAWS.items():
        frames = []
        for yaw in yaws:
            # the head moves so that the camera stands at camera(yaw) of its frame; FLAME turns it
            # about its root joint
            head = still @ rigid_inverse(camera(yaw))
            vector = np.array([0, np.arctan2(head[0, 2], head[2, 2]), 0])
            np.testing.assert_allclose(rotation(vector), head[:3, :3], atol=1e-9)
            name = f"{yaw + 100:05d}_00"
            picture(root, f"images/{name}.png")
            np.savez(root / "flame_param" / f"{name}.npz", rotation=vector[None],
                     translation=(head[:3, 3] - ROOT + head[:3, :3] @ ROOT)[None],
                     expr=np.full((1, 6), 0.5), shape=np.zeros(300),
                     jaw_pose=np.array([[0.2, 0, 0]]))
            frames.append({"file_path": f"images/{name}.png", "fl_x": 30.0, "fl_y": 31.0,
                           "cx": 6.0, "cy": 8.0, "w": 12, "h": 16,
                           "flame_param_path": f"flame_param/{name}.npz",
                           "transform_matrix": still.tolist()})
        (root / f"transforms_{split}.json").write_text(json.dumps({"frames": frames}))
    return root


@pytest.mark.parametrize("kind", ["insta", "vhap"])
def test_import(kind, request, tmp_path):
    data = import_tracked(request.getfixturevalue(kind), tmp_path / "out", kind)
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [4, 0, 2]
    names = 5 * ["flame"] if kind == "insta" else 6 * ["flame"] + 3 * ["jaw"]
    assert [n.split("_")[0] for n in data.expression_names] == names
    for frame, yaw in zip(data.train, YAWS["train"], strict=True):
        a = np.radians(yaw)
        # z up, the face looks to -y, distance 0.5, looking at the head
        np.testing.assert_allclose(frame.camera.position,
                                   0.5 * np.array([np.sin(a), -np.cos(a), 0]), atol=1e-6)
        np.testing.assert_allclose(frame.camera.forward, -frame.camera.position / 0.5, atol=1e-6)
        assert len(frame.expression) == 76
        assert frame.camera.fx == 30 and frame.camera.fy == 31
        expected = yaw + 0.1 if kind == "insta" else 0.5
        assert frame.expression[1] == pytest.approx(expected, abs=1e-5)
    if kind == "vhap":
        assert data.train[0].expression[6] == pytest.approx(0.2)
    else:
        assert data.train[0].camera.cx == pytest.approx(6.5)
    assert isinstance(import_tracked(data.root.parent / kind, tmp_path / "out", kind), Dataset)


def test_it_is_found_below_a_folder_with_a_hash_in_its_name(vhap, tmp_path):
    (tmp_path / "a#1").mkdir()
    vhap.rename(tmp_path / "a#1" / "export")
    for where in (tmp_path / "a#1", f"{tmp_path / 'a#1' / 'export'}#root=.."):
        data = import_tracked(where, tmp_path / f"out{len(str(where))}", "vhap")
        assert len(data.train) == 4


def test_missing_fields_are_named(insta, vhap, tmp_path, edit_json):
    def fails(folder, kind, word):
        with pytest.raises(IdfError) as error:
            import_tracked(folder, tmp_path / "bad", kind)
        assert word in str(error.value)
        assert not (tmp_path / "bad").exists()

    fails(insta, "vhap", "flame_param_path")
    fails(insta, "deca", "no import")
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", "insta", "no transforms")
    fails(tmp_path, "insta", "holds 2 datasets")
    edit_json(insta / "transforms_train.json", lambda d: d.pop("fl_x"))
    fails(insta, "insta", "fl_x")
    edit_json(insta / "transforms_train.json",
              lambda d: d["frames"][0].update(exp_path="../../secret.txt"))
    fails(insta, "insta", "fl_x")
    edit_json(insta / "transforms_train.json", lambda d: d.update(fl_x=30.0))
    fails(insta, "insta", "outside")
    edit_json(insta / "transforms_train.json", lambda d: d["frames"][0].pop("transform_matrix"))
    fails(insta, "insta", "transform_matrix")
    (insta / "transforms_train.json").write_text('{"frames": 3}')
    fails(insta, "insta", "list `frames`")
    file = next((vhap / "flame_param").iterdir())
    np.savez(file, rotation=np.zeros((1, 3)), expr=np.zeros((1, 6)))
    fails(vhap, "vhap", "translation")
    np.savez_compressed(file, rotation=np.zeros((1, 3)), translation=np.zeros((1, 3)),
                        expr=np.arange(60.0))
    with zipfile.ZipFile(file) as z:
        inside = z.infolist()[-1]
    data = bytearray(file.read_bytes())
    start = inside.header_offset + 30 + len(inside.filename)
    data[start + 20:start + 60] = bytes([255]) * 40  # compressed data that zlib refuses
    file.write_bytes(data)
    fails(vhap, "vhap", "FLAME")
    file.write_bytes(b"no zip")
    fails(vhap, "vhap", "FLAME")


def test_from_the_shell(insta, tmp_path, capsys):
    main(["track", str(insta), "--out", str(tmp_path / "out"), "--from", "insta"])
    assert "4 train, 0 val, 2 test frames" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["track", str(insta), "--out", str(tmp_path / "o"), "--from", "insta", "--fov", "30"])
    assert stop.value.code == 2 and "no tracker settings" in capsys.readouterr().err
