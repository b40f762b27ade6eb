import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest

from idf_helpers import IdfError, RunFolder
from idf_helpers.runtime import lock as lock_module
from idf_helpers.runtime.lock import FolderLock
from idf_helpers.runtime.runs import latest_run, read_manifest


def run(out, **changes):
    asked = {"stage": "test", "backend": "cpu", "config": {"steps": 3}, "inputs": {"hash": "a"}}
    return RunFolder(out, **(asked | changes))


def test_second_run_of_the_same_does_nothing(tmp_path):
    with run(tmp_path / "r") as r:
        assert not r.finished
        r.finish({"psnr": 30.0})
    manifest = read_manifest(tmp_path / "r")
    assert manifest["status"] == "finished" and manifest["config"] == {"steps": 3}
    assert manifest["versions"]["numpy"] and manifest["machine"]["cpus"] >= 1
    assert json.loads((tmp_path / "r/metrics.json").read_text()) == {"psnr": 30.0}
    with run(tmp_path / "r") as again:
        assert again.finished and again.run_id == manifest["run_id"]
    with run(tmp_path / "r", resume=False) as fresh:
        assert not fresh.finished and fresh.run_id != manifest["run_id"]
        assert not (tmp_path / "r/metrics.json").exists()


def test_another_run_in_the_folder_is_named(tmp_path):
    with run(tmp_path / "r") as r:
        r.finish()
    with pytest.raises(IdfError, match="steps '3', now '4'"), \
            run(tmp_path / "r", config={"steps": 4}):
        pass
    with pytest.raises(IdfError, match="stage 'test', now 'swap'"), \
            run(tmp_path / "r", stage="swap"):
        pass


@dataclass(frozen=True)
class Before:
    steps: int = 3


@dataclass(frozen=True)
class Since:
    steps: int = 3
    sharp: float = 0.5
    views: dict = field(default_factory=lambda: {"keys": 8, "seed": 0})


def test_a_setting_that_came_later_counts_as_its_default(tmp_path):
    with run(tmp_path / "r", config=Before()) as r:
        r.finish()
    stored = (tmp_path / "r/run.json").read_bytes()
    with run(tmp_path / "r", config=Since()) as again:
        assert again.finished and again.run_id == r.run_id
    assert json.loads((tmp_path / "r/run.json").read_text())["config"] == {"steps": 3}
    for config, found in ((Since(sharp=0.7), "sharp '0.5', now '0.7'"),
                          (Since(steps=4), "steps '3', now '4'")):
        with pytest.raises(IdfError) as error, run(tmp_path / "r", config=config):
            pass
        assert error.value.found == found  # and not what came later, at its default
    assert (tmp_path / "r/run.json").read_bytes() == stored


def test_a_setting_inside_a_setting_too_but_not_one_that_is_gone(tmp_path):
    with run(tmp_path / "r", config={"views": {"keys": 8}, "hash": "a"}) as r:
        r.finish()
    ask = {"config": {"views": {"keys": 8, "seed": 0}, "hash": "a"},
           "defaults": {"views": {"keys": 4, "seed": 0}, "never": 1}}
    with run(tmp_path / "r", **ask) as again:
        assert again.finished
    for changes in ({"views": {"keys": 8, "seed": 1}, "hash": "a"},
                    {"views": {"seed": 0}, "hash": "a"},  # gone: what it did is not known
                    {"views": {"keys": 8, "seed": 0}, "hash": "b"},
                    {"views": {"keys": 8, "seed": 0}, "hash": "a", "more": 1}):
        with pytest.raises(IdfError, match="another run"), \
                run(tmp_path / "r", **(ask | {"config": changes})):
            pass


