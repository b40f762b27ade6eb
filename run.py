#!/usr/bin/env python3
"""Set up and run, with nothing but Python 3.11 or newer.

    python run.py demo          one photo and views of a head become a 3D avatar, in runs/demo
    python run.py test          all tests, the notebooks included (further arguments go to pytest)
    python run.py lab           JupyterLab with the notebooks
    python run.py docs          the executed notebooks and docs/ as a small site, in .venv/site
    python run.py doctor        what this machine can run, and what is missing
    python run.py idf ...       any command of the library; `python run.py idf --help` lists them

The first call makes the folder .venv beside this file, installs the packages into it and fetches
the small face models. Nothing else is touched but the caches of pip and of the models. Later
calls start at once. Delete .venv to begin afresh.

Only the standard library is used here. The file parses on Python 3.6, so that its users are
asked for a newer one.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "idf-setup.json"  # what was done here; without it nothing counts as done
LOG = VENV / "idf-setup.log"  # all that pip printed

TORCH_PIN = "torch==2.13.0"  # without a GPU; `2.13.0+cpu` of the index below wins over `2.13.0`
TORCH_ANY = "torch>=2.6"
MODELS = ("face_landmarks", "person_mask")  # what is downloaded
FACE_MODELS = "face_landmarker float16/1, person_mask 0.1"  # what that brings; in the stamp
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_GB = 3.0  # free disk for a set-up: packages unpacked, and pip's cache of them
NEEDED_GB_CUDA = 12.0

EXTRAS = {"demo": [], "doctor": [], "idf": [], "lab": ["lab"], "docs": ["dev", "diffusion"],
          "test": ["dev", "browser", "diffusion"]}
VENV_HINT = ("on Debian or Ubuntu: sudo apt install python3-venv; elsewhere use the Python of "
             "https://www.python.org/downloads/")


class SetupError(Exception):
    """What could not be done, what was found, what to do; printed without a traceback."""

    def __init__(self, what, found="", do=""):
        lines = [what] + ["  found: " + found] * bool(found) + ["  do:    " + do] * bool(do)
        super().__init__("\n".join(lines))


def note(text):
    """Print a line at once, also where the output goes to a file."""
    print(text, flush=True)


def output_of(command):
    """Return the exit code and all output as text; 127 for a program that does not start."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300)
    except (OSError, subprocess.TimeoutExpired) as err:
        return 127, str(err)
    return done.returncode, done.stdout.decode("utf-8", errors="replace").strip()


def check_python(version, command):
    """Raise SetupError naming a newer Python on this machine, or where to get one."""
    if tuple(version[:2]) >= OLDEST:
        return
    newer = [name for name in (f"python3.{minor}" for minor in range(14, 10, -1))
             if shutil.which(name) and output_of([name, "-c", ""])[0] == 0]
    raise SetupError(
        "This needs Python 3.11 or newer.",
        f"Python {version[0]}.{version[1]} at {sys.executable}",
        f"{newer[0]} run.py {command}" if newer else
        "install one from https://www.python.org/downloads/ and call run.py with it")


# ---- the environment beside this file -----------------------------------------------------------

def venv_python():
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint():
    """Return what changes with the wanted packages, the Python version and this folder's place."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "requirements.txt"):
        digest.update((ROOT / name).read_bytes())
    about = [list(sys.version_info[:2]), platform.machine(), str(ROOT), TORCH_PIN, TORCH_ANY]
    digest.update(json.dumps(about).encode())
    return digest.hexdigest()


def read_stamp():
    """Return the stamp, {} where there is none. Keys: made_here, root, state ("made" |
    "installing" | "ready"), fingerprint, extras, models."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp):
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    os.replace(str(part), str(STAMP))


def is_installed(stamp, extras):
    return (stamp.get("state") == "ready" and stamp.get("fingerprint") == fingerprint()
            and set(extras) <= set(stamp.get("extras", [])) and venv_python().exists())


def why_remake(stamp):
    """Return a reason to throw the environment away, or ""."""
    if not os.path.lexists(str(VENV)):
        return "first call"
    code, version = output_of([str(venv_python()), "-c", "import sys; print(sys.version_info[:2])"])
    if code:
        return "its Python does not run"
    if version != str(tuple(sys.version_info[:2])):
        return f"it belongs to another Python, {version}"
    if stamp.get("root", str(ROOT)) != str(ROOT):
        return "this folder was moved or copied"
    if stamp.get("made_here") and stamp.get("state") == "installing":
        return "its installation was interrupted"
    return ""


