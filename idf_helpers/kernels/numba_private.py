"""Everything of numba that its documentation does not promise, in one place.

A new numba release can change any of it. The requirement therefore has an upper bound, and
`tests/kernels/test_numba_private.py` says in one line what has moved.
"""

from __future__ import annotations

import functools

import numba
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE, RETCODE_OK
from numba.np.ufunc import parallel

__all__ = ["RETCODE_NONE", "RETCODE_OK", "cgutils", "num_threads", "set_source_stamp"]


def set_source_stamp(dispatcher, stamp: tuple[str, ...]) -> None:
    """Replace what numba compares to decide whether cached machine code is still good.

    dispatcher: of `njit(cache=True)`. Where caching is off there is nothing to replace.
    """
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = stamp


@functools.cache
def _counted_by():
    numba.get_num_threads()  # starts numba's threads
    return getattr(parallel, "_get_num_threads", numba.get_num_threads)


def num_threads() -> int:
    """Return `numba.get_num_threads()` without the lock between processes that it takes at every
    call, which costs more than handing over a kernel."""
    return _counted_by()()
