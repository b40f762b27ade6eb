"""Threads that share a kernel: `run_on_threads` for its caller, two functions for its body.

    @kernel
    def double(values, counter):
        item = first_item(counter)
        while item < len(values):
            values[item] *= 2
            item = next_item(counter)

    run_on_threads(double, values)

Handing work over through Python takes some tenths of a millisecond: the other thread has to wake
up, to wait for the interpreter's lock and to unpack the arguments; a training does it ten times an
iteration. Here the calling thread unpacks the arguments once, and helpers fetch them from memory in
compiled code, where they look for work for some milliseconds before they go to sleep. They nap
between two looks once a wait gets long: spinning would take the processor from those they wait for.
(Nor do they yield it: a thread that yields goes behind all others for a time slice, milliseconds.)

The calling thread takes part itself and never waits for a helper that has not begun, so that a busy
machine costs no more than its share. It waits for the others in compiled code, so that no
KeyboardInterrupt leaves a helper behind with arrays that are gone. (numba's own `prange` would also
do, but: it hands out equal parts beforehand, compiles slowly, and on some systems ends the process
when two Python threads use it at once.)
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
import time
import weakref

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .atomics import add_word, call_address, get_word, pause, set_word
from .compile import inner, kernel
from .numba_private import RETCODE_NONE, RETCODE_OK, cgutils, num_threads

# Words of a counter. What many threads write has a cache line of 8 words to itself.
NEXT = 0  # the next item
GATE = 8  # OPEN while a job is to be had, plus the number of helpers in it
CALLING = 16  # 1: the calling thread has not yet come to its `first_item`
NUMBER, WANTED = 17, 18  # of the job, counted up; helpers it may have
CODE, ARGUMENTS = 19, 20  # addresses of its function and arguments
STATUS, EXCEPTION = 21, 22  # of a helper that failed: return code, address of the exception
LEAVE = 23  # 1: the helpers end
SPINS = 24  # looks at a word before a waiting thread naps between two looks
NAP, NAP_TIME = 25, 26  # address and argument of the system's function for that
WORDS = 32
OPEN = 1 << 40  # more than there are helpers
NOTHING_LEFT = 1 << 40  # beyond all items, yet far from overflow where a kernel multiplies it

SPIN_S = 150e-6  # how long a thread that waits keeps its processor: most waits are shorter
NAP_US = 50  # then it looks again after so many microseconds, or some more
NAPS = 20  # naps of a helper before it sleeps until it is woken


# --- in a kernel ----------------------------------------------------------------------------------

@inner
def next_item(counter):
    """Return the next item, counted up as one atomic step: hands out work to threads.

    Which thread gets an item does not change what is computed for it.
    """
    return add_word(counter, NEXT, 1)


@intrinsic
def first_item(typingctx, counter):
    """Return the first item, and where helpers are called in. It stands in the kernel itself, not
    in a function that it calls, and nothing comes after the loop over the items.

    The calling thread leaves the kernel's arguments in memory, opens the job, runs the kernel again
    from its beginning as every helper does, closes the job, waits until the last helper is out, and
    then finds NOTHING_LEFT here. Raises what a helper raised.
    """
    def codegen(context, builder, signature, args):
        function, (counter_type,) = builder.function, signature.args
        own = function.args[2:]  # before them: where the result goes, and an exception
        packed_type = ir.LiteralStructType([a.type for a in own])
        packed = cgutils.alloca_once(builder, packed_type)
        item = cgutils.alloca_once_value(builder, ir.IntType(64)(NOTHING_LEFT))

        def compiled(helper, result, *more):
            return context.compile_internal(
                builder, helper, result(counter_type, *[types.int64] * len(more)), (args[0], *more))

        calling = compiled(_is_calling, types.boolean)
        with builder.if_else(calling) as (caller, worker):
            with caller:
                for k, a in enumerate(_borrowed(own)):
                    builder.store(a, cgutils.gep_inbounds(builder, packed, 0, k))
                again = _again(builder, packed_type)
                compiled(_open_job, types.void, builder.ptrtoint(again, ir.IntType(64)),
                         builder.ptrtoint(packed, ir.IntType(64)))
                code = builder.call(again, [packed, function.args[1]])
                compiled(_close_job, types.void)
                with _if_failed(builder, code):
                    builder.ret(code)
                status = compiled(_status, types.int64)
                code = builder.trunc(status, ir.IntType(32))
                with _if_failed(builder, code):
                    place = function.args[1]
                    exception = compiled(_exception, types.int64)
                    builder.store(builder.inttoptr(exception, place.type.pointee), place)
                    builder.ret(code)
            with worker:
                builder.store(compiled(_next, types.int64), item)
        return builder.load(item)
    return types.int64(counter), codegen


def _again(builder, packed_type):
    """`i32 again(packed*, exception**)`: calls the function that is being compiled with arguments
    from memory. Returns numba's return code."""
    function = builder.function
    exception = function.args[1].type
    again = ir.Function(builder.module, ir.FunctionType(
        ir.IntType(32), [packed_type.as_pointer(), exception]), f"{function.name}.again")
    again.linkage = "internal"
    body = ir.IRBuilder(again.append_basic_block("entry"))
    own = [body.load(cgutils.gep_inbounds(body, again.args[0], 0, k))
           for k in range(len(packed_type.elements))]
    nothing = body.alloca(function.args[0].type.pointee)  # the result: None
    body.ret(body.call(function, [nothing, again.args[1], *own], attrs=("noinline",)))
    return again