def remove_venv(stamp):
    """Remove what run.py made itself, or what an interrupted `python -m venv` left: no files."""
    if not os.path.lexists(str(VENV)):
        return
    ours = stamp.get("made_here") and not VENV.is_symlink()
    if not ours and (VENV.is_symlink() or VENV.is_file()
                     or any(names for _, _, names in os.walk(str(VENV)))):
        raise SetupError(f"{VENV} is in the way: run.py did not make it and cannot use it.", "",
                         "rename or delete it, then call run.py again")
    try:
        shutil.rmtree(str(VENV))
    except OSError as err:
        raise SetupError(f"{VENV} cannot be removed.", str(err), "close the programs that use it "
                         "(Jupyter, an editor), or delete it yourself") from None


def make_venv(system_site):
    """Make an environment with pip in it, marked as ours before anything else happens to it."""
    if not importlib.util.find_spec("venv"):
        raise SetupError("This Python has no `venv` module.", sys.executable, VENV_HINT)
    try:
        VENV.mkdir()
        write_stamp({"made_here": True, "root": str(ROOT), "state": "installing"})
    except OSError as err:
        raise SetupError(f"{ROOT} cannot be written to.", str(err), "clone the repository into a "
                         "folder of your own, or free some disk space") from None
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    code, text = output_of([sys.executable, "-m", "venv", str(VENV)]
                           + ["--system-site-packages"] * system_site
                           + ["--without-pip"] * (not has_ensurepip))
    if code == 0 and not has_ensurepip:  # Debian without python3-venv: its own pip can fill ours
        code, text = output_of([sys.executable, "-m", "pip", "--python", str(venv_python()),
                                "install", "--quiet", "--ignore-installed", "pip"])
    if code:
        raise SetupError(f"The environment {VENV} could not be made.", last_lines(text), VENV_HINT)


# ---- packages -----------------------------------------------------------------------------------

def pip(arguments, before, held):
    """Run pip in the environment: a line for each big download on the terminal, all in the log.

    before: the stamp to put back where pip fails without having changed anything. held: the lock's
    file descriptor (pip keeps it, so that no second set-up starts while an orphaned pip works).
    """
    command = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "--no-input",
               "install", "--progress-bar", "off", "--only-binary", ":all:"] + arguments
    passed = {} if os.name == "nt" else {"pass_fds": (held,)}
    started, tail = False, []
    with open(str(LOG), "a", encoding="utf-8", errors="replace") as log:
        log.write("\n$ " + " ".join(command) + "\n")
        process = subprocess.Popen(command, cwd=str(ROOT), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=dict(os.environ, PIP_USER="0"),
                                   **passed)
        try:
            for raw in process.stdout:
                line = raw.decode("utf-8", errors="replace").rstrip()
                log.write(line + "\n")
                log.flush()
                tail = (tail + [line])[-400:]
                started = started or line.startswith("Installing collected packages")
                if progress(line):
                    note("  " + progress(line))
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    if code:
        if not started:
            write_stamp(before)
        raise diagnose("\n".join(tail))


def progress(line):
    """Return what is worth showing of a line of pip's, else ""."""
    found = re.match(r"\s*(Downloading|Using cached) (\S+\.whl)\S* \(([\d.]+) ([MG]B)\)$", line)
    if found and (found.group(4) == "GB" or float(found.group(3)) >= 5):
        name = re.split(r"[/\\]", found.group(2))[-1].replace("%2B", "+")
        label = "-".join(name.split("-")[:2])
        return f"{found.group(1).lower()} {label} ({found.group(3)} {found.group(4)})"
    found = re.match(r"Installing collected packages: (.*)", line)
    return f"unpacking {found.group(1).count(',') + 1} package(s)" if found else ""


