"""The lists of packages agree, the package stays light, and addresses and versions are the same."""

import ast
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
import yaml

from docs import address
from idf_helpers import __version__
from idf_helpers.runtime import colab

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL = {"distributed", "gsplat", "nerfacc", "diff_gaussian_rasterization",  # cluster, GPU;
            "diffusers", "transformers", "safetensors", "huggingface_hub",
            "onnx", "onnxruntime",  # `onnx`, `neural`
            "pycolmap",  # `capture`
            "pi_heif",  # `heic`
            "mediapipe"}  # a task file that a user brings
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"),
                *(ROOT / "assets").rglob("README.md")])
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
        name, _, cap = re.fullmatch(r"([a-z0-9-]+)>=[\d.]+((,<[\d.]+)?)", requirement).groups()
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
    assert f"{colab.REPOSITORY_URL}/blob/main/docs/troubleshooting.md" in sources[0], "questions"


def test_badges_and_clone_commands_name_the_one_address():
    assert colab.REPOSITORY_URL == PROJECT["project"]["urls"]["Repository"] == address.address()
    assert address.others() == {}
    ours = colab.REPOSITORY_URL.removeprefix("https://github.com/")
    for owner_and_name in re.findall(r"colab\.research\.google\.com/github/([^/]+/[^/]+)/", README):
        assert owner_and_name == ours
    assert set(re.findall(r"git clone (https://\S+/implicit-deepfake)\b", README)) <= {
        colab.REPOSITORY_URL}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["repository-code"] == colab.REPOSITORY_URL
    assert citation["version"] == __version__
    assert citation["preferred-citation"]["title"] in README


def test_a_new_address_is_written_everywhere_by_one_command(tmp_path, monkeypatch, capsys):
    names = ["pyproject.toml", "README.md", "CONTRIBUTING.md", "CITATION.cff", "docs/paper.md",
             "notebooks/01_swap.ipynb", "idf_helpers/runtime/colab.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(address, "ROOT", tmp_path)
    (tmp_path / "SECURITY.md").write_text(address.GITHUB + "else/implicit-deepfake/")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert address.others() == {"SECURITY.md": {"else/implicit-deepfake"}}
    changed = address.rewrite("https://github.com/someone/heads")
    assert set(changed) == set(names) - {"docs/paper.md"}  # which names the authors' repository
    assert address.address() == "https://github.com/someone/heads"
    for name in changed:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "implicit-deepfake/implicit-deepfake" not in text and "someone/heads" in text, name
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "&& cd heads" in readme and "https://someone.github.io/heads/" in readme
    with pytest.raises(SystemExit, match="OWNER/NAME"):
        address.rewrite("https://github.com/only")


def test_an_address_that_nobody_answers_at_is_a_warning_and_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["address.py", "--resolve"])
    for why in ("", "HTTP Error 404: Not Found"):
        monkeypatch.setattr(address, "resolves", lambda url, why=why: why)
        with pytest.raises(SystemExit) as done:
            address.main()
        said = capsys.readouterr().out
        assert not done.value.code
        assert ("::warning" in said and why in said) if why else "It resolves." in said


def test_an_address_is_asked_for_and_its_answer_is_told():
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path == "/there" else 404)
            self.end_headers()

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        assert address.resolves(here + "/there") == ""
        assert "404" in address.resolves(here + "/gone")
        server.shutdown()
    assert address.resolves(here + "/there")  # nobody is there now


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
