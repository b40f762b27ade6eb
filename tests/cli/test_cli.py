import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from idf_helpers.cli.commands import COMMANDS, Command
from idf_helpers.cli.main import main
from idf_helpers.data import samples
from idf_helpers.data.inputs import as_dataset
from idf_helpers.errors import IdfError
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Line
from tests.fixtures.datasets import make_dataset

TINY = ["--iterations", "40", "--resolution", "48", "--initial", "400", "--max-gaussians", "800"]


def fails(capsys, *argv):
    """Runs a command that must exit with 2; returns its stderr."""
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in argv])
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "splats"
    main(["splat", str(samples.path("head_turntable")), "--out", str(out), *TINY])
    return out


def test_splat_writes_its_outputs_and_a_second_call_does_nothing(trained, capsys):
    metrics = read_json(trained / "metrics.json")
    assert {"psnr", "ssim", "num_gaussians", "iterations", "seconds", "peak_rss_mb",
            "psnr_masked"} <= metrics.keys()
    assert metrics["iterations"] == 40 and metrics["psnr"] > 12
    assert verify(trained / "point_cloud.ply").synthetic
    assert verify(trained / "held_out.jpg").synthetic
    stamp = (trained / "point_cloud.ply").stat().st_mtime_ns
    main(["splat", str(samples.path("head_turntable")), "--out", str(trained), *TINY])
    assert (trained / "point_cloud.ply").stat().st_mtime_ns == stamp
    assert "held out for testing" in capsys.readouterr().out  # the note about the test split


@pytest.mark.parametrize("format", ["ply", "splat", "html", "mp4", "png"])
def test_export_every_format_marked(trained, tmp_path, format):
    out = tmp_path / f"a.{format}"
    read = {"mp4": ["--frames", "4", "--resolution", "64"], "png": ["--resolution", "64"]}
    main(["export", str(trained), "--out", str(out), *read.get(format, [])])
    assert out.stat().st_size > 100 and verify(out).synthetic


def test_export_from_a_ply_keeps_what_it_said(trained, tmp_path, capsys):
    main(["export", str(trained), "--out", str(tmp_path / "a.ply")])
    run_id = verify(tmp_path / "a.ply").fields["run_id"]
    main(["export", str(tmp_path / "a.ply"), "--format", "png", "--out", str(tmp_path / "b")])
    assert verify(tmp_path / "b.png").fields["run_id"] == run_id
    main(["verify", str(tmp_path / "b.png")])
    assert run_id in capsys.readouterr().out


def test_render_pictures_and_orbit(trained, tmp_path):
    main(["render", str(trained), "--out", str(tmp_path), "--views", "3", "--resolution", "48"])
    assert [verify(p).synthetic for p in sorted(tmp_path.glob("view_*.png"))] == [True] * 3
    main(["render", str(trained), "--orbit", "--out", str(tmp_path), "--frames", "3",
          "--resolution", "48"])
    assert verify(tmp_path / "orbit.mp4").synthetic


def test_eval_repeats_the_metrics_of_training(trained, capsys):
    main(["eval", str(trained)])
    mean, = [line.split() for line in capsys.readouterr().out.splitlines()
             if line.startswith("mean")]
    assert float(mean[1]) == pytest.approx(read_json(trained / "metrics.json")["psnr"], abs=2e-3)


def test_budget_flag_as_people_type_it(tmp_path):
    main(["splat", str(samples.path("head_turntable")), "--out", str(tmp_path / "o"), "--budget",
          "1.5", *TINY[2:]])
    asked = read_json(tmp_path / "o/run.json")["config"]
    assert asked["budget_s"] == 1.5 and asked["iterations"] is None
    assert read_json(tmp_path / "o/metrics.json")["seconds"] >= 1.5


