"""pmap: one function over many items, on any executor, with errors kept per item.

`fn` must be a module-level function (process pools pickle it) of one item; for threads any
function that several may call at once. Order is kept, at most
`window` items wait in memory, a broken worker pool is replaced and only what was in flight is
done again. A Dask cluster is named by its scheduler's address; its workers must see the same files
under the same paths and have this package. Dask itself gives a dead worker's items to the others.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from typing import Any

from ..errors import IdfError

ENGINES = ("auto", "serial", "threads", "process")
ADDRESSES = ("tcp://", "tls://", "ucx://", "inproc://")  # of Dask schedulers
MAX_POOL_RESTARTS = 3


class SerialExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # KeyboardInterrupt and the like go straight to the caller
            future.set_exception(error)
        return future


_work: Callable[[Any], Any] | None = None  # of this worker process


def _remember(fn) -> None:
    global _work
    _work = fn


def _call(item):
    return _work(item)


def _make(engine: str, workers: int, fn) -> tuple[Executor, Callable[[Any], Any]]:
    """Return the executor, and what to submit to it."""
    if engine in ("auto", "serial"):
        return SerialExecutor(), fn
    if engine == "threads":
        return ThreadPoolExecutor(max(1, workers)), fn
    if engine == "process":
        # spawn: forking a process whose numba or OpenCV threads run can deadlock. The function,
        # which may carry megabytes, is sent once a process.
        return ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn"),
                                   _remember, (fn,)), _call
    if engine.startswith(ADDRESSES):
        return _dask(engine), fn
    raise IdfError(f"There is no parallel engine `{engine}`", engine,
                   f"choose one of: {', '.join(ENGINES)}, or the address of a Dask scheduler "
                   "(tcp://host:8786)")


def _dask(address: str) -> Executor:
    try:
        from distributed import Client
    except ImportError:
        raise IdfError("A Dask cluster needs the package `distributed`", address,
                       'pip install "distributed>=2025.1"') from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise IdfError(f"No Dask scheduler answers at {address}",
                       str(error)[:160] or type(error).__name__,
                       "start one: dask scheduler; dask worker ADDRESS") from None
    executor = client.get_executor(pure=False)
    # Ending the executor ends our connection too; the cluster stays up.
    ended = executor.shutdown

    def shutdown(*args, **kwargs):
        kwargs.pop("cancel_futures", None)  # pmap cancels its own
        ended(*args, **kwargs)
        client.close()

    executor.shutdown = shutdown
    return executor


def pmap(fn: Callable[[Any], Any], items: Iterable, engine: str | Executor = "serial",
         workers: int = 2, window: int | None = None) -> Iterator:
    """Yield fn(item) in the order of `items`; the first error is raised where it stands.

    engine: "serial", "threads", "process", the address of a Dask scheduler, or any
    `concurrent.futures.Executor`; "auto": serial, where the caller does not know better. workers:
    threads or processes (of a cluster: as many as should be kept busy). window: items in flight,
    default 4 per worker. A killed worker breaks a process pool; it is made anew up to
    MAX_POOL_RESTARTS times (an executor of the caller's is not).
    """
    own = isinstance(engine, str)
    pool, call = _make(engine, workers, fn) if own else (engine, fn)
    window = window or (1 if engine in ("auto", "serial") else 4 * max(1, workers))
    waiting: deque[tuple[Any, Future]] = deque()
    source = iter(items)
    restarts = 0
    try:
        while True:
            while len(waiting) < window:
                try:
                    item = next(source)
                except StopIteration:
                    break
                waiting.append((item, _submit(pool, call, item)))
            if not waiting:
                return
            item, future = waiting[0]
            try:
                result = future.result()
            except BrokenExecutor as error:
                if not own or restarts == MAX_POOL_RESTARTS:
                    raise IdfError("Worker processes keep dying", f"{restarts + 1} times; last "
                                   f"item {item}", "use fewer workers: memory may be short"
                                   ) from error
                restarts += 1
                pool.shutdown(wait=False, cancel_futures=True)
                pool, call = _make(engine, workers, fn)
                waiting = deque((i, _submit(pool, call, i)) for i, _ in waiting)
                continue
            except Exception as error:
                if type(error).__name__ != "KilledWorker":  # Dask's, after several tries
                    raise
                raise IdfError("Workers of the cluster keep dying", f"last item {item}"[:200],
                               "see their logs: memory may be short") from error
            waiting.popleft()
            yield result
    finally:
        for _, future in waiting:
            future.cancel()
        if own:
            pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: Executor, fn, item) -> Future:
    try:
        return pool.submit(fn, item)
    except BrokenExecutor as error:  # broken between two items: seen at result()
        future: Future = Future()
        future.set_exception(error)
        return future
