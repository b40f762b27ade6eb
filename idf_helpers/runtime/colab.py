"""Google Colab, and adding missing packages without moving one that is there.

Notebooks call `ensure()` once. It never upgrades, downgrades or restarts: a Colab image is a
tested set of packages, and moving one of them breaks others.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from ..errors import IdfError

REPOSITORY_URL = "https://github.com/implicit-deepfake/implicit-deepfake"
REPOSITORY_BRANCH = "main"

# Import names that are not the package's name with "-" turned into "_". A package whose module can
# be imported counts as there whoever brought it: Colab's cv2 comes from three other wheels.
MODULES = {"c2pa-python": "c2pa", "opencv-python-headless": "cv2", "pillow": "PIL",
           "pyyaml": "yaml", "scikit-image": "skimage"}


COMMAND_OF = "written by a notebook's first cell"


def in_colab() -> bool:
    """Return whether this process is a Google Colab kernel."""
    return "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ


def notebook_url(name: str) -> str:
    """Return the address that opens `notebooks/NAME.ipynb` of the public repository in Colab."""
    path = REPOSITORY_URL.removeprefix("https://github.com/")
    return ("https://colab.research.google.com/github/"
            f"{path}/blob/{REPOSITORY_BRANCH}/notebooks/{name}.ipynb")


def default_packages() -> list[str]:
    """Return the requirements of the library: of a clone the lines of its requirements.txt, of an
    installed package those of its metadata. IdfError where there is neither."""
    path = Path(__file__).resolve().parents[2] / "requirements.txt"
    if path.is_file() and path.with_name("pyproject.toml").is_file():
        lines = [line.split("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        try:
            lines = importlib.metadata.requires("idf_helpers") or []
        except importlib.metadata.PackageNotFoundError:
            raise IdfError("The list of packages cannot be read", f"no {path}",
                           f"clone the whole repository: git clone {REPOSITORY_URL}") from None
    return [line.strip() for line in lines if line.strip() and "extra ==" not in line]


def module_of(requirement: str) -> str:
    """Return what is imported of a package: "imageio-ffmpeg>=0.6" gives "imageio_ffmpeg"."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0].lower()
    return MODULES.get(name, name.replace("-", "_"))


def missing(*requirements: str) -> list[str]:
    """Return those (of the library's own, where none are given) whose module is not installed."""
    return [r for r in (requirements or default_packages())
            if importlib.util.find_spec(module_of(r)) is None]


def ensure(*requirements: str) -> list[str]:
    """Install the missing ones of `requirements`, or of the library's own where none are given.

    Every installed package is held at its version by a constraints file, so pip either finds
    versions that fit or changes nothing. Returns what was installed ([] where all was there, then
    neither pip nor the network is touched). Without `requirements` the shell gets the command
    `idf`, too (`add_command`). IdfError where pip finds no fitting set.
    """
    wanted = missing(*requirements)
    if not requirements:
        add_command()
    if not wanted:
        return []
    before = _installed()
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("".join(f"{n}=={v}\n" for n, v in sorted(before.items())),
                               encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-input",
             "--disable-pip-version-check", "--constraint", str(constraints), *wanted],
            capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise IdfError(f"These packages could not be added: {', '.join(wanted)}",
                       " ".join(errors[:2]) or done.stderr.strip()[-300:],
                       "check the network; nothing that was installed has been changed")
    importlib.invalidate_caches()
    after = _installed()
    moved = [f"{n} {v} -> {after.get(n, 'gone')}" for n, v in before.items() if after.get(n) != v]
    if moved:  # constraints forbid it; where pip does it all the same, it is noticed here
        raise IdfError("Adding packages changed installed ones", ", ".join(moved),
                       "restart the runtime")
    for requirement in wanted:
        print(f"added {requirement}")
    return wanted


def add_command() -> Path | None:
    """Make `idf` a command of the shell for a clone that is not installed, without pip.

    A script in the folder of this Python's scripts runs the clone; cells find it by PATH, as the
    terminal does. Returns its path; None where an installed package has a command, or the folder
    cannot be written to.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("idf_helpers")
        return None
    root, folder = Path(__file__).resolve().parents[2], Path(sysconfig.get_path("scripts"))
    text = f"import sys; sys.path.insert(0, {str(root)!r})  # {COMMAND_OF}\n" \
           "from idf_helpers.cli.main import main\nsys.exit(main())\n"
    script = folder / ("idf.py" if os.name == "nt" else "idf")
    try:
        if script.exists() and COMMAND_OF not in script.read_text(encoding="utf-8"):
            return None
        if os.name == "nt":
            (folder / "idf.cmd").write_text(f'@"{sys.executable}" "{script}" %*\n')
        else:
            text = f"#!{sys.executable}\n{text}"
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    except (OSError, UnicodeDecodeError):
        return None
    if str(folder) not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PATH"))))
    return script


def _installed() -> dict[str, str]:
    """Return {name: version} of what this Python sees; of two copies the one that is imported."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(KeyError, TypeError, AttributeError):  # a broken dist-info folder
            name, version = distribution.metadata["Name"], distribution.version
            if name and version:
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return found
