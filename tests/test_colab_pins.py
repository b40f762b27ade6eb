"""The notebooks in an environment with Colab's versions of what they use.

It takes some minutes and downloads the first time, so it only runs where it is asked for:
IDF_REQUIRE_COLAB=1, as CI does. The environment is kept beside `.venv`'s packages, and shares
torch with it: the same version, and by far the largest package.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "colab-pins.txt"
HOME = Path(sys.prefix) / "colab-pins"
PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

pytestmark = [pytest.mark.colab, pytest.mark.skipif(
    os.environ.get("IDF_REQUIRE_COLAB") != "1", reason="asked for with IDF_REQUIRE_COLAB=1")]


def pip(*arguments):
    done = subprocess.run([str(PYTHON), "-m", "pip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def installed():
    lines = pip("freeze").splitlines()
    return {k.lower().replace("_", "-"): v for k, _, v in (line.partition("==") for line in lines)}


def share(name, folder, seen):
    """Link an installed distribution, and what it requires, into a folder for the search path."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return  # for another system or Python
    if distribution.name in seen:
        return
    seen.add(distribution.name)
    for top in {f.parts[0] for f in distribution.files} - {"..", "__pycache__"}:
        if not (folder / top).exists():
            (folder / top).symlink_to(distribution.locate_file(top))
    for requirement in distribution.requires or []:
        if "extra ==" not in requirement:
            share(re.match(r"[\w.-]+", requirement).group(), folder, seen)


@pytest.fixture(scope="module")
def environment():
    """Colab's versions, the torch that runs this test, and the test runner; no tyro."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        shared = HOME / "shared"  # outside of the environment's own packages: pip changes none
        shared.mkdir()
        share("torch", shared, set())
        inside = subprocess.run(
            [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True, text=True, check=True).stdout.strip()
        (Path(inside) / "shared.pth").write_text(str(shared))
    pip("install", "--quiet", "-r", str(PINS), "nbmake", "pytest")
    pip("uninstall", "--quiet", "--yes", "tyro")
    assert "torch" in installed()
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