def test_folder_with_other_files_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(IdfError, match="is in use"), run(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(IdfError, match="is a file"), run(tmp_path / "thesis.tex"):
        pass


def test_bad_input_leaves_nothing_behind(tmp_path):
    with pytest.raises(IdfError, match="bad"), run(tmp_path / "a/b/r"):
        raise IdfError("bad photo")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_empties_a_folder_that_was_empty(tmp_path):
    (tmp_path / "r").mkdir()
    with pytest.raises(IdfError), run(tmp_path / "r") as r:
        r.event(name="frame")
        (tmp_path / "r/train").mkdir()
        r.discard()
        raise IdfError("no face anywhere")
    assert list((tmp_path / "r").iterdir()) == []


def test_bad_input_after_work_keeps_the_work(tmp_path):
    with pytest.raises(IdfError), run(tmp_path / "r") as r:
        r.save_checkpoint(1, {"x": np.ones(3)}, {"k": 1})
        raise IdfError("diverged")
    assert read_manifest(tmp_path / "r")["status"] == "failed"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not bind this user")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(IdfError, match="cannot be written"), run(tmp_path / "r"):
        pass


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IdfError, match="cannot be written"), run(tmp_path / "file" / "r"):
        pass


def test_checkpoints_keep_two_and_skip_a_damaged_one(tmp_path):
    with pytest.raises(KeyboardInterrupt), run(tmp_path / "r") as r:
        for k in range(4):
            r.save_checkpoint(k, {"x": np.full(3, k, np.float32)}, {"step": k})
        raise KeyboardInterrupt
    assert read_manifest(tmp_path / "r")["status"] == "interrupted"
    files = sorted((tmp_path / "r/checkpoints").iterdir())
    assert [f.name for f in files] == ["step_000000002.npz", "step_000000003.npz"]
    files[-1].write_bytes(files[-1].read_bytes()[:50])
    with run(tmp_path / "r") as again:
        arrays, state = again.latest_checkpoint()
        assert state == {"step": 2} and (arrays["x"] == 2).all()
        again.finish()
    assert not (tmp_path / "r/checkpoints").exists()


def test_torn_event_line_is_skipped(tmp_path):
    with run(tmp_path / "r") as r:
        r.event(name="a")
        with open(tmp_path / "r/events.jsonl", "a") as f:
            f.write('{"name": "b"')
        assert [e["name"] for e in r.events()] == ["a"]


HOLD = """
import sys, time
from idf_helpers import RunFolder
with RunFolder(sys.argv[1], stage="test", backend="cpu", config={"steps": 3},
               inputs={"hash": "a"}) as r:
    r.event(kind="work")
    print("in", flush=True)
    time.sleep(60)
"""


def test_living_process_keeps_others_out_and_a_killed_one_does_not(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "r")],
                              stdout=subprocess.PIPE)
    assert holder.stdout.readline().strip() == b"in"
    try:
        with pytest.raises(IdfError, match=f"process {holder.pid}"), run(tmp_path / "r"):
            pass
    finally:
        holder.kill()
        holder.wait()
    with run(tmp_path / "r") as r:
        assert [e["kind"] for e in r.events()] == ["work"]  # goes on where the killed one was


def test_lock_of_another_machine_holds_until_its_refreshes_end(tmp_path):
    with run(tmp_path / "r") as r:
        r.event(kind="work")
    lock = tmp_path / "r/lock"
    lock.write_text(json.dumps({"pid": 1, "host": "a-machine-that-is-not-this-one"}))
    with pytest.raises(IdfError, match="process 1 on a-machine"), run(tmp_path / "r"):
        pass
    os.utime(lock, (time.time() - 700,) * 2)
    with run(tmp_path / "r") as r:
        assert [e["kind"] for e in r.events()] == ["work"]


def test_a_long_step_that_calls_nothing_keeps_its_lock_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    with run(tmp_path / "r") as r:
        lock = r.path / "lock"
        os.utime(lock, (time.time() - 5000,) * 2)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.6)"])  # like a trainer
        assert time.time() - lock.stat().st_mtime < 60
        (thread,) = [t for t in threading.enumerate() if t.name == "idf-lock"]
    thread.join(2)
    assert not thread.is_alive() and not lock.exists()  # released: nothing is refreshed, or made


