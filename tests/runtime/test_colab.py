"""Adding packages without moving any: the real pip, on wheels made here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from idf_helpers.errors import IdfError
from idf_helpers.runtime import colab
from tests.fixtures.wheels import make_wheel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """(python, environment) of a venv that holds idf_base 1.0, with wheels beside it."""
    folder = tmp_path_factory.mktemp("colab")
    wheels = folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "idf_base", "1.0")
    make_wheel(wheels, "idf_base", "2.0")
    make_wheel(wheels, "idf_addon", "1.0", ["idf_base"])
    make_wheel(wheels, "idf_greedy", "1.0", ["idf_base>=2"])
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    env = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri(),
           "PYTHONPATH": str(ROOT), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run([python, "-m", "pip", "install", "-q", "idf_base==1.0"], env=env, check=True,
                   stderr=subprocess.DEVNULL)
    return python, env


def in_machine(machine, code, **extra):
    python, env = machine
    done = subprocess.run([python, "-c", code], env={**env, **extra}, capture_output=True,
                          text=True)
    return done.stdout.strip(), done.stderr


def test_only_the_missing_is_installed_and_nothing_moves(machine):
    out, err = in_machine(machine, "from idf_helpers.runtime import colab\n"
                          "print(colab.ensure('idf-addon', 'idf-base>=1'))\n"
                          "import idf_addon, idf_base; print(idf_base.VERSION)\n"
                          "print(colab.ensure('idf-addon'))", PIP_DISABLE_PIP_VERSION_CHECK="1")
    assert out.splitlines() == ["added idf-addon", "['idf-addon']", "1.0", "[]"], err


def test_a_package_that_would_move_another_is_refused_and_changes_nothing(machine):
    out, _ = in_machine(machine, "from idf_helpers import IdfError\n"
                        "from idf_helpers.runtime import colab\n"
                        "try: colab.ensure('idf-greedy')\n"
                        "except IdfError as e: print(e.what)\n"
                        "import idf_base, importlib.util as u\n"
                        "print(idf_base.VERSION, u.find_spec('idf_greedy'))")
    assert out.splitlines() == ["These packages could not be added: idf-greedy", "1.0 None"]


def test_with_everything_there_pip_is_not_called(monkeypatch):
    monkeypatch.setattr(colab.subprocess, "run", lambda *a, **k: pytest.fail("pip was called"))
    assert colab.ensure("numpy", "opencv-python-headless>=99", "pillow") == []


def test_the_librarys_own_packages_are_looked_up_by_what_they_import():
    modules = {colab.module_of(r) for r in colab.default_packages()}
    assert {"cv2", "PIL", "imageio_ffmpeg", "torch"} <= modules
    assert colab.missing() == [], "these tests run where all of them are installed"


def test_where_we_run(monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert not colab.in_colab()
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert colab.in_colab()


def test_the_address_of_a_notebook():
    assert colab.notebook_url("01_swap") == (
        "https://colab.research.google.com/github/implicit-deepfake/implicit-deepfake/blob/main/"
        "notebooks/01_swap.ipynb")


def test_an_installed_package_knows_its_requirements_and_a_part_of_a_clone_does_not(
        monkeypatch, tmp_path):
    wanted = colab.default_packages()
    monkeypatch.setattr(colab, "__file__", str(tmp_path / "idf_helpers" / "runtime" / "colab.py"))
    monkeypatch.setattr(colab.importlib.metadata, "requires",
                        lambda name: [*wanted, 'ruff>=0.9; extra == "dev"'])
    assert colab.default_packages() == wanted

    def nowhere(name):
        raise colab.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(colab.importlib.metadata, "requires", nowhere)
    with pytest.raises(IdfError, match="git clone"):
        colab.default_packages()


def test_the_shell_gets_the_command_of_a_clone(monkeypatch, tmp_path):
    def no_distribution(name):
        raise colab.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(colab.sysconfig, "get_path", lambda kind: str(tmp_path))
    assert colab.add_command() is None, "an installed package brings its own"
    monkeypatch.setattr(colab.importlib.metadata, "version", no_distribution)
    monkeypatch.setenv("PATH", "")
    script = colab.add_command()
    assert os.environ["PATH"].split(os.pathsep)[0] == str(tmp_path)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True,
                          env=clean, cwd=tmp_path)
    assert done.returncode == 0 and "download" in done.stdout, done.stderr
    assert colab.add_command() == script  # again: of another clone it would be written anew
    script.write_text("# a command of somebody else's")
    assert colab.add_command() is None and "else's" in script.read_text()
