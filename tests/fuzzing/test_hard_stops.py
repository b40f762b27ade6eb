"""Kills while something is written, full disks, folders that are not ours: nothing is lost, nothing
half or unmarked stays under its name."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from idf_helpers.exporting.formats import export, formats_of
from idf_helpers.exporting.model import Model
from idf_helpers.provenance import verify
from idf_helpers.reconstruction import load
from idf_helpers.reconstruction.splats.model_file import load_scene
from idf_helpers.reconstruction.splats.ply import write_ply
from idf_helpers.reconstruction.trainer import train_loop
from idf_helpers.runtime import lock as lock_module
from idf_helpers.runtime.files import write_json
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.child import NOBODY, in_child, killed_at
from tests.fixtures.fuzzing.trainers import TRAINERS
from tests.fixtures.gaussians import cloud

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("splats.train", "nerf.train", "avatar.train", "nerf.vanilla.train")


def open_run(folder):
    return RunFolder(folder, stage="x", backend="x", config={}, inputs={})


@pytest.fixture
def checkpoints(monkeypatch):
    """A good state every few steps, and a checkpoint of each."""
    monkeypatch.setattr(RunFolder, "checkpoint_due", lambda self: True)
    for name in MODULES:
        module = importlib.import_module(f"idf_helpers.reconstruction.{name}")
        if hasattr(module, "SAVE_EVERY"):
            monkeypatch.setattr(module, "SAVE_EVERY", {"cpu": 5} if "vanilla" in name else 5)


def same(a, b):
    """Whether two states hold the same bits; how long it took does not count."""
    return a.arrays.keys() == b.arrays.keys() and all(
        np.array_equal(v, b.arrays[k]) for k, v in a.arrays.items()) \
        and a.meta["iteration"] == b.meta["iteration"]


KILLED = """
import os, sys
from idf_helpers.reconstruction.trainer import train_loop
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.child import killed_at
from tests.fixtures.fuzzing.trainers import TRAINERS
RunFolder.checkpoint_due = lambda self: True
os.replace = killed_at(4)
with RunFolder(sys.argv[1], stage="x", backend="x", config={}, inputs={}) as run:
    train_loop(TRAINERS["vanilla"](), run)
"""


@pytest.mark.parametrize("kind", TRAINERS)
def test_killed_while_a_checkpoint_is_written_it_ends_the_same(kind, tmp_path, checkpoints,
                                                               monkeypatch):
    """Killed before and after the rename of a checkpoint, then of run.json."""
    straight = TRAINERS[kind]()
    train_loop(straight)

    def train():
        with open_run(tmp_path / "run") as run:
            train_loop(TRAINERS[kind](), run)

    if kind == "vanilla":  # PyTorch does not train in a fork
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run")], cwd=ROOT)
        assert done.returncode == -signal.SIGKILL
    for number in (3, -2, 4) * (kind != "vanilla"):  # 1: run.json; then a checkpoint, run.json, …
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed_at(number))
            assert in_child(train)[0] == -signal.SIGKILL
    again = TRAINERS[kind]()
    with open_run(tmp_path / "run") as run:
        assert not list((tmp_path / "run").rglob(".*.part*"))
        train_loop(again, run)
    assert same(again.state(), straight.state())


@pytest.mark.parametrize("kind", TRAINERS)
def test_sigterm_saves_like_ctrl_c(kind, tmp_path, checkpoints, monkeypatch):
    """No checkpoint is due: the one that is there afterwards was written at the signal."""
    straight, stopped = TRAINERS[kind](), TRAINERS[kind]()
    train_loop(straight)
    plain = type(stopped).step

    def step(self):
        result = plain(self)
        if self.iteration == 13:
            signal.raise_signal(signal.SIGTERM)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "checkpoint_due", lambda self: False)
        patch.setattr(type(stopped), "step", step)
        with pytest.raises(KeyboardInterrupt), open_run(tmp_path / "run") as run:
            train_loop(stopped, run)
    assert run.latest_checkpoint()[1]["iteration"] == 10
    assert not (tmp_path / "run/lock").exists() and run.manifest["status"] == "interrupted"
    again = TRAINERS[kind]()
    with open_run(tmp_path / "run") as run:
        train_loop(again, run)
    assert same(again.state(), straight.state())


# --- exports --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = write_ply(cloud(60, 1), tmp_path_factory.mktemp("model") / "a.ply")
    opened = Model.open(path)
    opened.scene.render(opened.scene.cameras[0].fitted(16))  # compiled, before forks
    return opened


FORMATS = ["html", "png", "ply", "compressed.ply", "splat", "spz", "sog", "glb", "graphdeco"]


def test_these_are_the_formats(model):
    assert set(FORMATS) | {"mp4", "path.json"} == set(formats_of(model))


@pytest.mark.parametrize("format", FORMATS)
def test_a_killed_export_leaves_a_whole_marked_file_or_none(format, model, tmp_path, monkeypatch):
    out, name = tmp_path / f"out.{format}", "rename" if format == "graphdeco" else "replace"
    for number in (1, -1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, killed_at(number, name))
            code, text = in_child(lambda: export(model, out, format))
        assert code in (0, -signal.SIGKILL), text
        if out.is_file():
            assert verify(out).synthetic, f"unmarked after {number}"
            out.unlink()
        elif out.is_dir():
            assert (out / "cfg_args").is_file()
            shutil.rmtree(out)
    export(model, out, format)
    assert out.is_dir() or verify(out).synthetic


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_one_error_and_leaves_nothing(format, model, tmp_path):
    code, text = in_child(lambda: export(model, tmp_path / f"out.{format}", format),
                          most_bytes=300)
    assert code == 2 and "cannot be written" in text and ".part" not in text, text
    assert os.listdir(tmp_path) == []


def test_a_full_disk_under_a_checkpoint(tmp_path, checkpoints):
    """The first one is not written: the error says so; the run can be gone on with."""
    def train():
        with open_run(tmp_path / "run") as run:
            train_loop(TRAINERS["splats"](), run)

    code, text = in_child(train, most_bytes=20_000)
    assert code == 2 and "step_" in text and "cannot be written" in text, text
    assert not list((tmp_path / "run").rglob(".*.part*")) and not (tmp_path / "run/lock").exists()
    train()


# --- somebody else's ------------------------------------------------------------------------------

needs_two = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0,
                               reason="only root can be two users")


@pytest.fixture
def reachable():
    """A folder that other users can get to, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="idf-two-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def in_use(folder):
    with open_run(folder):
        pass


