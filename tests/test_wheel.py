"""The built package in a fresh environment, away from the clone: what is installed must suffice."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from idf_helpers.data import samples

pytestmark = pytest.mark.wheel
ROOT = Path(__file__).resolve().parent.parent


def package_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", "idf_helpers"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the files under version control."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE", *package_files()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    built = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-2000:]
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """run(*arguments, fails=False) calls Python in a new environment with the wheel in it; the
    packages that it requires are seen where they are, this clone is not."""
    home = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    python = home / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    inside = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True).stdout.strip()
    # A path file's folders are searched, but the path files in them (this clone's) are not read.
    (Path(inside) / "required.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                    "--disable-pip-version-check", str(wheel)], check=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*arguments, fails=False):
        done = subprocess.run([str(python), *map(str, arguments)], cwd=home, env=environment,
                              capture_output=True, text=True)
        assert done.returncode == (2 if fails else 0), done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    where = run("-c", "import idf_helpers; print(idf_helpers.__file__)").strip()
    assert Path(where).is_relative_to(home), where
    return run


def test_the_wheel_holds_code_data_and_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert not [name for name in package_files() if name not in inside], "missing from the wheel"
    assert "idf_helpers/py.typed" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_doctor(installed):
    assert "The main job can run here" in installed("-m", "idf_helpers", "doctor")


def test_swap_and_splats_of_data_of_ones_own(installed, tmp_path):
    picture = samples.path("head_multiview") / "test" / "r_0.png"
    installed("-m", "idf_helpers", "swap", picture, "--source", samples.photo("C"),
              "--out", tmp_path / "swap", "--backend", "mesh", "--consent",
              "Synthetic faces that belong to nobody.")
    assert (tmp_path / "swap" / "r_0.png").is_file()
    installed("-m", "idf_helpers", "splat", samples.path("head_turntable"), "--out",
              tmp_path / "splats", "--backend", "cpu", "--iterations", 5, "--resolution", 32,
              "--initial", 100, "--max-gaussians", 200)
    assert (tmp_path / "splats" / "point_cloud.ply").is_file()


def test_demo_says_in_one_line_where_its_samples_are(installed, tmp_path):
    said = installed("-m", "idf_helpers", "demo", "--out", tmp_path / "demo", fails=True)
    assert said.startswith("idf: The bundled sample") and "git clone" in said
    assert "Traceback" not in said and not (tmp_path / "demo").exists()


def test_colab_finds_its_packages(installed):
    assert installed("-c", "from idf_helpers.runtime import colab; print(colab.ensure())"
                     ).strip() == "[]"
