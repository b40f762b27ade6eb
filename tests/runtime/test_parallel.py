import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from idf_helpers import IdfError
from idf_helpers.runtime.parallel import pmap

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows both end a process at once


def square(x):
    return x * x


def fail_at_three(x):
    if x == 3:
        raise IdfError("three")
    return x


def die_once(item):
    """Kills its own process the first time it sees the item 2."""
    x, marker = item
    if x == 2 and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), KILL)
    return x


def die_always(x):
    os.kill(os.getpid(), KILL)


@pytest.mark.parametrize("engine", ["serial", "threads", "process"])
def test_order_and_results(engine):
    assert list(pmap(square, range(9), engine)) == [x * x for x in range(9)]


def test_any_executor():
    with ThreadPoolExecutor(2) as pool:
        assert list(pmap(square, range(9), pool)) == [x * x for x in range(9)]
        assert pool.submit(square, 3).result() == 9  # the caller's executor stays open


@pytest.mark.parametrize("engine", ["serial", "threads", "process"])
def test_errors_cross_processes_whole(engine):
    got = []
    with pytest.raises(IdfError, match="three") as caught:
        for x in pmap(fail_at_three, range(9), engine):
            got.append(x)
    assert got == [0, 1, 2] and caught.value.what == "three"


def test_items_are_taken_as_they_are_needed():
    taken = []

    def source():
        for x in range(100):
            taken.append(x)
            yield x

    results = pmap(square, source(), "serial")
    next(results)
    assert len(taken) <= 2


def test_killed_worker_is_replaced(tmp_path):
    items = [(x, str(tmp_path / "died")) for x in range(6)]
    assert list(pmap(die_once, items, "process", workers=1)) == list(range(6))


def test_workers_that_keep_dying_are_reported():
    with pytest.raises(IdfError, match="keep dying"):
        list(pmap(die_always, range(3), "process", workers=1))


# ------------------------------------------------------------------------------------ a cluster

@pytest.fixture(scope="module")
def cluster():
    """Two worker processes of Dask behind a scheduler at an address."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None,
                                  silence_logs=50) as made:
        yield made


def test_a_dask_cluster_by_its_address(cluster):
    address = cluster.scheduler_address
    assert list(pmap(square, range(40), address, window=8)) == [x * x for x in range(40)]
    with pytest.raises(IdfError, match="three"):
        list(pmap(fail_at_three, range(9), address))
    assert list(pmap(square, [5], address)) == [25]  # the cluster is still up


def test_a_dead_worker_of_a_cluster_is_healed(cluster, tmp_path):
    items = [(x, str(tmp_path / "died")) for x in range(6)]
    assert list(pmap(die_once, items, cluster.scheduler_address)) == list(range(6))


def test_no_cluster_at_that_address(monkeypatch):
    pytest.importorskip("distributed")
    with pytest.raises(IdfError, match="No Dask scheduler answers"):
        list(pmap(square, [1], "tcp://127.0.0.1:9"))
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(IdfError, match="needs the package `distributed`"):
        list(pmap(square, [1], "tcp://127.0.0.1:9"))


def test_unknown_engine():
    with pytest.raises(IdfError, match="serial, threads, process"):
        list(pmap(square, [1], "gpu"))
