"""pmap: one function over many items, on any executor, with errors kept per item.

`fn` must be a module-level function (process pools pickle it) of one item. Order is kept, at most
`window` items wait in memory, a broken worker pool is replaced and only what was in flight is
done again.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from .errors import IdfError

ENGINES = ("serial", "process")
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


def _make(engine: str, workers: int) -> Executor:
    if engine == "serial":
        return SerialExecutor()
    if engine == "process":
        # spawn: forking a process whose numba or OpenCV threads run can deadlock
        return ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn"))
    raise IdfError(f"There is no parallel engine `{engine}`", engine,
                   f"choose one of: {', '.join(ENGINES)}")


def pmap(fn: Callable[[Any], Any], items: Iterable, engine: str | Executor = "serial",
         workers: int = 2, window: int | None = None) -> Iterator:
    """Yields fn(item) in the order of `items`; the first error is raised where it stands.

    engine: "serial", "process" or any `concurrent.futures.Executor`. workers: processes.
    window: items in flight, default 4 per worker. A killed worker breaks a process pool; it is
    made anew up to MAX_POOL_RESTARTS times (an executor of the caller's is not).
    """
    own = isinstance(engine, str)
    pool = _make(engine, workers) if own else engine
    window = window or (1 if engine == "serial" else 4 * max(1, workers))
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
                waiting.append((item, _submit(pool, fn, item)))
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
                pool = _make(engine, workers)
                waiting = deque((i, _submit(pool, fn, i)) for i, _ in waiting)
                continue
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
