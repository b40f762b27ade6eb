"""run.py on a tiny repository: real environments, a stand-in for pip that obeys FAKE_PIP."""

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / "run.py"

FAKE_PIP = '''
import json, os, sys, time
with open("pip.jsonl", "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
mode = os.environ.get("FAKE_PIP", "ok")
if "--python" in sys.argv:  # called from outside, to put pip into an environment without it
    sys.exit(0)
if mode == "network":
    print("WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/torch/")
    print("ERROR: No matching distribution found for torch==2.13.0")
    sys.exit(1)
print("  Downloading https://host/torch-2.13.0%2Bcpu-cp311-cp311-linux.whl (191.8 MB)")
print("Installing collected packages: torch, numpy", flush=True)
if mode == "disk":
    print("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
    sys.exit(1)
if mode == "hang":
    with open("pip.pid", "w") as note:
        note.write(str(os.getpid()))
    time.sleep(60)
'''
FAKE_MAIN = '''
import sys
if sys.argv[1] == "download":
    sys.exit(0 if __import__("os").environ.get("FAKE_MODELS", "1") == "1" else 2)
print("ran", *sys.argv[1:])
sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
'''
FAKE_PYTEST = """import os, sys
print('pytest', os.environ['IDF_FAST'], os.path.exists(os.environ['IDF_RUNS']), *sys.argv[1:])
sys.exit(5)
"""
FAKE_DOCTOR = "import os, sys\nsys.exit(2 if os.environ.get('IDF_REQUIRE_BROWSER') == '1' else 0)\n"


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A folder with run.py in it, loaded as a module whose ROOT is that folder."""
    return make_house(tmp_path / "house", monkeypatch)


def make_house(root, monkeypatch):
    (root / "notebooks").mkdir(parents=True)
    shutil.copy(RUN, root / "run.py")
    for name, text in {"pyproject.toml": "[project]", "requirements.txt": "numpy",
                       "notebooks/01_swap.ipynb": "{}", "pip/__init__.py": "",
                       "pip/__main__.py": FAKE_PIP,
                       "idf_helpers/__init__.py": "", "idf_helpers/__main__.py": FAKE_MAIN,
                       "idf_helpers/cli/doctor.py": FAKE_DOCTOR, "pytest.py": FAKE_PYTEST}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    return load(root, monkeypatch)


def load(root, monkeypatch):
    spec = importlib.util.spec_from_file_location("run_of_" + root.name, root / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # ensurepip takes seconds, and the stand-in is found before a real pip
    real = importlib.util.find_spec
    monkeypatch.setattr(module.importlib.util, "find_spec",
                        lambda name, *a: None if name in ("ensurepip", "torch") else real(name, *a))
    monkeypatch.setattr(module, "nvidia_gpu", lambda: "")
    monkeypatch.setattr(module, "torch_there", lambda: "")
    return module


def pip_calls(root, real_installs_only=True):
    log = root / "pip.jsonl"
    calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [c for c in calls if not real_installs_only or "--progress-bar" in c]


def test_parses_on_python_3_6_and_imports_only_the_standard_library():
    tree = ast.parse(RUN.read_text(encoding="utf-8"), feature_version=(3, 6))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {n.split(".")[0] for n in names} <= sys.stdlib_module_names


def test_an_old_python_is_told_what_to_type(house):
    house.check_python((3, 11, 0), "demo")
    with pytest.raises(house.SetupError, match=r"3\.11 or newer(.|\n)*found: Python 3\.9"):
        house.check_python((3, 9, 2), "demo")


def test_first_call_sets_up_and_the_second_does_nothing(house):
    house.ensure([], models=True)
    calls = pip_calls(house.ROOT)
    assert len(calls) == 2, "torch first, then the rest"
    assert calls[0][-1] == house.TORCH_PIN and "--no-deps" in calls[0]
    assert calls[1][-2:] == ["--editable", "."]
    if sys.platform == "linux":
        assert house.TORCH_CPU_INDEX in calls[0] and house.TORCH_CPU_INDEX not in calls[1]
    stamp = house.read_stamp()
    assert stamp["state"] == "ready" and stamp["models"] == house.FACE_MODELS
    house.ensure([], models=True)
    assert len(pip_calls(house.ROOT)) == 2


def test_other_face_models_than_those_that_were_fetched_are_fetched(house, monkeypatch):
    house.ensure([], models=True)
    stamp = house.read_stamp()
    for old in (True, "another"):  # of an earlier version of this file
        house.write_stamp(dict(stamp, models=old))
        house.ensure([], models=True)
        assert house.read_stamp()["models"] == house.FACE_MODELS
    calls = []
    monkeypatch.setattr(house.subprocess, "call", lambda *a: calls.append(a) or 1)
    house.ensure([], models=True)
    assert not calls
    house.write_stamp(dict(stamp, models=True))
    with pytest.raises(house.SetupError, match="face models did not come"):
        house.ensure([], models=True)
    assert len(calls) == 1 and not house.read_stamp()["models"]


def test_extras_are_added_to_what_is_there_and_stay(house):
    house.ensure(["dev"], models=False)
    house.ensure(["lab"], models=False)
    assert pip_calls(house.ROOT)[-1][-1] == ".[dev,lab]"
    count = len(pip_calls(house.ROOT))
    house.ensure(["dev"], models=False)
    assert len(pip_calls(house.ROOT)) == count


def test_changed_requirements_are_installed_into_the_same_environment(house):
    house.ensure([], models=False)
    (house.VENV / "mine").write_text("kept")
    (house.ROOT / "requirements.txt").write_text("numpy\nscipy")
    house.ensure([], models=False)
    assert len(pip_calls(house.ROOT)) == 4 and (house.VENV / "mine").exists()


def test_a_gpu_gets_the_plain_build_and_a_torch_that_is_there_is_kept(house, monkeypatch, capsys):
    monkeypatch.setattr(house, "NEEDED_GB_CUDA", 0.0)
    monkeypatch.setattr(house, "nvidia_gpu", lambda: "GPU 0: Tesla T4")
    house.ensure([], models=False)
    assert pip_calls(house.ROOT)[0][-1] == house.TORCH_ANY
    assert house.TORCH_CPU_INDEX not in pip_calls(house.ROOT)[0]
    monkeypatch.setattr(house, "torch_there", lambda: "2.11.0+cu128")
    house.ensure(["lab"], models=False)
    assert pip_calls(house.ROOT)[-1][-1] == ".[lab]" and len(pip_calls(house.ROOT)) == 3
    assert "keeping PyTorch 2.11.0+cu128" in capsys.readouterr().out


def test_without_network_it_says_so_and_goes_on_later_in_the_same_environment(house, monkeypatch):
    monkeypatch.setenv("FAKE_PIP", "network")
    with pytest.raises(house.SetupError, match="index cannot be reached"):
        house.ensure([], models=False)
    (house.VENV / "mine").write_text("kept")
    monkeypatch.setenv("FAKE_PIP", "ok")
    house.ensure([], models=False)
    assert (house.VENV / "mine").exists() and house.read_stamp()["state"] == "ready"


def test_without_network_a_working_environment_stays_usable(house, monkeypatch):
    house.ensure([], models=True)
    monkeypatch.setenv("FAKE_PIP", "network")
    with pytest.raises(house.SetupError):
        house.ensure(["lab"], models=False)
    house.ensure([], models=True)  # would raise if it called pip


def test_a_full_disk_midway_is_named_and_the_next_call_starts_afresh(house, monkeypatch):
    monkeypatch.setenv("FAKE_PIP", "disk")
    with pytest.raises(house.SetupError, match="disk is full"):
        house.ensure([], models=False)
    (house.VENV / "half").write_text("a half-written package")
    monkeypatch.setenv("FAKE_PIP", "ok")
    house.ensure([], models=False)
    assert not (house.VENV / "half").exists() and house.read_stamp()["state"] == "ready"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_set_up_heals(house, monkeypatch, with_signal):
    # a CI that starts its job in the background may leave Ctrl-C ignored
    code = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
            "import run; run.importlib.util.find_spec = lambda n, *a, f=run.importlib.util."
            "find_spec: None if n in ('ensurepip', 'torch') else f(n, *a); "
            "run.nvidia_gpu = lambda: ''; run.sys.exit(run.main(['idf', 'x']))")
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "FAKE_PIP": "hang"},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = Path("pip.pid")
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(with_signal)
    child.communicate(timeout=20)
    if with_signal == signal.SIGINT:  # Ctrl-C ends pip too
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    else:  # an orphaned pip holds the lock, as it should: the next set-up would wait for it
        os.kill(int(pid.read_text()), signal.SIGKILL)
    assert house.read_stamp()["state"] == "installing"
    (house.VENV / "half").write_text("a half-written package")
    house.ensure([], models=False)
    assert not (house.VENV / "half").exists() and house.read_stamp()["state"] == "ready"


def test_a_broken_or_moved_environment_is_made_afresh(house, monkeypatch, tmp_path, capsys):
    house.ensure([], models=False)
    house.venv_python().unlink()
    house.ensure([], models=False)
    assert "its Python does not run" in capsys.readouterr().out
    assert house.venv_python().exists()

    moved = tmp_path / "moved"
    shutil.copytree(house.ROOT, moved, symlinks=True)
    monkeypatch.chdir(moved)
    other = load(moved, monkeypatch)
    other.ensure([], models=False)
    assert "moved or copied" in capsys.readouterr().out
    assert other.read_stamp()["root"] == str(moved)


def test_an_environment_of_another_python_is_made_afresh(house, monkeypatch, capsys):
    house.ensure(["dev"], models=False)
    real = house.output_of
    monkeypatch.setattr(house, "output_of", lambda command: (0, "(3, 10)")
                        if "sys.version_info" in command[-1] else real(command))
    (house.ROOT / "pyproject.toml").write_text("[project]\n# new")
    house.ensure([], models=False)
    assert "another Python, (3, 10)" in capsys.readouterr().out
    assert pip_calls(house.ROOT)[-1][-1] == ".[dev]", "what was installed before comes back"


def test_a_folder_of_somebody_else_is_never_deleted(house):
    house.VENV.mkdir()
    (house.VENV / "thesis.txt").write_text("ten years of work")
    with pytest.raises(house.SetupError, match="in the way"):
        house.ensure([], models=False)
    assert (house.VENV / "thesis.txt").read_text() == "ten years of work"


def test_somebody_elses_working_environment_is_used(house):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(house.VENV)], check=True)
    (house.VENV / "mine").write_text("kept")
    house.ensure([], models=False)
    assert (house.VENV / "mine").exists() and house.read_stamp()["made_here"] is False


def test_what_an_interrupted_venv_left_is_replaced(house):
    (house.VENV / "lib").mkdir(parents=True)
    house.ensure([], models=False)
    assert house.read_stamp()["state"] == "ready"


def test_missing_models_stop_the_demo_but_not_the_doctor(house, monkeypatch):
    monkeypatch.setenv("FAKE_MODELS", "0")
    house.ensure([], models=False)
    with pytest.raises(house.SetupError, match="face models"):
        house.ensure([], models=True)
    monkeypatch.setenv("FAKE_MODELS", "1")
    house.ensure([], models=True)
    assert len(pip_calls(house.ROOT)) == 2


def test_too_little_disk_is_said_before_anything_is_downloaded(house, monkeypatch):
    monkeypatch.setattr(house, "NEEDED_GB", 1e9)
    with pytest.raises(house.SetupError, match="not enough disk"):
        house.ensure([], models=False)
    assert pip_calls(house.ROOT) == []


def test_without_the_venv_module_it_says_what_to_install(house, monkeypatch):
    monkeypatch.setattr(house.importlib.util, "find_spec", lambda name, *a: None)
    with pytest.raises(house.SetupError, match="python3-venv"):
        house.ensure([], models=False)


def test_without_ensurepip_the_callers_pip_fills_the_environment(house):
    house.ensure([], models=False)
    first = pip_calls(house.ROOT, real_installs_only=False)[0]
    assert first[0] == "--python" and first[-1] == "pip"


@pytest.mark.parametrize("text, expected", [
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
     "disk is full"),
    ("WARNING: Retrying (...) NameResolutionError('...'): /simple/numpy/\n"
     "ERROR: Could not find a version that satisfies the requirement numpy", "cannot be reached"),
    ("WARNING: Retrying (...) NewConnectionError('...'): /whl/cpu/torch/\n"
     "ERROR: No matching distribution found for torch==2.13.0", "no build for this machine"),
    ("ERROR: something else", "could not install")])
def test_pips_last_words_become_an_error_that_says_what_to_do(house, text, expected):
    message = str(house.diagnose(text))
    assert expected in message and "do:" in message and "ERROR" in message


def test_progress_shows_large_downloads_only(house):
    line = "  Downloading https://x/torch-2.13.0%2Bcpu-cp311-cp311-linux.whl (191.8 MB)"
    assert house.progress(line) == "downloading torch-2.13.0+cpu (191.8 MB)"
    assert house.progress("  Downloading plyfile-1.1.5-py3-none-any.whl (36 kB)") == ""
    assert house.progress("Collecting numpy") == ""


def test_commands(house):
    python = str(house.venv_python())
    assert house.command_line("demo", ["--out", "x"]) == [python, "-m", "idf_helpers", "demo",
                                                          "--out", "x"]
    assert house.command_line("idf", ["swap"]) == [python, "-m", "idf_helpers", "swap"]
    assert house.command_line("docs", ["out"]) == [python, "docs/build.py", "out"]
    everything = house.command_line("test", [])
    assert everything[-2:] == ["tests", str(Path("notebooks/01_swap.ipynb"))]
    assert "--nbmake" in everything
    assert house.command_line("test", ["run.py", "-x"])[-2:] == ["run.py", "-x"]
    assert house.command_line("test", ["-x"])[-3:] == everything[-2:] + ["-x"]


@pytest.mark.skipif(os.name == "nt", reason="measures with POSIX times")
def test_a_later_call_is_quick_and_passes_the_exit_code_on(house):
    import resource
    house.ensure(house.EXTRAS["test"], models=True)
    plain = {k: v for k, v in os.environ.items() if not k.startswith("IDF_")}

    def call(*arguments, **environment):
        return subprocess.run([sys.executable, "run.py", *arguments], capture_output=True,
                              text=True, env={**plain, **environment})

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = call("doctor", "7")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout) == (7, "ran doctor 7\n")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 1.0, f"{spent:.2f} s of processor time before the work starts"

    (house.VENV / "test-runs").mkdir()  # of an earlier call: the notebooks begin with an empty one
    tests = call("test")
    assert tests.returncode == 5 and tests.stdout.startswith("pytest 1 False --nbmake ")
    assert call("test", IDF_REQUIRE_BROWSER="1").returncode == 2, "required checks cannot run"
    assert call("nonsense").returncode == 2
    assert call().returncode == 0 and "python run.py demo" in call().stdout


@pytest.mark.skipif(os.name == "nt", reason="flock of POSIX")
def test_two_set_ups_do_not_mix(house):
    house.ensure([], models=False)
    stamp = house.read_stamp()
    with house.lock():
        house.write_stamp({**stamp, "state": "installing", "made_here": False})
        second = subprocess.Popen([sys.executable, "run.py", "idf", "x"], stdout=subprocess.PIPE,
                                  text=True)
        assert "waiting" in second.stdout.readline()
        time.sleep(0.2)
        assert second.poll() is None
        house.write_stamp(stamp)
    assert second.communicate(timeout=30)[0].endswith("ran x\n")
    assert len(pip_calls(house.ROOT)) == 2