def test_a_lock_that_another_machine_took_over_is_not_refreshed(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    lock = FolderLock(tmp_path)
    lock.acquire()
    (thread,) = [t for t in threading.enumerate() if t.name == "idf-lock"]
    lock.path.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    os.utime(lock.path, (1000, 1000))
    thread.join(2)
    assert not thread.is_alive() and lock.path.stat().st_mtime == 1000


def test_a_number_that_now_belongs_to_another_process(tmp_path):
    """The holder died and its number was given away; as long as the lock is fresh it may be a
    clock that was set, which changes when a process seems to have started."""
    lock = tmp_path / "lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": 1.0}))
    with pytest.raises(IdfError, match="running process"), run(tmp_path):
        pass
    os.utime(lock, (time.time() - 100,) * 2)
    with run(tmp_path) as r:
        assert json.loads(lock.read_text())["started"] == psutil.Process().create_time()
        r.finish()


def test_damaged_manifest_is_one_clear_error(tmp_path):
    for text in ("{", "[]"):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(IdfError, match="run manifest"), run(tmp_path):
            pass
        assert latest_run(tmp_path, "test") is None
    assert os.listdir(tmp_path) == ["run.json"]


def test_half_written_files_of_a_killed_process_are_removed_and_no_others(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()
    gone = [f".frame.{dead}.0123abcd.part.png", f"a/.gd.{dead}.0123abcd.part",
            ".lock.0123abcd.part"]
    stay = [".my.notes.part2.txt", ".frame.123.abcd.part.png", "a/.notes.part.txt", "a/b.part",
            f".x.{os.getpid()}.0123abcd.part.png"]
    with run(tmp_path / "r") as r:
        r.event(name="a")
        for name in gone + stay:
            path = tmp_path / "r" / name
            path.parent.mkdir(exist_ok=True)
            if name.endswith(".part") and name.startswith("a/."):
                (path / "inner").mkdir(parents=True)
            else:
                path.write_bytes(b"half")
    with run(tmp_path / "r"):
        assert not [n for n in gone if (tmp_path / "r" / n).exists()]
        assert not [n for n in stay if not (tmp_path / "r" / n).exists()]


def test_a_folder_in_place_of_the_lock_is_left_where_it_is(tmp_path):
    (tmp_path / "r/lock/mine").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(IdfError, match="is a folder"), run(tmp_path / "r"):
            pass
    assert (tmp_path / "r/lock/mine").is_dir()


@pytest.mark.parametrize("text", ['{"pid": "999999", "host": "%s"}', '{"pid": 1e999, "host": "%s"}',
                                  '{"pid": true, "host": "%s"}', "[" * 10_000, "null", "5", '"x"'])
def test_a_lock_of_another_kind_is_a_dead_one(tmp_path, text):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/lock").write_text(text.replace("%s", socket.gethostname()))
    with run(tmp_path / "r") as r:
        assert r.manifest["status"] == "running"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_an_end_from_outside_is_an_interrupt(request, tmp_path, name):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} on this system")
    before = signal.signal(getattr(signal, name), signal.SIG_DFL)  # ignored under nohup
    request.addfinalizer(lambda: signal.signal(getattr(signal, name), before))
    with pytest.raises(KeyboardInterrupt), run(tmp_path / "r") as r:
        r.event(name="a")
        signal.raise_signal(getattr(signal, name))
    manifest = json.loads((tmp_path / "r/run.json").read_text())
    assert manifest["status"] == "interrupted" and not (tmp_path / "r/lock").exists()
    assert signal.getsignal(getattr(signal, name)) is signal.SIG_DFL


def test_inputs_count_by_their_content(tmp_path):
    """A copy with new times elsewhere is the same; another picture of the same time is not; what
    an earlier version made, which knew times alone, is still recognized."""
    then = {"folder": "/a", "files": "by times", "frames": 2}
    now = then | {"content": "by bytes"}
    with run(tmp_path / "r", inputs=now) as r:
        r.finish({})
    with run(tmp_path / "r", inputs=now | {"folder": "/b", "files": "other times"}) as r:
        assert r.finished
    with pytest.raises(IdfError, match="content 'by bytes', now 'x'"), \
            run(tmp_path / "r", inputs=now | {"content": "x"}):
        pass
    with run(tmp_path / "old", inputs=then) as r:
        r.finish({})
    with run(tmp_path / "old", inputs=now | {"folder": "/b"}) as r:
        assert r.finished
    with pytest.raises(IdfError), run(tmp_path / "old", inputs=now | {"files": "other times"}):
        pass