def _borrowed(own):
    """Return the arguments with no owner for their arrays: numba then leaves out counting
    references to them. All threads would count in the same place, and one kernel took five times
    its time so."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(64)
    array = [byte, byte, number, number]  # numba's: owner, parent, items, bytes of one; data, …
    kinds = [a.type for a in own]
    return [byte(None) if kinds[k:k + 4] == array and isinstance(kinds[k + 4], ir.PointerType)
            else a for k, a in enumerate(own)]


def _if_failed(builder, code):
    return cgutils.if_unlikely(builder, builder.not_(builder.or_(
        builder.icmp_signed("==", code, RETCODE_OK),
        builder.icmp_signed("==", code, RETCODE_NONE))))


def _is_calling(words):
    return get_word(words, CALLING) == 1


def _next(words):
    return add_word(words, NEXT, 1)


def _status(words):
    return get_word(words, STATUS)


def _exception(words):
    return get_word(words, EXCEPTION)


def _open_job(words, code, arguments):
    set_word(words, CALLING, 0)
    set_word(words, STATUS, 0)
    set_word(words, CODE, code)
    set_word(words, ARGUMENTS, arguments)
    add_word(words, NUMBER, 1)
    add_word(words, GATE, OPEN)


def _close_job(words):
    add_word(words, GATE, -OPEN)
    looks = 0
    while get_word(words, GATE) != 0:  # a helper that comes too late goes out at once
        looks = wait(words, looks)


# --- in a helper ----------------------------------------------------------------------------------

@inner
def wait(words, looks):
    """Between two looks at a word: hardly anything, after many looks a nap. Returns looks + 1."""
    if looks < get_word(words, SPINS):
        pause()
    else:
        call_address(get_word(words, NAP), get_word(words, NAP_TIME))
    return looks + 1


@intrinsic
def _do_job(typingctx, words, code, arguments):
    """Call the function of a job; returns numba's return code and the address of an exception."""
    def codegen(context, builder, signature, args):
        byte = ir.IntType(8).as_pointer()
        again = ir.FunctionType(ir.IntType(32), [byte, byte.as_pointer()]).as_pointer()
        exception = cgutils.alloca_once(builder, byte, zfill=True)
        code = builder.call(builder.inttoptr(args[1], again),
                            [builder.inttoptr(args[2], byte), exception])
        failed = builder.alloca(ir.IntType(64))
        builder.store(ir.IntType(64)(0), failed)
        with _if_failed(builder, code):
            builder.store(builder.sext(code, ir.IntType(64)), failed)
        return context.make_tuple(builder, signature.return_type, [
            builder.load(failed), builder.ptrtoint(builder.load(exception), ir.IntType(64))])
    return types.UniTuple(types.int64, 2)(words, code, arguments), codegen


@kernel
def _help(words, me, seen, looks):
    """Take part in jobs newer than number `seen` until `looks` looks in a row find none.

    Returns the number of the last one. me: this helper's number, from 0.
    """
    looked = 0
    while looked < looks and get_word(words, LEAVE) == 0:
        if get_word(words, GATE) >= OPEN and get_word(words, NUMBER) != seen and (
                me < get_word(words, WANTED)):
            if add_word(words, GATE, 1) >= OPEN:  # in; until we are out the job stays as it is
                seen, looked = get_word(words, NUMBER), 0
                if me < get_word(words, WANTED):
                    status, exception = _do_job(words, get_word(words, CODE),
                                                get_word(words, ARGUMENTS))
                    if status != 0:
                        set_word(words, EXCEPTION, exception)
                        set_word(words, STATUS, status)
            add_word(words, GATE, -1)
        looked = wait(words, looked)
    return seen