def test_bad_input_gives_one_error_and_leaves_nothing(tmp_path, capsys, trained):
    data, photo, out = samples.path("head_multiview"), samples.photo("C"), tmp_path / "out"
    head = samples.path("head_turntable")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"x")
    here = sorted(p.name for p in tmp_path.iterdir())
    cases = {
        "does not exist": ("splat", tmp_path / "none", "--out", out),
        "not a dataset": ("splat", tmp_path, "--out", out),
        "out of range": ("splat", head, "--out", out, "--iterations", "0"),
        "not in both": ("splat", head, "--out", out, "--iterations", "9", "--budget", "3"),
        "no splats method": ("splat", head, "--out", out, "--backend", "quantum"),
        "no swap method": ("swap", data, "--source", photo, "--out", out, "--backend", "magic"),
        "holds no video": ("swap", clip, "--source", photo, "--out", out),
        "neither a run folder": ("export", photo, "--out", out),
        "holds no splats": ("export", tmp_path, "--out", out),
        "does not say its format": ("export", trained, "--out", out),
        "no export format": ("export", trained, "--out", out.with_suffix(".obj")),
        "no bundled|no download|unknown|There is no": ("download", "nothing_of_that_name"),
        "no file": ("verify", tmp_path / "none.png"),
        "does not name the dataset": ("eval", trained / "point_cloud.ply"),
        "is in use": ("splat", head, "--out", tmp_path),
    }
    import re
    for words, argv in cases.items():
        assert re.search(words, fails(capsys, *argv)), (words, argv)
        assert sorted(p.name for p in tmp_path.iterdir()) == here, argv


def test_unknown_flags_and_commands_exit_with_2(capsys):
    for argv in (["splat"], ["splat", "x", "--out", "y", "--bogus"], ["nonsense"]):
        with pytest.raises(SystemExit) as exit_:
            main(argv)
        assert exit_.value.code == 2


def stopped():
    raise KeyboardInterrupt


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "doctor", Command("doctor", "", f"{__name__}:stopped"))
    with pytest.raises(SystemExit) as exit_:
        main(["doctor"])
    assert exit_.value.code == 130 and "goes on from here" in capsys.readouterr().err


