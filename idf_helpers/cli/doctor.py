"""What this machine can run, and what is missing, with the command to get it.

`doctor()` is `idf doctor`. `find_chromium` and `find_node` say where the programs of
the browser and npm checks are; `python -m idf_helpers.cli.doctor --test-tools` prints whether those
checks will run. Importing this module pulls in neither torch nor OpenCV.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..catalogue import DOWNLOADS, OFFERS, STAGES
from ..errors import IdfError
from ..runtime import download
from ..runtime.machine import cpu_count, memory_gb
from ..runtime.registry import Registry
from ..runtime.tables import Table

CV2_WHEELS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python",
              "opencv-contrib-python-headless")
BROWSER_NAMES = ("google-chrome-stable", "google-chrome", "chrome", "chromium", "chromium-browser",
                 "microsoft-edge-stable", "microsoft-edge", "msedge")
BROWSER_PLACES = (  # where an installer puts them outside of PATH
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "{PROGRAMFILES}/Google/Chrome/Application/chrome.exe",
    "{PROGRAMFILES(X86)}/Google/Chrome/Application/chrome.exe",
    "{LOCALAPPDATA}/Google/Chrome/Application/chrome.exe",
    "{PROGRAMFILES(X86)}/Microsoft/Edge/Application/msedge.exe")
PLAYWRIGHT_GLOBS = ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-win*/chrome.exe",
                    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*")


MAIN_JOB = ("swap", "splats")  # its stages


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    group: heading it stands under. name: what was looked at. value: what was found, in words.
    fix: "" where all is well, else what to type or install. essential: without it the main job
    does not run.
    """

    group: str
    name: str
    value: str
    fix: str = ""
    essential: bool = False


@dataclass(frozen=True)
class Tool:
    """Whether the `browser` or `npm` checks can run here.

    path: the program, None where it is missing. reason: why they do not run ("" where they do).
    required: whether IDF_REQUIRE_BROWSER=1 or IDF_REQUIRE_NPM=1 asks for them.
    """

    name: str
    path: str | None
    reason: str
    required: bool


# ---- programs -----------------------------------------------------------------------------------

def find_chromium() -> str | None:
    """Path of a Chromium, Chrome or Edge: $IDF_CHROMIUM, PATH, usual places, Playwright's own.

    IdfError where IDF_CHROMIUM names something that is not there.
    """
    named = os.environ.get("IDF_CHROMIUM")
    if named:
        if not shutil.which(named):
            raise IdfError("IDF_CHROMIUM names no program that can be run", named,
                           "set it to the browser's path, or unset it")
        return shutil.which(named)
    for name in BROWSER_NAMES:
        if shutil.which(name):
            return shutil.which(name)
    for pattern in BROWSER_PLACES:
        place = pattern
        for key in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
            place = place.replace("{" + key + "}", os.environ.get(key, "/nowhere"))
        if Path(place).is_file():
            return place
    home = Path.home()
    for base in (os.environ.get("PLAYWRIGHT_BROWSERS_PATH", ""), home / ".cache/ms-playwright",
                 home / "Library/Caches/ms-playwright", home / "AppData/Local/ms-playwright"):
        for pattern in PLAYWRIGHT_GLOBS if base and Path(base).is_dir() else ():
            found = sorted(Path(base).glob(pattern))
            if found:
                return str(found[-1])
    return None


def find_node() -> str | None:
    """Path of Node.js where npx, which comes with it, is there too."""
    return shutil.which("node") if shutil.which("npx") else None


def find_tool(name: str) -> Tool:
    """Return the state of the "browser" or the "npm" checks. IdfError for another name."""
    if name == "browser":
        found = find_chromium()
        reason = "" if found else "no Chromium, Chrome or Edge found: install one, or set " \
                                  "IDF_CHROMIUM to its path"
        if found and importlib.util.find_spec("playwright") is None:
            reason = "playwright is not installed: python run.py test adds it"
    elif name == "npm":
        found = find_node()
        reason = "" if found else "no Node.js with npx found: https://nodejs.org"
    else:
        raise IdfError("There are no such checks", name, 'ask for "browser" or "npm"')
    required = os.environ.get(f"IDF_REQUIRE_{name.upper()}", "") not in ("", "0")
    return Tool(name, found if not reason else None, reason, required)


