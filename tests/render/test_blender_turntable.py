"""The turntable script, on a stand-in for Blender."""

import json
import math
import subprocess
import sys
from pathlib import Path

import blender_turntable as turntable
import numpy as np
import pytest

from idf_helpers.data.cameras import scene_frame
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import read_image

from .fake_bpy import FakeBlender, Thing, box, world_of

SCRIPT = Path(turntable.__file__)


@pytest.fixture
def model(tmp_path):
    file = tmp_path / "head.glb"
    file.write_bytes(b"glTF")
    return file


@pytest.fixture
def run(monkeypatch, model, tmp_path, capsys):
    """run(fake, *flags) -> (exit code, what was printed)."""
    def run(fake, *flags, model=model):
        fake.install(monkeypatch)
        code = turntable.main([str(model), "--out", str(tmp_path / "out"), "--views", "6",
                               "--size", "32", *flags])
        printed = capsys.readouterr()
        return code, printed.out + printed.err
    return run


def test_a_turn_is_a_dataset_round_the_model(run, tmp_path):
    fake = FakeBlender()
    assert run(fake)[0] == 0
    dataset = Dataset.open(tmp_path / "out")
    assert len(dataset.frames) == 6 and dataset.size == (32, 32)
    frames = sorted(dataset.frames, key=lambda f: f.name)
    assert [f.name for f in frames] == [f"train/r_{k}" for k in range(6)]
    assert frames[0].image().shape == (32, 32, 4) and (frames[0].image()[0, 0] == 0).all()
    scene = scene_frame([f.camera for f in frames])
    assert np.allclose(scene.center, 0, atol=1e-9) and np.allclose(scene.up, (0, 0, 1))
    assert scene.distance == pytest.approx(4)
    assert math.degrees(frames[0].camera.fov_x) == pytest.approx(29)
    # from the front (-y), then counterclockwise seen from above, 6 degrees up
    assert np.allclose(frames[0].camera.position, (0, -4 * math.cos(math.radians(6)),
                                                   4 * math.sin(math.radians(6))))
    assert frames[1].camera.position[0] > 3 and frames[1].camera.position[1] < 0
    # Blender's camera is the same one, about where the model is
    moved = np.array(fake.rendered[1])
    assert np.allclose(moved[:3, :3], frames[1].camera.c2w[:3, :3])
    back = moved[:3, 3] - (10, 20, 30)
    assert np.allclose(back / np.linalg.norm(back), frames[1].camera.position / 4)
    assert fake.scene.render.engine == "CYCLES" and fake.scene.cycles.device == "CPU"
    assert fake.scene.view_settings.view_transform == "Standard"


def test_the_model_just_fits_into_every_view():
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 1), (3, 1, 0.5), (0.3, 0.3, 4)):
        points = rng.normal(size=(500, 3)) * shape + (5, -2, 1)
        center, distance = turntable.framing(points, 29, 20)
        from idf_helpers.data.cameras import Camera
        widest = 0.0
        for matrix in turntable.ring(48, 20, 0):
            c2w = np.array(turntable.placed(matrix, center, distance / turntable.DISTANCE))
            uv, _ = Camera.from_fov(c2w, math.radians(29), 100, 100).project(points)
            widest = max(widest, np.abs(uv - 50).max())
        assert 38 < widest < 50, (shape, widest)


def test_a_stopped_turn_goes_on(run, tmp_path):
    fake = FakeBlender(fails_at=4)
    code, said = run(fake)
    assert code == 2 and "View 4" in said and "out of memory" in said and "Traceback" not in said
    assert not (tmp_path / "out" / "transforms.json").exists()
    assert sorted(p.name for p in (tmp_path / "out" / "train").iterdir()) == [
        f"r_{k}.png" for k in range(4)]
    assert run(fake)[0] == 0 and len(fake.rendered) == 6
    code, said = run(fake)
    assert code == 0 and "all there" in said and len(fake.rendered) == 6
    assert len(fake.opened) == 2, "the model is not opened where nothing is missing"
    code, said = run(fake, "--elevation", "20")
    assert code == 2 and "another elevation" in said
    assert run(fake, "--gpu")[0] == 0, "where it is computed changes nothing"


def test_another_model_of_the_same_name_is_another_turn(run, model):
    assert run(FakeBlender())[0] == 0
    model.write_bytes(b"glTF2")
    assert "another sha256" in run(FakeBlender())[1]


def test_the_papers_names_and_a_background(run, tmp_path):
    assert run(FakeBlender(), "--paper", "--background", "0.2,0.4,0.8")[0] == 0
    assert (tmp_path / "out" / "transforms_train_main.json").is_file()
    picture = read_image(tmp_path / "out" / "train_main" / "r_3.png")
    assert (picture[0, 0, :3] == (51, 102, 204)).all() and (picture[16, 16, :3] ==
                                                            (200, 100, 50)).all()
    assert Dataset.open(tmp_path / "out").size == (32, 32)