def test_latest_run_of_a_stage(tmp_path):
    assert latest_run(tmp_path, "test") is None
    for k in range(2):
        with run(tmp_path / f"r{k}", config={"steps": k}) as r:
            r.finish()
        time.sleep(1.1)
    with run(tmp_path / "unfinished", config={"steps": 9}):
        pass
    assert latest_run(tmp_path, "test") == tmp_path / "r1"
    with pytest.raises(IdfError, match="not a run folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["[1]", "null", "{}", '{"run_id": "a", "config": []}'])
def test_a_damaged_manifest_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    for reading in (lambda: read_manifest(tmp_path), lambda: run(tmp_path).__enter__()):
        with pytest.raises(IdfError, match="damaged"):
            reading()
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.parametrize("pid", ['"x"', "-1", "0", "1e30", "99999999999999999999", "null", "[]"])
def test_a_lock_that_names_no_process_does_not_hold(tmp_path, pid):
    (tmp_path / "lock").write_text(f'{{"pid": {pid}, "host": "{socket.gethostname()}"}}')
    with run(tmp_path) as r:
        r.finish()
    assert not (tmp_path / "lock").exists()


def test_a_lock_is_never_seen_without_its_owner(tmp_path):
    """Between making a file and writing it, another process would take it for a dead one's."""
    with run(tmp_path) as r:
        assert json.loads((r.path / "lock").read_text())["pid"] == os.getpid()
        with pytest.raises(IdfError, match="running process"), run(tmp_path):
            pass
        assert not [p for p in os.listdir(tmp_path) if p.endswith(".part")]


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(IdfError, match="cannot be written"), run(tmp_path / ("a" * 300)):
        pass


def test_lines_that_are_no_events_are_skipped(tmp_path):
    with run(tmp_path) as r:
        r.event(kind="a")
        with open(tmp_path / "events.jsonl", "ab") as f:
            f.write(b'[1]\n"x"\n3\nnull\n{torn\n\xff\x00\n' + b"[" * 50_000 + b"\n")
        r.event(kind="b")
        assert [e["kind"] for e in r.events()] == ["a", "b"]


def test_flipped_bytes_in_a_checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    with run(tmp_path) as r:
        r.save_checkpoint(1, {"a": np.arange(50)}, {"n": 1})
        path = tmp_path / "checkpoints/step_000000001.npz"
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(300):
            data = whole.copy()
            data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
            path.write_bytes(data.tobytes())
            r.latest_checkpoint()  # None, or what is still readable; nothing is raised
        path.write_bytes(whole.tobytes())
        assert r.latest_checkpoint()[1] == {"n": 1}


def test_moved_inputs_are_the_same_inputs(tmp_path):
    with run(tmp_path / "r", inputs={"hash": "a", "folder": "/here"}) as r:
        r.finish()
    with run(tmp_path / "r", inputs={"hash": "a", "folder": "/there"}) as r:
        assert r.finished
    with pytest.raises(IdfError, match="hash 'a', now 'b'"), \
            run(tmp_path / "r", inputs={"hash": "b", "folder": "/here"}):
        pass


def test_a_lock_placed_meanwhile_is_put_back(tmp_path):
    """Two processes judge the same dead lock; the slower one must not remove the faster's new."""
    dead = {"pid": 2**30, "host": "elsewhere", "started": None}
    fast, slow = FolderLock(tmp_path), FolderLock(tmp_path)
    fast.acquire()
    slow._set_aside(dead)  # judged before `fast` came
    with pytest.raises(IdfError, match="in use by a running process"):
        slow.acquire()
    fast.release()
    slow.acquire()
    slow.release()
    assert list(tmp_path.iterdir()) == []