# --- the threads ----------------------------------------------------------------------------------

class _Helper:
    """A thread that takes part in the jobs of a team."""

    def __init__(self, words: np.ndarray, me: int):
        self.asleep = False
        self._bell = threading.Lock()
        self._bell.acquire()
        # A daemon: whoever ends the program need not know of it (`_dismiss` ends it properly).
        self._thread = threading.Thread(target=self._run, args=(words, me), daemon=True,
                                        name=f"idf-kernels-{me}")
        self._thread.start()

    def _run(self, words, me) -> None:
        seen, looks = 0, words[SPINS] + NAPS
        while not words[LEAVE]:
            seen = _help(words, me, seen, looks)
            self.asleep = True  # from now on the bell is rung
            seen = _help(words, me, seen, 1)  # a job that was opened just before
            self._bell.acquire()

    def wake(self) -> None:
        if self.asleep:
            self.asleep = False
            self._bell.release()

    def join(self) -> None:
        self._thread.join(1.0)


class Team:
    """A counter and the helpers that look at it; serves one calling thread at a time."""

    def __init__(self):
        self.words = _words()
        self.words[SPINS] = _spins()
        self.words[NAP], self.words[NAP_TIME] = _nap()
        self.helpers: list[_Helper] = []
        # also at the end of the program: a thread in compiled code then would not end cleanly
        self._end = weakref.finalize(self, _dismiss, self.words, self.helpers)

    def run(self, compiled, args, threads: int) -> None:
        """Run compiled(*args, words) on the calling thread and threads - 1 helpers."""
        while len(self.helpers) < threads - 1:
            self.helpers.append(_Helper(self.words, len(self.helpers)))
        self.words[NEXT] = 0
        self.words[WANTED] = threads - 1
        self.words[CALLING] = 1
        for helper in self.helpers[:threads - 1]:
            helper.wake()
        compiled(*args, self.words)


def _words() -> np.ndarray:
    """Return zeros that begin at a cache line."""
    memory = np.zeros(WORDS + 8, np.int64)
    skip = -memory.ctypes.data % 64 // 8
    return memory[skip:skip + WORDS]


def _nap() -> tuple[int, int]:
    """Return the address of a C function that lets other threads run, and its argument."""
    if sys.platform == "win32":  # Sleep(1) would take up to 16 ms
        return ctypes.cast(ctypes.WinDLL("kernel32").Sleep, ctypes.c_void_p).value, 0
    return ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value, NAP_US


@functools.cache
def _spins() -> int:
    """Return how many looks for work take SPIN_S."""
    words, count, best = _words(), 200, np.inf
    words[SPINS] = count
    _help(words, 0, 0, 1)  # compiled or loaded
    for _ in range(20):  # so short that some are not interrupted, however busy the machine is
        began = time.perf_counter()
        _help(words, 0, 0, count)
        best = min(best, time.perf_counter() - began)
    return int(count * SPIN_S / best)


def _dismiss(words: np.ndarray, helpers: list[_Helper]) -> None:
    words[LEAVE] = 1
    for helper in helpers:
        helper.wake()
    for helper in helpers:
        helper.join()


_free: list[Team] = []  # those without work: as many as have ever been at work at the same time
if hasattr(os, "register_at_fork"):
    # A fork has none of the threads, and a copy of the words that a helper may have been changing.
    os.register_at_fork(after_in_child=_free.clear)


def run_on_threads(compiled, *args) -> None:
    """Run compiled(*args, counter) on numba.get_num_threads() threads that share one counter.

    compiled: a kernel that takes its items from `first_item(counter)` and `next_item(counter)`.
    """
    threads = num_threads()
    if threads == 1:
        alone = np.zeros(WORDS, np.int64)
        alone[CALLING] = 1
        compiled(*args, alone)
        return
    try:
        team = _free.pop()
    except IndexError:
        team = Team()
    try:
        team.run(compiled, args, threads)
    finally:
        _free.append(team)
