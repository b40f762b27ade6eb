"""Every command of the README, typed as it stands, in a clone: with small budgets, no network.

The clone comes from this checkout, and its `.venv` is a stand-in that calls the Python of the
tests, with flags for small budgets added.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from idf_helpers.data import samples
from idf_helpers.runtime.colab import REPOSITORY_URL

from .fixtures.footage import talk_pictures, write_video

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [b.strip().splitlines() for b in re.findall(r"```\n(.*?)```", README, re.DOTALL)]
INLINE = re.findall(r"`((?:python run\.py|idf) [^`]+)`", README)
PYTHON = """#!/bin/sh
case "$*" in
  "-m idf_helpers demo"*) set -- "$@" --iterations 60 --resolution 48 ;;
  "-m idf_helpers make"*) set -- "$@" --iterations 30 --resolution 48 ;;
  "-m jupyterlab"*) set -- -m jupyterlab --version ;;
  "-m pytest"*) set -- -m pytest --version ;;
esac
exec "{python}" "$@"
"""
STAMP = """import run
run.VENV.joinpath("bin").mkdir(parents=True)
run.venv_python().write_text({text!r})
run.venv_python().chmod(0o755)
run.write_stamp(dict(made_here=True, root=str(run.ROOT), state="ready", models=run.FACE_MODELS,
                     fingerprint=run.fingerprint(), extras=["lab", "dev", "browser", "diffusion"]))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("git"),
                                reason="the stand-in for .venv is a shell script")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The first line of the README, and a `.venv` in what it made."""
    folder = tmp_path_factory.mktemp("readme")
    shell(BLOCKS[0][0], folder, GIT_CONFIG_COUNT="1", GIT_CONFIG_VALUE_0=REPOSITORY_URL,
          GIT_CONFIG_KEY_0=f"url.file://{ROOT}.insteadOf")
    root = folder / "implicit-deepfake"
    for name in subprocess.run(["git", "diff", "--name-only", "HEAD"], cwd=ROOT, text=True,
                               capture_output=True, check=True).stdout.split():
        if (ROOT / name).is_file():  # what is not committed yet
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    code = STAMP.format(text=PYTHON.format(python=sys.executable))
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    return root


def shell(line, folder, **more):
    environment = os.environ | {"PYTHONPATH": ""} | more
    words = re.sub(r"^python ", f'"{sys.executable}" ', line)
    done = subprocess.run(["bash", "-c", words], cwd=folder, env=environment, text=True,
                          capture_output=True, timeout=500)
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_demo(clone):
    assert BLOCKS[0][1:] == ["python run.py demo"]
    shell(BLOCKS[0][1], clone)
    assert (clone / "runs/demo/view/viewer.html").is_file()
    said = shell("python run.py idf verify runs/demo/view/viewer.html", clone)
    assert "synthetic" in said


def test_make_on_a_photo_and_a_video(clone):
    line, = BLOCKS[1]
    video = write_video(clone / "talk.mp4", talk_pictures(), fps=8)
    line = line.replace("PHOTO", str(samples.photo("C"))).replace("VIDEO", str(video))
    shell(line, clone)
    report = json.loads((clone / "runs/mine/make_report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished" and (clone / "runs/mine/view/avatar.html").is_file()


def test_there_are_no_others(clone):
    assert len(BLOCKS) == 2
    assert set(INLINE) == {"python run.py lab", "python run.py doctor", "python run.py test",
                           "idf verify FILE"}
    assert re.search(r"\d+\.\d+", shell("python run.py lab", clone))
    assert "pytest" in shell("python run.py test", clone)
    assert "torch" in shell("python run.py doctor", clone).lower()
