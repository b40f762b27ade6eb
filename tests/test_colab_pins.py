"""The notebooks in an environment with Colab's versions of what they use.

It takes some minutes and a few hundred megabytes the first time, so it only runs where it is asked
for: IDF_REQUIRE_COLAB=1, as CI does. The environment is kept beside `.venv`'s packages.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "colab-pins.txt"
HOME = Path(sys.prefix) / "colab-pins"
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

pytestmark = [pytest.mark.colab, pytest.mark.skipif(
    os.environ.get("IDF_REQUIRE_COLAB") != "1", reason="asked for with IDF_REQUIRE_COLAB=1")]


def pip(*arguments):
    done = subprocess.run([str(PYTHON), "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def installed():
    lines = pip("freeze").splitlines()
    return {k.lower().replace("_", "-"): v for k, _, v in (line.partition("==") for line in lines)}


@pytest.fixture(scope="module")
def environment():
    """Colab's versions, torch of the version that runs this test, and the test runner; no tyro."""
    import torch

    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    pip("install", "--quiet", f"torch=={torch.__version__.split('+')[0]}", "--extra-index-url",
        TORCH_CPU_INDEX)
    pip("install", "--quiet", "-r", str(PINS), "nbmake", "pytest")
    pip("uninstall", "--quiet", "--yes", "tyro")
    return installed()


def test_notebooks_run_and_nothing_is_moved(environment, tmp_path):
    assert "tyro" not in environment
    books = sorted(str(p) for p in (ROOT / "notebooks").glob("*.ipynb"))
    done = subprocess.run(
        [str(PYTHON), "-m", "pytest", "-q", "--nbmake", "--nbmake-timeout=600", "-p",
         "no:cacheprovider", "-c", os.devnull, "--rootdir", str(ROOT), *books],
        env={**os.environ, "IDF_FAST": "1", "IDF_RUNS": str(tmp_path)},
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    after = installed()
    assert {k: after.get(k) for k in environment} == environment
    assert "tyro" in after  # added by the first cell