def last_lines(text):
    """Return the last two lines that say ERROR, or the last two."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(([line for line in lines if line.lower().startswith("error")] or lines)[-2:])


def diagnose(text):
    """Return the error for pip's last words, with what to do."""
    found, log = last_lines(text), f"all of pip's words are in {LOG}"
    # PyTorch's extra index may be out of reach without harm
    lines = "\n".join(line for line in text.splitlines() if "/whl/cpu" not in line)
    if re.search(r"No space left on device|Errno 28|not enough space on the disk", lines, re.I):
        return SetupError("The disk is full.", found,
                          f"free {NEEDED_GB:.0f} GB and call run.py again")
    if re.search(r"NewConnectionError|NameResolution|Name or service not known|ConnectTimeout|"
                 r"ConnectionError|Read ?timed? ?out|ProxyError|SSLError|Max retries exceeded|"
                 r"Network is unreachable|Connection refused", lines, re.I):
        return SetupError("The package index cannot be reached.", found,
                          "check the network and pip's settings (pip config list), then call run.py"
                          f" again; what was downloaded is kept; {log}")
    if re.search(r"No matching distribution|Could not find a version", lines):
        here = ".".join(str(n) for n in sys.version_info[:2])
        return SetupError(f"A package has no build for this machine: Python {here}, "
                          f"{platform.system()} {platform.machine()}.", found,
                          "use Python 3.11, 3.12 or 3.13 (64 bit) on Linux, Windows or a Mac with "
                          f"Apple silicon; {log}")
    return SetupError("pip could not install the packages.", found, log)


def nvidia_gpu():
    """Return the first GPU's name as nvidia-smi names it, or ""."""
    code, text = output_of(["nvidia-smi", "-L"]) if shutil.which("nvidia-smi") else (1, "")
    return text.splitlines()[0].split(" (UUID")[0] if code == 0 and "GPU" in text else ""


def torch_there():
    """Return the version of a PyTorch >= 2.6 that the environment's Python imports, else ""."""
    code, text = output_of([str(venv_python()), "-c", "import torch; print(torch.__version__)"])
    found = re.match(r"(\d+)\.(\d+)", text.splitlines()[-1]) if code == 0 and text else None
    new = found and (int(found.group(1)), int(found.group(2))) >= (2, 6)
    return text.splitlines()[-1] if new else ""


def check_disk(needed):
    free = shutil.disk_usage(str(ROOT)).free / 1e9
    if free < needed:
        raise SetupError("There is not enough disk space to set up.",
                         f"{free:.1f} GB free at {ROOT}", f"free {needed:.0f} GB")


def install_torch(before, held):
    """Install PyTorch before the rest, so that nothing else chooses its build.

    Only torch itself may come from PyTorch's own index (`--no-deps`): one page is asked for, and
    where that index cannot be reached pip says so and takes the ordinary one.
    """
    have = torch_there()
    if have:
        return note(f"  keeping PyTorch {have}")
    gpu = nvidia_gpu()
    check_disk(NEEDED_GB_CUDA if gpu else NEEDED_GB)
    if gpu:
        note(f"  {gpu}: taking PyTorch's GPU build (some gigabytes)")
        return pip([TORCH_ANY], before, held)
    linux = platform.system() == "Linux"  # the other systems' ordinary builds have no CUDA in them
    note("  no NVIDIA GPU: taking PyTorch's CPU build")
    pip(["--no-deps", "--retries", "2"] + ["--extra-index-url", TORCH_CPU_INDEX] * linux
        + [TORCH_PIN], before, held)
    _, needs = output_of([str(venv_python()), "-c", "import importlib.metadata as m; "
                          "print(m.requires('torch'))"])
    if linux and re.search("nvidia|cuda", needs):
        note(f"  NOTE: {TORCH_CPU_INDEX} was out of reach or has no build for this\n"
            "  machine, so the ordinary index's build came. It works without a GPU, but now pulls\n"
            "  CUDA libraries of 2 to 3 GB. Ctrl-C to stop and try again on another network.")
        check_disk(NEEDED_GB_CUDA)


# ---- all together -------------------------------------------------------------------------------

@contextlib.contextmanager
def lock():
    """Allow one set-up at a time; the system frees the lock when its holders are dead."""
    name = f"idf-setup-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]}.lock"
    with open(os.path.join(tempfile.gettempdir(), name), "a+") as handle:
        if os.name == "nt":
            import msvcrt
            handle.seek(0)
            attempt = (lambda: msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1),
                       lambda: msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1))
        else:
            import fcntl
            attempt = (lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB),
                       lambda: fcntl.flock(handle, fcntl.LOCK_EX))
        try:
            attempt[0]()
        except OSError:
            note("Another set-up is at work in this folder; waiting for it.")
            attempt[1]()
        yield handle.fileno()