def test_tools_report() -> tuple[str, bool]:
    """(a line for each kind of check, whether every required one can run)."""
    tools = [find_tool("browser"), find_tool("npm")]
    lines = [f"{t.name + ' checks':16}" + (
        f"run, with {t.path}" if t.path else
        ("CANNOT RUN but are required: " if t.required else "do not run: ") + t.reason)
        for t in tools]
    return "\n".join(lines), all(t.path or not t.required for t in tools)


# ---- the machine --------------------------------------------------------------------------------

def cv2_owners() -> list[str]:
    """Installed wheels that all put their files into the one folder `cv2`."""
    found = []
    for wheel in CV2_WHEELS:
        try:
            found.append(f"{wheel} {importlib.metadata.version(wheel)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _first_line(command: list[str]) -> str:
    """Return the first line a program prints; "" where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout else ""


def _machine() -> list[Finding]:
    rows = [Finding("machine", "Python", f"{platform.python_version()}, {platform.system()} "
                    f"{platform.machine()}, {sys.executable}"),
            Finding("machine", "cores", str(cpu_count()))]
    memory, free = memory_gb()
    rows.append(Finding("machine", "memory", f"{memory:.1f} GB, {free:.1f} GB free",
                        "close something: the demo takes 1.5 GB" if free < 1.5 else ""))
    free = shutil.disk_usage(os.getcwd()).free / 1e9
    rows.append(Finding("machine", "disk", f"{free:.1f} GB free at {os.getcwd()}",
                        "free some: a run takes up to 0.5 GB" if free < 0.5 else ""))
    gpu = _first_line(["nvidia-smi", "-L"]) if shutil.which("nvidia-smi") else ""
    rows.append(Finding("machine", "NVIDIA GPU", gpu or "none seen; the embedded backends do "
                        "without"))
    return rows


def _packages() -> list[Finding]:
    rows = []
    try:
        import torch
        cuda = f"CUDA {torch.version.cuda}, {torch.cuda.device_count()} device(s)" \
            if torch.cuda.is_available() else "runs on the CPU"
        rows.append(Finding("packages", "PyTorch", f"{torch.__version__}, {cuda}"))
    except (ImportError, OSError) as error:  # OSError: a shared library of it is missing
        rows.append(Finding("packages", "PyTorch", f"does not import: {str(error)[:80]}",
                            "python run.py doctor (sets up), or pip install torch"))
    for name, module in (("numba", "numba"), ("NumPy", "numpy")):
        try:
            rows.append(Finding("packages", name, importlib.import_module(module).__version__))
        except ImportError as error:
            rows.append(Finding("packages", name, f"does not import: {str(error)[:80]}",
                                f"pip install {module}", True))
    owners = cv2_owners()
    try:
        import cv2
        rows.append(Finding(
            "packages", "OpenCV", f"{cv2.__version__}, from {' and '.join(owners) or 'elsewhere'}",
            "" if len(owners) < 2 else f"{len(owners)} wheels share the folder cv2; fine while it "
            "imports. If it breaks: uninstall all of them, then pip install "
            "opencv-python-headless"))
    except ImportError as error:
        rows.append(Finding("packages", "OpenCV", f"does not import: {str(error)[:80]}",
                            "pip install --force-reinstall opencv-python-headless", True))
    return rows


def _programs() -> list[Finding]:
    rows = []
    try:
        from ..data.ffmpeg import ffmpeg_executable
        ffmpeg = ffmpeg_executable()
        said = _first_line([ffmpeg, "-version"]).split(" Copyright")[0]
        rows.append(Finding("programs", "ffmpeg", f"{said}, {ffmpeg}"))
    except (IdfError, ImportError) as error:
        rows.append(Finding("programs", "ffmpeg", "none: no video can be written",
                            getattr(error, "do", "") or "pip install imageio-ffmpeg", True))
    try:
        rows.append(Finding("programs", "pycolmap", importlib.metadata.version("pycolmap")))
    except importlib.metadata.PackageNotFoundError:
        rows.append(Finding("programs", "pycolmap", "none: idf capture finds cameras by the face "
                            "alone, where it is seen", "pip install pycolmap"))
    for name, tool, path in (("Chromium", find_tool("browser"), find_chromium()),
                             ("Node.js", find_tool("npm"), find_node())):
        version = _first_line([path, "--version"]) if path else ""
        rows.append(Finding("programs", name, f"{version}, {path}" if path else
                            f"none; only the {tool.name} checks of the tests want it", tool.reason))
    return rows


def _models() -> list[Finding]:
    here = {name for name, model in DOWNLOADS.items() if download.is_present(model)}
    rows = [Finding("models", name, f"{'here' if name in here else 'not here'}: {model.purpose}",
                    "" if name in here else f"idf download {name}", name == "face_landmarks")
            for name, model in DOWNLOADS.items() if name in here or name == "face_landmarks"]
    others = [name for name in DOWNLOADS if name not in {row.name for row in rows}]
    return rows + [Finding("models", "to be had", ", ".join(others) + "; sizes and licenses: "
                           "idf download")] * bool(others)


def _backends() -> list[Finding]:
    rows = []
    for stage, methods in STAGES.items():
        rows += [Finding("backends", f"{stage} {status.name}",
                         ("cannot run: " if status.missing else "ready: ") + status.summary,
                         status.missing) for status in methods.available()]
        if not methods.automatic:
            continue
        try:
            chosen, why = methods.choose(offers=OFFERS)
            rows.append(Finding("backends", f"{stage} auto", f"takes {why}"))
        except IdfError as error:
            rows.append(Finding("backends", f"{stage} auto", "nothing can run",
                                error.found or error.do, stage in MAIN_JOB))
    return rows


def findings() -> list[Finding]:
    """Everything looked at, in the order of the report. Takes some seconds (imports torch)."""
    return _machine() + _packages() + _programs() + _models() + _backends()


def report(rows: list[Finding]) -> str:
    """Return the findings as text: a line each, the remedy below it, the verdict last."""
    lines, group = [], ""
    width = max(len(row.name) for row in rows)
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", group] if lines else [group]
        lines.append(f"  {row.name:{width}}  {row.value}")
        if row.fix:
            lines.append(f"  {'':{width}}  -> {row.fix}")
    lacking = [row.name for row in rows if row.fix and row.essential]
    return "\n".join([*lines, "", *_verdict(lacking)])


def summary() -> str:
    """Return one screen: the machine, what each stage takes here, and what to do."""
    rows = _machine() + _packages() + _programs()
    lines = [f"{group:9} " + ", ".join(f"{r.name} {_brief(r.value)}" for r in rows
                                        if r.group == group)
             for group in dict.fromkeys(r.group for r in rows)]
    table, lacking = [], []
    for stage, methods in STAGES.items():
        ready = [s.name for s in methods.available() if not s.missing]
        absent = [s.name for s in methods.available() if s.missing]
        takes = _taken(methods)
        table.append({"stage": stage, "takes": takes or ("nothing" if methods.automatic else "-"),
                      "also ready": _shortened([n for n in ready if n != takes]),
                      "not here": _shortened(absent)})
        if not takes and stage in MAIN_JOB:
            lacking.append(f"a method for {stage}")
    rows += [r for r in _models() if r.essential]
    lacking += [r.name for r in rows if r.fix and r.essential]
    todo = [f"  {r.name}: {r.value}\n    -> {r.fix}" for r in rows if r.fix
            and (r.essential or r.group != "programs")]
    return "\n".join([*lines, "", str(Table(table)), "", *todo, *_verdict(lacking),
                      "`idf doctor --all` says what each method is and what it lacks."])


def _brief(value: str) -> str:
    """Return the version in a finding's words, or the size, or its first words."""
    found = re.search(r"\d+\.\d+(\.\d+)*( GB( free)?)?", value)
    return found.group() if found else re.split("[,;:]", value)[0]


def _taken(methods: Registry) -> str:
    """Return the name of what `auto` takes, "" where nothing can run or there is no `auto`."""
    try:
        return methods.choose(offers=OFFERS)[0].name if methods.automatic else ""
    except IdfError:
        return ""


def _shortened(names: list[str]) -> str:
    """Return the names, those of one family as one: "ghost, onnx:… (11)"."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.split(":")[0].split("_")[0], []).append(name)
    return ", ".join(members[0] if len(members) == 1 else f"{family}… ({len(members)})"
                     for family, members in families.items())


def _verdict(lacking: list[str]) -> list[str]:
    return ["The main job can run here." if not lacking else
            f"The main job cannot run here yet; missing: {', '.join(lacking)}."]


def doctor(all: bool = False) -> None:
    """Print what this machine can run, and what is missing, with the command to get it.

    Args:
        all: say of each method what it is and what it lacks.
    """
    print(report(findings()) if all else summary())


if __name__ == "__main__":
    if sys.argv[1:] == ["--test-tools"]:
        said, can_run = test_tools_report()
        print(said, flush=True)
        sys.exit(0 if can_run else 2)
    doctor()
