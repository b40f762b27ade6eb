import os
import re
import subprocess
import sys

import pytest

from idf_helpers.catalogue import OFFERS, STAGES
from idf_helpers.cli import doctor
from idf_helpers.errors import IdfError
from idf_helpers.face.downloads import FACE_LANDMARKS


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with nothing on PATH and nothing at home."""
    for name in ("IDF_CHROMIUM", "IDF_REQUIRE_BROWSER", "IDF_REQUIRE_NPM", "PROGRAMFILES",
                 "PROGRAMFILES(X86)", "LOCALAPPDATA", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(doctor, "BROWSER_PLACES", ())
    monkeypatch.setattr(doctor.Path, "home", lambda: tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho Program 1.0\n")
    path.chmod(0o755)
    return str(path)


def test_the_report_names_everything_that_the_main_job_needs():
    rows = doctor.findings()
    text = doctor.report(rows)
    for name in ("Python", "cores", "memory", "disk", "PyTorch", "NumPy", "OpenCV", "ffmpeg",
                 "pycolmap", "Chromium", "Node.js", "face_landmarks"):
        assert f"  {name} " in text, name
    for stage, methods in STAGES.items():
        for name in methods.names():
            assert f"{stage} {name}" in text
        assert (f"{stage} auto" in text) == methods.automatic
    assert text.splitlines()[-1].startswith("The main job ")


def test_the_short_report_fits_one_screen():
    text = doctor.summary()
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 120
    for stage, methods in STAGES.items():
        row = next(line for line in lines if line.startswith(f"{stage} "))
        if methods.automatic:
            assert methods.choose(offers=OFFERS)[0].name in row
    assert "--all" in lines[-1] and lines[-2].startswith("The main job ")


WITHOUT = """
import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        gone = name.split(".")[0] in ("numpy", "cv2", "numba", "torch", "PIL", "scipy")
        return None if gone else super().find_spec(name, path, target)
sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from idf_helpers.cli.main import main
main(["doctor"] + sys.argv[1:])
"""


@pytest.mark.parametrize("flags", [[], ["--all"]])
def test_a_machine_without_its_packages_is_told_what_to_install(flags):
    done = subprocess.run([sys.executable, "-c", WITHOUT, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "-> pip install numba" in done.stdout and "opencv-python-headless" in done.stdout
    assert "The main job cannot run here yet" in done.stdout


def test_what_is_missing_comes_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    monkeypatch.delenv(FACE_LANDMARKS.env, raising=False)
    text = doctor.report(doctor._models() + doctor._backends())
    assert "-> idf download face_landmarks" in text
    assert re.search(r"swap uv +cannot run", text)
    assert text.splitlines()[-1] == \
        "The main job cannot run here yet; missing: face_landmarks, swap auto."


def test_two_wheels_owning_cv2_are_reported(monkeypatch):
    monkeypatch.setattr(doctor, "cv2_owners", lambda: ["opencv-python 4", "opencv-contrib 4"])
    row = next(r for r in doctor._packages() if r.name == "OpenCV")
    assert "2 wheels share" in row.fix and not row.essential


def test_cv2_owners_are_the_installed_wheels():
    assert doctor.cv2_owners(), "the tests run where OpenCV is installed"


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_chromium_is_found_by_variable_path_and_playwrights_folder(bare, monkeypatch):
    assert doctor.find_chromium() is None
    own = program(bare / ".cache/ms-playwright/chromium-1200/chrome-linux64/chrome")
    assert doctor.find_chromium() == own
    on_path = program(bare / "bin/chromium")
    assert doctor.find_chromium() == on_path
    monkeypatch.setenv("IDF_CHROMIUM", program(bare / "else/browser"))
    assert doctor.find_chromium() == str(bare / "else/browser")
    monkeypatch.setenv("IDF_CHROMIUM", str(bare / "no"))
    with pytest.raises(IdfError, match="IDF_CHROMIUM"):
        doctor.find_chromium()


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_node_counts_only_with_npx(bare):
    node = program(bare / "bin/node")
    assert doctor.find_node() is None
    program(bare / "bin/npx")
    assert doctor.find_node() == node


def test_required_checks_that_cannot_run_fail_the_call(bare, monkeypatch):
    text, can_run = doctor.test_tools_report()
    assert can_run and text.count("do not run") == 2
    monkeypatch.setenv("IDF_REQUIRE_NPM", "1")
    text, can_run = doctor.test_tools_report()
    assert not can_run and "npm checks      CANNOT RUN but are required" in text
    done = subprocess.run([sys.executable, "-m", "idf_helpers.cli.doctor", "--test-tools"],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "CANNOT RUN" in done.stdout


def test_there_are_two_kinds_of_checks():
    with pytest.raises(IdfError):
        doctor.find_tool("cluster")