def test_a_blend_keeps_its_look_and_its_lights(run, tmp_path):
    file = tmp_path / "scene.blend"
    file.write_bytes(b"BLENDER")

    def things():
        return [Thing("Head", points=box()), Thing("Sun", "LIGHT")]

    fake = FakeBlender(things, world=world_of(0.05))
    assert run(fake, model=file)[0] == 0
    assert fake.scene.view_settings.view_transform == "AgX"
    assert [o.name for o in fake.scene.objects if o.type == "LIGHT"] == ["Sun"]


@pytest.mark.parametrize("world, flags, ours", [
    (None, (), True), (world_of(0.05), (), True), (world_of(1.0), (), False),
    (world_of(1.0), ("--lights", "ours"), True), (None, ("--lights", "own"), False)])
def test_lights_where_there_are_none(run, tmp_path, world, flags, ours):
    file = tmp_path / "scene.blend"
    file.write_bytes(b"BLENDER")
    fake = FakeBlender(world=world)
    assert run(fake, *flags, model=file)[0] == 0
    assert [o.name for o in fake.scene.objects if o.type == "LIGHT"] == (
        [f"turntable {n}" for n in turntable.SUNS] if ours else [])


def test_only_what_is_asked_for_is_shown_and_framed(run):
    def things():
        head = Thing("Head", points=box(2))
        return [head, Thing("Hair", "CURVES", parent=head), Thing("Floor", points=box(1000))]
    fake = FakeBlender(things)
    assert run(fake, "--object", "Head")[0] == 0
    assert {o.name: o.hide_render for o in fake.scene.objects[:3]} == {
        "Head": False, "Hair": False, "Floor": True}
    assert np.linalg.norm(np.array(fake.rendered[0])[:3, 3]) < 20


def test_eevee_under_its_name_of_this_version(run):
    fake = FakeBlender()
    assert run(fake, "--engine", "eevee")[0] == 0
    assert fake.scene.render.engine == "BLENDER_EEVEE_NEXT"
    assert fake.scene.eevee.taa_render_samples == 32


@pytest.mark.parametrize("flags, word", [
    (("--views", "0"), "--views"), (("--size", "4"), "--size"), (("--fov", "180"), "--fov"),
    (("--elevation", "90"), "--elevation"), (("--background", "pink"), "background"),
    (("--background", "1,2,3"), "background"), (("--object", "Haed"), "Haed")])
def test_settings_that_are_refused(run, tmp_path, flags, word):
    code, said = run(FakeBlender(), *flags)
    assert code == 2 and word in said and "do:" in said
    assert not (tmp_path / "out").exists(), "a mistake leaves nothing behind"


def test_models_that_are_refused(run, tmp_path):
    assert "no such file" in run(FakeBlender(), model=tmp_path / "none.glb")[1]
    (tmp_path / "head.stl").write_bytes(b"x")
    assert ".stl" in run(FakeBlender(), model=tmp_path / "head.stl")[1]
    (tmp_path / "broken.obj").write_bytes(b"x")
    code, said = run(FakeBlender(), model=tmp_path / "broken.obj")
    assert code == 2 and "cannot open" in said and "cannot read" in said


def test_nothing_to_see(run, tmp_path):
    code, said = run(FakeBlender(lambda: [Thing("Lamp", "LIGHT")]))
    assert code == 2 and "nothing to see" in said


def test_a_point_has_no_size(run):
    code, said = run(FakeBlender(lambda: [Thing("Dot", points=[(1, 1, 1)])]))
    assert code == 2 and "no size" in said


def test_a_folder_that_holds_something_else(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    code, said = run(FakeBlender())
    assert code == 2 and "letter.txt" in said
    (tmp_path / "out" / "letter.txt").unlink()
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("a file")
    code, said = run(FakeBlender())
    assert code == 2 and "out" in said


def test_it_runs_alone_and_imports_nothing_of_the_package(tmp_path, model):
    copy = tmp_path / "blender_turntable.py"
    copy.write_bytes(SCRIPT.read_bytes())
    done = subprocess.run([sys.executable, "-I", str(copy), str(model), "--out", "x"],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "blender -b -P blender_turntable.py" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "x").exists()


def test_arguments_stand_behind_blenders_own():
    assert turntable.own_arguments(["blender", "-b", "-P", "x.py", "--", "head.glb", "--out",
                                    "o"]) == ["head.glb", "--out", "o"]
    assert turntable.own_arguments(["blender", "-b", "-P", "x.py"]) == []
    assert turntable.own_arguments([str(SCRIPT), "head.glb"]) == ["head.glb"]


def test_the_record_is_plain_json(run, tmp_path):
    assert run(FakeBlender())[0] == 0
    record = json.loads((tmp_path / "out" / turntable.RECORD).read_text())
    assert record["model"] == "head.glb" and record["views"] == 6
    assert str(tmp_path) not in json.dumps(record)
