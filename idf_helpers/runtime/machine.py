"""This machine: processor, memory."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path

import psutil


def machine() -> dict:
    """Return the description of this machine for manifests and benchmarks."""
    return {"system": platform.platform(), "cpus": cpu_count(), "processor": cpu_name()}


def cpu_count() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """Return the processor's name as the system reports it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_rss_mb() -> float:
    """Return the peak resident memory of this process in MB (10^6 bytes)."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    with contextlib.suppress(OSError, ValueError, IndexError):  # Linux; `ru_maxrss` would begin at
        status = Path("/proc/self/status").read_text()         # the peak of the parent process
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def memory_gb() -> tuple[float, float]:
    """Return main memory in 10^9 bytes: all of it, and what programs can still get."""
    memory = psutil.virtual_memory()
    return memory.total / 1e9, memory.available / 1e9
