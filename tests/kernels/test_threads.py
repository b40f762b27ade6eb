"""Threads that share a kernel: items, exceptions, interrupts, sleep, forks, a program's end."""

import _thread
import ast
import os
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
from numba import njit

from idf_helpers.kernels import threads as team
from idf_helpers.kernels.atomics import get_word, pause, set_word
from idf_helpers.kernels.compile import OPTIONS, PACKAGE

pytestmark = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")


@pytest.fixture(autouse=True)
def two_threads():
    before = numba.get_num_threads()
    numba.set_num_threads(2)
    yield
    numba.set_num_threads(before)


@njit(**OPTIONS)
def count_items(done, steps, counter):
    item = team.first_item(counter)
    while item < len(done):
        x = 0.5
        for _ in range(steps):
            x = x * x - 0.7
        done[item] += 1 if x < 2 else 2
        item = team.next_item(counter)


@njit(**OPTIONS)
def meet(met, raising, looks, counter):
    """Two items that wait for each other: each of them needs a thread of its own."""
    item = team.first_item(counter)
    while item < 2:
        set_word(met, item, 1)
        looked = 0
        while get_word(met, 1 - item) != 1 and looked < looks:
            pause()
            looked += 1
        set_word(met, 2 + item, get_word(met, 1 - item))
        if item == raising:
            raise ValueError("this item is wrong")
        item = team.next_item(counter)


def they_meet(raising=-1, tries=20):
    """Whether both items were at work at the same time; a busy machine may need some tries."""
    for _ in range(tries):
        met = np.zeros(4, np.int64)
        team.run_on_threads(meet, met, raising, 20_000_000)
        if met[2:].all():
            return True
    return False


@pytest.mark.parametrize("threads", [1, 2])
def test_every_item_is_done_once(threads):
    numba.set_num_threads(threads)
    done = np.zeros(1000, np.int64)
    for _ in range(300):
        team.run_on_threads(count_items, done, 10)
    np.testing.assert_array_equal(done, 300)


def test_a_helper_takes_part_awake_and_asleep():
    assert they_meet()
    deadline = time.monotonic() + 20
    while not all(h.asleep for t in team._free for h in t.helpers):
        assert time.monotonic() < deadline, "helpers do not go to sleep"
        time.sleep(0.01)
    assert they_meet()


def test_what_one_thread_raises_the_caller_raises():
    for raising in (0, 1) * 10:  # either may be the helper's
        with pytest.raises(ValueError, match="this item is wrong"):
            team.run_on_threads(meet, np.zeros(4, np.int64), raising, 1000)
    assert they_meet()


def test_an_interrupt_waits_for_the_kernel_and_leaves_the_team_in_order():
    done = np.zeros(64, np.int64)
    team.run_on_threads(count_items, done, 10)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        while True:
            done[:] = 0
            team.run_on_threads(count_items, done, 300_000)
    assert set(done) <= {0, 1} and len(set(done)) == 1  # before a run, or after all of its items
    assert they_meet()


def test_python_threads_have_teams_of_their_own():
    done = np.zeros((4, 500), np.int64)

    def work(row):
        numba.set_num_threads(2)
        for _ in range(100):
            team.run_on_threads(count_items, row, 100)

    threads = [threading.Thread(target=work, args=(row,)) for row in done]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(done, 100)
    assert len(team._free) <= 5


PROGRAM = """
import os, sys
import numba
import numpy as np
from tests.kernels.test_threads import team, they_meet
numba.set_num_threads(2)
assert they_meet()
if sys.argv[1] == "fork":
    child = os.fork()
    assert they_meet()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if sys.argv[1] == "error":
    raise SystemExit("the end")
"""


@pytest.mark.parametrize("how", ["return", "error", pytest.param("fork", marks=pytest.mark.skipif(
    not hasattr(os, "fork"), reason="no fork on this system"))])
def test_a_program_ends_with_helpers_awake_and_a_fork_gets_its_own(how):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, how], text=True,
                          capture_output=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(["", *sys.path])})
    assert (done.returncode, done.stderr.strip()) == ((1, "the end") if how == "error"
                                                      else (0, ""))


def test_nothing_follows_the_loop_over_the_items():
    """The calling thread comes out of `first_item` behind the last item: what stood after the loop
    would run on the helpers before the others are done, and on the caller too."""
    def calls(node, name):
        return any(isinstance(c, ast.Call) and getattr(c.func, "id", "") == name
                   for c in ast.walk(node))

    found = 0
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name != "first_item" \
                    and calls(node, "first_item"):
                found += 1
                assert isinstance(node.body[-1], ast.While), f"{file.name}: {node.name}"
                assert calls(node.body[-1], "next_item"), f"{file.name}: {node.name}"
    assert found > 20
