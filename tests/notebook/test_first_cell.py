"""The first cell of a lone notebook: outside the repository, in a Python that has nothing, as on
Colab; and again in a kernel that was started anew."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from idf_helpers.runtime import colab
from tests.fixtures.wheels import make_wheel

ROOT = Path(__file__).resolve().parents[2]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUB = """import sys, types
google, colab = types.ModuleType("google"), types.ModuleType("google.colab")
google.colab = colab
sys.modules.update({"google": google, "google.colab": colab})
"""
TELL = """
import idf_helpers, shutil
print(idf_helpers.__file__)
print(len(added), bool(shutil.which("idf")))
"""


def first_cell(book: Path) -> dict:
    cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
    return next(c for c in cells if c["cell_type"] == "code")


SETUP = "".join(first_cell(BOOKS[0])["source"])


@pytest.mark.parametrize("book", BOOKS, ids=lambda p: p.stem)
def test_all_notebooks_begin_with_the_same_folded_cell(book):
    cell = first_cell(book)
    assert "".join(cell["source"]) == SETUP
    assert cell["metadata"]["cellView"] == "form"
    assert cell["metadata"]["jupyter"]["source_hidden"] is True


def runs(python: str) -> bool:
    """Whether there is such a Python: pyenv has shims for what is not chosen."""
    return bool(shutil.which(python)) and not subprocess.run(
        [python, "--version"], capture_output=True).returncode


def find_python(version: str) -> str | None:
    """The newest of a version, on PATH or of pyenv."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    there = [f"python{version}", *map(str, sorted(home.glob(f"{version}.*/bin/python")))]
    return next(filter(runs, there), None)


@pytest.fixture(scope="module", params=["this", "3.12"])
def bare(request, tmp_path_factory):
    """(Python, environment) with pip and no package of ours; wheels of what it will ask for."""
    folder = tmp_path_factory.mktemp("bare")
    python = sys.executable if request.param == "this" else find_python(request.param)
    if python is None:
        pytest.skip(f"Python {request.param}, which Colab has, is not installed here")
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True)
    inside = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    for requirement in colab.default_packages():
        name = requirement.split(">")[0].split("<")[0].strip()
        # in the middle of all bounds; numba alone has an upper one
        make_wheel(folder, name.replace("-", "_"), "0.65" if name == "numba" else "9999.0",
                   module=colab.module_of(requirement))
    keep = {k: v for k, v in os.environ.items()
            if k not in ("PYTHONPATH", "VIRTUAL_ENV") and not k.startswith("PYENV_")}
    return str(inside / "python"), keep | {
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder.as_uri(), "PIP_CONFIG_FILE": os.devnull,
        "GIT_TERMINAL_PROMPT": "0", "PATH": os.pathsep.join([str(inside), os.environ["PATH"]])}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository with what the first cell needs of ours."""
    folder = tmp_path_factory.mktemp("project") / "implicit-deepfake-main"
    shutil.copytree(ROOT / "idf_helpers", folder / "idf_helpers",
                    ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)
    return folder


def run(bare, folder: Path, where: str, **more: str) -> subprocess.CompletedProcess:
    """The cell as a kernel of its own in `folder`, with another PROJECT."""
    python, env = bare
    address = f'PROJECT = "{colab.REPOSITORY_URL}"'
    assert address in SETUP
    cell = SETUP.replace(address, f"PROJECT = {where!r}")
    return subprocess.run([python, "-c", STUB + cell + TELL], cwd=folder, text=True,
                          capture_output=True, env={**env, **more})


def test_a_lone_notebook_fetches_the_project_once(bare, project, tmp_path):
    (tmp_path / "implicit-deepfake.part" / "half").mkdir(parents=True)  # a kernel died in between
    first = run(bare, tmp_path, project.as_uri())
    assert first.returncode == 0, first.stderr
    ours = tmp_path / "implicit-deepfake" / "idf_helpers" / "__init__.py"
    *_, file, told = first.stdout.splitlines()
    assert Path(file) == ours and told.endswith(" True")
    assert [p.name for p in tmp_path.iterdir()] == ["implicit-deepfake"]
    again = run(bare, tmp_path, "https://invalid.invalid/x", PIP_FIND_LINKS="")  # a new kernel
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [str(ours), "0 True"]


def test_a_zip_or_a_folder_stands_in_for_the_address(bare, project, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "project"), "zip", project.parent, project.name)
    unpacked = tmp_path / "a"
    unpacked.mkdir()
    done = run(bare, unpacked, packed)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[-2]).is_relative_to(unpacked / "implicit-deepfake")
    beside = tmp_path / "b"
    beside.mkdir()
    done = run(bare, beside, str(project))
    assert Path(done.stdout.splitlines()[-2]).is_relative_to(project), done.stderr
    assert not any(beside.iterdir())
    inside = project / "notebooks"
    inside.mkdir(exist_ok=True)
    done = run(bare, inside, "nowhere")
    assert Path(done.stdout.splitlines()[-2]).is_relative_to(project), done.stderr


def test_without_a_project_the_cell_says_what_to_set(bare, tmp_path):
    done = run(bare, tmp_path, str(tmp_path / "none.zip"))
    assert done.returncode and "set PROJECT to a .zip or a folder of it" in done.stderr
    assert not (tmp_path / "implicit-deepfake").exists()
