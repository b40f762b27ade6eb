"""What this machine is: processor, memory. Standard library alone."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path


def machine() -> dict:
    """What a manifest and a benchmark say of where they were made."""
    return {"system": platform.platform(), "cpus": cpu_count(), "processor": cpu_name()}


def cpu_count() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else \
        (os.cpu_count() or 1)


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_rss_mb() -> float:
    """Peak resident memory of this process, MB (10^6 bytes)."""
    if sys.platform == "win32":
        return _peak_working_set() / 1e6
    with contextlib.suppress(OSError, ValueError, IndexError):  # Linux; `ru_maxrss` would begin at
        status = Path("/proc/self/status").read_text()         # the peak of the parent process
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _peak_working_set() -> int:
    """Bytes; of Windows."""
    import ctypes

    class Counters(ctypes.Structure):  # PROCESS_MEMORY_COUNTERS of psapi.h
        _fields_ = [("size", ctypes.c_ulong), ("faults", ctypes.c_ulong)] + [
            (n, ctypes.c_size_t) for n in ("peak", "now", "a", "b", "c", "d", "e", "f")]

    kernel, counters = ctypes.WinDLL("kernel32"), Counters(size=ctypes.sizeof(Counters))
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo(ctypes.c_void_p(kernel.GetCurrentProcess()),
                                   ctypes.byref(counters), counters.size)
    return counters.peak


def memory_gb() -> tuple[float, float] | None:
    """(total, free for use) main memory in 10^9 bytes; None where the system does not say."""
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):  # MEMORYSTATUSEX of kernel32
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (n, ctypes.c_ulonglong) for n in ("total", "free", "a", "b", "c", "d", "e")]
        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status.total / 1e9, status.free / 1e9
    try:
        page, total = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else 0
        try:  # caches that the system would give up count as free
            words = Path("/proc/meminfo").read_text().split()
            return page * total / 1e9, int(words[words.index("MemAvailable:") + 1]) * 1024 / 1e9
        except (OSError, ValueError):
            return page * total / 1e9, page * free / 1e9
    except (OSError, ValueError):
        return None
