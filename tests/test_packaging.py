"""The lists of packages agree, the package stays light, and addresses and versions are the same."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from idf_helpers import __version__
from idf_helpers.runtime import colab

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL = {"distributed", "gsplat", "nerfacc", "diff_gaussian_rasterization",  # cluster, GPU;
            "diffusers", "transformers", "safetensors", "huggingface_hub",
            "onnx", "onnxruntime",  # `onnx`
            "pycolmap",  # `capture`
            "mediapipe"}  # a task file that a user brings
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "assets").rglob("README.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_three_files_name_the_same_packages():
    wanted = PROJECT["project"]["dependencies"]
    assert wanted == sorted(wanted) and len(set(wanted)) == len(wanted)
    assert colab.default_packages() == wanted
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    assert pip == [wanted]
    assert f"python{PROJECT['project']['requires-python']}" in environment["dependencies"]


def test_lower_bounds_only_so_that_nothing_installed_is_moved():
    capped = {"numba"}  # whose private parts kernels/numba_private.py uses
    for requirement in PROJECT["project"]["dependencies"]:
        name, _, cap = re.fullmatch(r"([a-z-]+)>=[\d.]+((,<[\d.]+)?)", requirement).groups()
        assert bool(cap) == (name in capped), requirement


def test_what_no_index_offers_stands_as_a_comment_and_never_as_a_requirement():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in ("diff-gaussian-rasterization", "simple-knn", "ghost-faceswap"):
        assert re.search(rf"^# {name}:", text, re.M), name
        assert not re.search(rf"^{name}", text, re.M), name


def test_every_import_of_the_library_is_a_requirement():
    allowed = {colab.module_of(r) for r in PROJECT["project"]["dependencies"]}
    # IPython and traitlets come with ipykernel, llvmlite with numba; google is Colab's own
    allowed |= {"idf_helpers", "IPython", "traitlets", "llvmlite", "google"}
    allowed |= set(sys.stdlib_module_names)
    for path in (ROOT / "idf_helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                if name.split(".")[0] in OPTIONAL:
                    # backends that are asked for by name: imported inside functions, then
                    assert node.col_offset > 0, f"{path.relative_to(ROOT)} imports {name}"
                    continue
                assert name.split(".")[0] in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_version_and_console_script():
    assert PROJECT["project"]["version"] == __version__
    module, attribute = PROJECT["project"]["scripts"]["idf"].split(":")
    assert callable(getattr(__import__(module, fromlist=[attribute]), attribute))


def test_importing_the_package_is_light():
    code = ("import idf_helpers, idf_helpers.cli.doctor, sys; "
            "print([m for m in ('torch', 'numba', 'cv2', 'ipywidgets') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_clone_from_the_one_address(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    first_code = next(s for s, c in zip(sources, cells, strict=True) if c["cell_type"] == "code")
    assert colab.REPOSITORY_URL in first_code
    assert colab.notebook_url(notebook.stem) in sources[0], "the badge"


def test_badges_and_clone_commands_name_the_one_address():
    ours = colab.REPOSITORY_URL.removeprefix("https://github.com/")
    for owner_and_name in re.findall(r"colab\.research\.google\.com/github/([^/]+/[^/]+)/", README):
        assert owner_and_name == ours
    assert set(re.findall(r"git clone (https://\S+/implicit-deepfake)\b", README)) <= {
        colab.REPOSITORY_URL}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == colab.REPOSITORY_URL
    assert citation["version"] == __version__
    assert citation["preferred-citation"]["title"] in README


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_into_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_no_text_installs_a_name_that_is_not_ours():
    """The package is on no index; whoever registered the name would get onto users' machines."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split("\0")
    for name in listed:
        if name.endswith((".py", ".md", ".txt", ".yml", ".toml", ".ipynb", ".cff", ".html")) \
                and (ROOT / name).is_file() and not name.startswith("tests/"):
            text = (ROOT / name).read_text(encoding="utf-8")
            found = re.search(r"pip install[^\n]*\bidf[_-]helpers", text)
            assert not found, f"{name}: {found.group()}"


def test_every_job_of_the_public_ci_is_a_part_of_the_script():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    called = {step["run"] for job in jobs.values() for step in job["steps"] if "run" in step}
    called = {words.split()[1] for words in called if words.startswith(".ci/run ")}
    assert called == set(jobs)
    assert called <= set(re.findall(r"^(\w+)\(\) \{", script, re.MULTILINE))
    if sys.platform != "win32" and shutil.which("bash"):
        refused = subprocess.run(["bash", str(ROOT / ".ci" / "run"), "nonsense"],
                                 capture_output=True, text=True)
        assert refused.returncode == 2 and "unit" in refused.stderr