def ensure(extras, models):
    """Bring the environment to where `extras` are installed, and with `models` those too."""
    stamp = read_stamp()
    if is_installed(stamp, extras) and (stamp.get("models") == FACE_MODELS or not models):
        return
    with lock() as held:
        stamp = read_stamp()  # another process may have done it while we waited
        if not is_installed(stamp, extras):
            stamp = install(stamp, extras, held)
        if stamp.get("models") != FACE_MODELS:
            came = all(subprocess.call([str(venv_python()), "-m", "idf_helpers", "download", name])
                       == 0 for name in MODELS)
            stamp["models"] = FACE_MODELS if came else ""
            write_stamp(stamp)
    if models and not stamp["models"]:
        raise SetupError("The face models did not come; without them no face is found.", "",
                         "see the lines above, then call run.py again")
    note("Ready.\n")


def install(stamp, extras, held):
    """Make the environment where it is needed and put the packages in. Return the new stamp."""
    reason = why_remake(stamp)
    if reason:
        if reason != "first call":
            note(f"Making .venv afresh: {reason}.")
        remove_venv(stamp)
        note(f"Setting up {VENV} (some minutes; later calls start at once)")
        has_torch = importlib.util.find_spec("torch") is not None
        make_venv(system_site=has_torch)
        if has_torch and not torch_there():  # it is in another environment, too old, or broken
            shutil.rmtree(str(VENV))
            make_venv(system_site=False)
        stamp = {"made_here": True, "extras": stamp.get("extras", [])}
    wanted = sorted(set(extras) | set(stamp.get("extras", [])))
    done = {"made_here": stamp.get("made_here", False), "root": str(ROOT), "extras": wanted}
    before = stamp if stamp.get("state") == "ready" else dict(done, state="made")
    write_stamp(dict(done, state="installing"))
    install_torch(before, held)
    named = f"[{','.join(wanted)}]" if wanted else ""
    note(f"  installing the packages {named}".rstrip())
    pip(["--editable", "." + named], before, held)
    done.update(state="ready", fingerprint=fingerprint(), models=stamp.get("models", ""))
    write_stamp(done)
    return done


def command_line(name, rest):
    """Return what the environment's Python runs for `run.py name rest...`."""
    python = str(venv_python())
    if name == "idf":
        return [python, "-m", "idf_helpers"] + rest
    if name == "lab":
        first = [b for b in ["notebooks/01_swap.ipynb"] if (ROOT / b).exists()]
        return [python, "-m", "jupyterlab"] + (rest or first)
    if name == "docs":
        return [python, "docs/build.py"] + rest
    if name == "test":
        named = any((ROOT / arg.split("::")[0]).exists() for arg in rest if arg[:1] != "-")
        books = sorted(str(book) for book in Path("notebooks").glob("*.ipynb"))
        return [python, "-m", "pytest", "--nbmake", "--nbmake-timeout=900"] + (
            [] if named else ["tests"] + books) + rest
    return [python, "-m", "idf_helpers", name] + rest


def run(command):
    """Become `command`, or on Windows wait for it; its exit code is ours."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the child got it too and ends by itself
            return process.wait()


def main(arguments):
    name = arguments[0] if arguments else "--help"
    if name not in EXTRAS:
        print(__doc__)
        return 0 if name in ("-h", "--help") else 2
    check_python(sys.version_info, " ".join(arguments))
    os.chdir(str(ROOT))
    ensure(EXTRAS[name], models=name in ("demo", "docs", "test"))
    # Jupyter must take the kernel of this environment, not one that a user once registered.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    if name == "test":  # says which checks run, and fails where a required one cannot
        code = subprocess.call([str(venv_python()), "-m", "idf_helpers.cli.doctor", "--test-tools"])
        if code:
            return code
        os.environ.setdefault("IDF_FAST", "1")  # shorter budgets in notebooks, the same steps
        if "IDF_RUNS" not in os.environ:  # an empty folder for theirs: nothing counts as done
            os.environ["IDF_RUNS"] = str(VENV / "test-runs")
            shutil.rmtree(os.environ["IDF_RUNS"], ignore_errors=True)
    return run(command_line(name, arguments[1:]))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nStopped. The next call starts clean.", file=sys.stderr)
        sys.exit(130)
