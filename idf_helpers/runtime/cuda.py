"""What CUDA methods need of a machine, found without importing torch; and running out of memory.

Each question answers None, or one line: what is missing and the command that gets it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import IdfError


def find_package(name: str):
    """Return a package's import spec without importing it; None where it is not there."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def torch_cuda() -> str | None:
    """Return the CUDA version that the installed torch was built for ("12.8"); None: without
    CUDA, or no torch. Read from its version file, because importing torch takes seconds."""
    spec = find_package("torch")
    if spec is None or not spec.origin:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text()
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.M)
    return found[1] if found else None


def gpu_count() -> int:
    """Return how many NVIDIA GPUs this process may use. Asks the driver's management
    library, which, unlike CUDA itself, leaves no state behind in this process."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None and allowed.strip() in ("", "-1", "NoDevFiles"):
        return 0
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        count = ctypes.c_uint(0)
        if nvml.nvmlInit_v2() != 0:
            return 0
        try:
            return count.value if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else 0
        finally:
            nvml.nvmlShutdown()
    except (OSError, AttributeError):  # no driver, or one from before 2012
        return 0


def find_nvcc() -> Path | None:
    """Return CUDA's compiler where torch would look for it: $CUDA_HOME, $CUDA_PATH, PATH,
    /usr/local/cuda."""
    name = "nvcc.exe" if sys.platform == "win32" else "nvcc"
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home:  # torch takes the first that is set, and looks no further
            found = Path(home) / "bin" / name
            return found if found.is_file() else None
    if shutil.which("nvcc"):
        return Path(shutil.which("nvcc"))
    found = Path("/usr/local/cuda/bin/nvcc")
    return found if found.is_file() else None


def nvcc_version(nvcc: Path) -> str:
    """Return nvcc's release ("12.8"), "" where it does not run."""
    try:
        done = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"release (\d+\.\d+)", done.stdout)
    return found[1] if found else ""


def find_host_compiler() -> str | None:
    """Return the C++ compiler that nvcc calls: $CXX, c++, g++, clang++, on Windows cl."""
    names = ["cl"] if sys.platform == "win32" else ["c++", "g++", "clang++"]
    for name in ([os.environ["CXX"]] if os.environ.get("CXX") else names):
        if shutil.which(name.split()[0]):
            return name
    return None


def lacks_gpu() -> str | None:
    """Return what is missing for torch to compute on a GPU."""
    if find_package("torch") is None:
        return "torch is not installed: pip install torch"
    if gpu_count() == 0:
        return "no NVIDIA GPU is visible: see nvidia-smi; on Colab Runtime > Change runtime type"
    if torch_cuda() is None:
        return ("the installed torch is without CUDA: pip install --force-reinstall torch "
                "--index-url https://download.pytorch.org/whl/cu128")
    return None


def lacks_compiler() -> str | None:
    """Return what is missing to compile CUDA code that fits the installed torch."""
    wanted = torch_cuda() or "12"
    nvcc = find_nvcc()
    get = f"conda install -c nvidia cuda-toolkit={wanted}, or https://developer.nvidia.com/" \
          "cuda-toolkit-archive, then set CUDA_HOME"
    if nvcc is None:
        home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
        where = f" in CUDA_HOME={home}" if home else ""
        return f"CUDA's compiler nvcc is missing{where}: {get}"
    has = nvcc_version(nvcc)
    if not has:
        return f"{nvcc} does not run: {get}"
    if has.split(".")[0] != wanted.split(".")[0]:  # torch refuses another major version
        return f"nvcc is of CUDA {has}, torch of CUDA {wanted}: {get}"
    if find_host_compiler() is None:
        return "a C++ compiler is missing: " + (
            "install Visual Studio's C++ build tools" if sys.platform == "win32" else
            "apt install g++, or conda install -c conda-forge cxx-compiler")
    return None


def lacks_gsplat() -> str | None:
    """Return what is missing for gsplat to run. It compiles its kernels at the first call (some
    minutes) unless a wheel with compiled ones is installed; those in torch's cache are only
    taken where nvcc is found (gsplat 1.5.3, gsplat/cuda/_backend.py)."""
    lack = lacks_gpu()
    if lack:
        return lack
    spec = find_package("gsplat")
    if spec is None or not spec.origin:
        return 'gsplat is not installed: pip install "gsplat>=1.5"'
    if list(Path(spec.origin).parent.glob("csrc*.*")):  # compiled: csrc.so or csrc.pyd
        return None
    lack = lacks_compiler()
    return lack and (f"gsplat compiles its kernels, but {lack}; or take a compiled wheel from "
                     "https://docs.gsplat.studio/whl")


def out_of_memory(doing: str, gaussians: int, width: int, height: int) -> IdfError:
    """Return the error after half the work did not fit either, with the numbers."""
    import torch

    found = f"{gaussians} Gaussians, {width} x {height} pixels"
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found += (f"; GPU of {total / 1e9:.1f} GB, {free / 1e9:.1f} GB free, "
                  f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB used at most by this process")
    return IdfError(f"The GPU's memory is too small for {doing}, even for half the work", found,
                    "use a smaller --resolution or fewer Gaussians, or close what else uses it")