@needs_two
def test_a_run_folder_of_another_user_is_read_and_not_touched(reachable, model):
    run = reachable / "run"
    with open_run(run) as opened:
        write_ply(cloud(20, 0), run / "point_cloud.ply")
        before = sorted(os.listdir(run))
        code, text = in_child(lambda: in_use(run), user=NOBODY)
        assert code == 2 and "cannot be written" in text, text
        assert sorted(os.listdir(run)) == before
        code, text = in_child(lambda: len(load_scene(run / "point_cloud.ply").gaussians),
                              user=NOBODY)
        assert (code, text) == (0, "20"), text
        assert opened.manifest["status"] == "running"


@needs_two
def test_a_folder_of_all_has_one_user_at_a_time(reachable):
    run = reachable / "run"
    run.mkdir()
    run.chmod(0o777)
    with open_run(run):
        code, text = in_child(lambda: in_use(run), user=NOBODY)
        assert code == 2 and f"process {os.getpid()}" in text, text
    (run / "run.json").unlink()
    assert in_child(lambda: in_use(run), user=NOBODY)[0] == 0


@needs_two
def test_a_dead_lock_of_another_user_that_may_not_be_removed(reachable, monkeypatch):
    run = reachable / "run"
    run.mkdir()
    write_json(run / "lock", {"pid": 2**22 + 1, "host": lock_module.socket.gethostname(),
                              "started": 1.0})
    run.chmod(0o1777)  # as /tmp: only owners remove
    code, text = in_child(lambda: in_use(run), user=NOBODY)
    assert code == 2 and "lock" in text, text


def test_a_read_only_folder_is_one_error(reachable, model):
    """As root, who may write anywhere, in a process of another user."""
    folder = reachable / "fixed"
    folder.mkdir()
    folder.chmod(0o555)
    user = NOBODY if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    for work in (lambda: export(model, folder / "a.ply"), lambda: in_use(folder / "run"),
                 lambda: write_json(folder / "a.json", {})):
        code, text = in_child(work, user=user)
        assert code == 2 and "cannot be written" in text, text
    assert os.listdir(folder) == []


def test_what_is_tested_here_is_what_is_loaded(tmp_path):
    """A model file is a scene, for the two-user test above."""
    path = write_ply(cloud(5, 0), tmp_path / "a.ply")
    assert len(load(path).gaussians) == 5