def test_importing_package_and_command_line_is_light():
    code = ("import sys, idf_helpers.cli.main; idf_helpers.Dataset; idf_helpers.RunFolder; "
            "assert not {'torch', 'ipywidgets', 'matplotlib', 'numba', 'cv2'} & set(sys.modules), "
            "sorted(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_swap_a_dataset_and_a_picture_then_evaluate(small_head, tmp_path, capsys):
    out = tmp_path / "swapped"
    main(["swap", str(small_head), "--source", str(samples.photo("C")), "--out", str(out)])
    said = capsys.readouterr().out
    assert "method uv" in said and "14 swapped" in said and "3 no_face" in said
    main(["eval", str(out)])
    said = capsys.readouterr().out
    assert "swapped (uv)" in said and "landmarks moved, mean, % of eye distance" in said
    assert "not measured: " in said and "no recognizer; name one with --arcface" in said
    main(["swap", str(small_head / "test/r_0.png"), "--source", str(samples.photo("C")), "--out",
          str(tmp_path / "one"), "--backend", "mesh"])
    written = tmp_path / "one/r_0.png"
    assert str(written) in capsys.readouterr().out and verify(written).synthetic
    main(["eval", str(tmp_path / "one"), "--dataset", str(small_head / "test/r_0.png"),
          "--json", str(tmp_path / "figures.json")])
    said = capsys.readouterr().out
    row, = json.loads((tmp_path / "figures.json").read_text())
    bin_, = [b for b in row["by_yaw"].values() if b["faces"]]
    assert row["run"] == "one" and bin_["faces"] == 1 and 0 < bin_["pose_error"] < 10
    assert f"{bin_['pose_error']:.3f}" in said
    assert "idf download identity" in row["notes"]["identity_source"]


def test_download_lists_and_takes_from_a_folder(tmp_path, capsys, monkeypatch):
    from idf_helpers.face.downloads import FACE_LANDMARKS
    from idf_helpers.runtime.download import path

    here = path(FACE_LANDMARKS)
    main(["download"])
    assert "face_landmarks  [here]" in capsys.readouterr().out
    main(["download", "face_landmarks"])
    assert str(here) in capsys.readouterr().out
    assert "needs the name" in fails(capsys, "download", "--from", here)
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    main(["download", "face_landmarks", "--from", str(here)])
    assert path(FACE_LANDMARKS).parent == tmp_path


def test_python_dash_m(dataset_folder):
    done = subprocess.run([sys.executable, "-m", "idf_helpers", "verify",
                           str(make_dataset(dataset_folder / "d") / "none.png")],
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("idf: There is no file")


@pytest.mark.parametrize("setting", [["--budget", "inf"], ["--budget", "nan"], ["--budget", "0"],
                                     ["--resolution", "100000"], ["--iterations", "0"]])
def test_settings_out_of_range_leave_nothing(tmp_path, capsys, setting):
    err = fails(capsys, "splat", samples.path("head_turntable"), "--out", tmp_path / "o", *setting)
    assert "is out of range" in err and not (tmp_path / "o").exists()


def test_a_run_that_lost_its_metrics(trained, tmp_path, capsys):
    out = shutil.copytree(trained, tmp_path / "o")
    command = ["splat", str(samples.path("head_turntable")), "--out", str(out), *TINY]
    (out / "metrics.json").write_text("[]")
    assert "damaged" in fails(capsys, *command)
    (out / "metrics.json").unlink()
    main(command)  # made again
    assert read_json(out / "metrics.json")["psnr"] > 12


@pytest.mark.parametrize("name, text", [
    ("cameras.json", '[{"position": [0, 0, 0], "rotation": [[0, 0, 0], [0, 0, 0], [0, 0, 0]],'
                     ' "width": 0, "height": 0, "fx": 0, "fy": 0}]'),
    ("cameras.json", '[{"position": [0, 0, 0], "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],'
                     ' "width": 1e400, "height": 8, "fx": 1, "fy": 1}]'),
    ("run.json", '{"stage": "splats", "config": 3}'),
    ("run.json", '{"run_id": "a", "config": {}, "inputs": {}, "background": "xyz"}'),
    ("consent.json", "[]"),
])
def test_a_damaged_run_renders_nothing(trained, tmp_path, capsys, name, text):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / name).write_text(text)
    fails(capsys, "render", run, "--out", tmp_path / "o", "--views", "1")
    assert not (tmp_path / "o").exists()


def test_output_that_nobody_reads_to_the_end():
    """`idf … --help | head -1`"""
    p = subprocess.Popen([sys.executable, "-m", "idf_helpers", "splat", "--help"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    err = p.stderr.read()
    p.stderr.close()
    p.wait()
    assert b"Traceback" not in err and b"Exception" not in err


def test_eval_at_a_resolution_that_no_machine_holds(trained, capsys):
    assert "out of range" in fails(capsys, "eval", trained, "--resolution", "100000")


@pytest.mark.parametrize("command", [["verify"], ["eval"], ["render", "--out", "o"]])
def test_what_may_not_be_looked_at_is_one_error(tmp_path, capsys, command):
    """A name that no file can have stands for missing rights, which root always has."""
    assert "cannot be read" in fails(capsys, *command, tmp_path / ("a" * 300))


def test_bundled_datasets_are_known_by_name(tmp_path, monkeypatch, capsys):
    """A folder of the same name comes first."""
    monkeypatch.chdir(tmp_path)
    found = as_dataset("head_turntable", Line())
    assert found.root == samples.path("head_turntable")
    out = capsys.readouterr().out
    assert "42 train" in out and "note: no test split" in out
    (tmp_path / "head_turntable").mkdir()
    with pytest.raises(IdfError, match="head_turntable"):
        as_dataset(Path("head_turntable"))
