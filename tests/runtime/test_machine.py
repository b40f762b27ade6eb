import os
import subprocess
import sys
from pathlib import Path

import pytest

from idf_helpers.runtime import machine


def in_a_process(code):
    return float(subprocess.run([sys.executable, "-c", "import numpy as np\n"
                                 "from idf_helpers.runtime import machine\n" + code],
                                capture_output=True, text=True, check=True).stdout)


def test_peak_memory_is_this_process_own_and_stays_after_the_memory_is_free():
    held = np_ones(300)  # of the parent: its peak must not count for the child
    low = in_a_process("print(machine.peak_rss_mb())")
    high = in_a_process("a = np.ones(25_000_000); del a\nprint(machine.peak_rss_mb())")
    assert low < 250 and held.nbytes == 300_000_000
    assert 180 < high - low < 230  # 200 MB of float64


def np_ones(megabytes):
    import numpy as np
    return np.ones(megabytes * 125_000)


def test_memory_is_the_systems():
    total, free = machine.memory_gb()
    info = Path("/proc/meminfo")
    if not info.is_file():
        pytest.skip("no /proc to compare with")
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in info.read_text().splitlines()}
    assert total == pytest.approx(kilobytes["MemTotal"] * 1024 / 1e9, rel=1e-6)
    assert free == pytest.approx(kilobytes["MemAvailable"] * 1024 / 1e9, abs=1.0) and free < total


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not to be bound here")
def test_only_the_processors_that_this_process_may_use_count():
    code = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    assert in_a_process(code + "print(machine.cpu_count())") == 1
    assert machine.cpu_count() == len(os.sched_getaffinity(0))


def test_what_a_manifest_says():
    about = machine.machine()
    assert about["cpus"] == machine.cpu_count()
    assert sys.platform[:3] in about["system"].lower() or sys.platform == "win32"
    names = Path("/proc/cpuinfo")
    if names.is_file() and "model name" in names.read_text():
        assert about["processor"] in names.read_text()
