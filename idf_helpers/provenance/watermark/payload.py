"""From a run to 32 bits, and from 32 bits to the code that the pattern carries."""

from __future__ import annotations

import hashlib
import zlib
from functools import cache

import numpy as np

from ...errors import IdfError

PAYLOAD_BITS, CHECK_BITS = 32, 16
BITS = PAYLOAD_BITS + CHECK_BITS
# The rate-1/3 code of constraint length 7 with the largest free distance, 15 (Larsen 1973)
GENERATORS, MEMORY = (0o133, 0o145, 0o175), 6
STATES, RATE = 1 << MEMORY, len(GENERATORS)
CODED = BITS * RATE


def payload_of(run_id: str, consent: str = "") -> int:
    """Return the 32-bit payload of what a run made under a consent record.

    run_id: of the run folder. consent: digest of the record, "" where nothing was swapped. Not 0.
    """
    digest = hashlib.sha256(f"idf watermark\n{run_id}\n{consent}".encode()).digest()
    return int.from_bytes(digest[:4], "big") or 1


def payload_text(payload: int) -> str:
    """Return a payload as eight hexadecimal digits, as they are shown."""
    return f"{payload:08x}"


def _check(payload: int) -> int:
    return zlib.crc32(b"idf" + payload.to_bytes(4, "big")) >> (32 - CHECK_BITS)


@cache
def _trellis() -> tuple[np.ndarray, np.ndarray]:
    """Return `previous` (64, 2), the states that lead to each state, and `sent` (64, 2, 3), the
    coded bits as +-1 on those two ways. A state is the last six bits, the newest on top."""
    state = np.arange(STATES)
    previous = ((state[:, None] << 1) & (STATES - 1)) | np.arange(2)
    register = ((state >> (MEMORY - 1)) << MEMORY)[:, None] | previous
    parity = np.array([[[(int(r) & g).bit_count() & 1 for g in GENERATORS] for r in row]
                       for row in register])
    return previous, (1 - 2 * parity).astype(np.float32)


def encode(payload: int) -> np.ndarray:
    """Return the (144,) coded bits of a payload and its check as +-1, float32. The code bites its
    tail: it starts in the state in which it ends, so that no bit is protected worse.

    IdfError where the payload is not one of 32 bits.
    """
    if not 0 <= int(payload) < 2**PAYLOAD_BITS:
        raise IdfError("The watermark carries 32 bits", f"the payload {payload}",
                       "use `payload_of(run_id, consent)`")
    word = int(payload) << CHECK_BITS | _check(int(payload))
    bits = [word >> (BITS - 1 - i) & 1 for i in range(BITS)]
    state = 0
    for bit in bits[-MEMORY:]:
        state = bit << (MEMORY - 1) | state >> 1
    out = []
    for bit in bits:
        register = bit << MEMORY | state
        out += [1 - 2 * ((register & g).bit_count() & 1) for g in GENERATORS]
        state = register >> 1
    return np.asarray(out, np.float32)


def decode(soft: np.ndarray) -> int | None:
    """Return the payload of the likeliest code word, or None where its check fails.

    soft: (144,) real, one reading of each coded bit, its sign the bit's and its size how sure.
    """
    previous, sent = _trellis()
    turns = np.concatenate([soft, soft, soft]).reshape(3 * BITS, RATE)  # the middle turn is read:
    metric = np.zeros(STATES, np.float32)  # by then the unknown first state does not matter
    ways = np.empty((len(turns), STATES), np.int64)
    rows = np.arange(STATES)
    gains = sent @ turns.T.astype(np.float32)  # (64, 2, steps)
    for step in range(len(turns)):
        score = metric[previous] + gains[:, :, step]
        way = (score[:, 1] > score[:, 0]).astype(np.int64)
        ways[step] = previous[rows, way]
        metric = score[rows, way]
    state = int(metric.argmax())
    word = 0
    for step in range(len(turns) - 1, BITS - 1, -1):
        if step < 2 * BITS:
            word |= (state >> (MEMORY - 1)) << (2 * BITS - 1 - step)
        state = int(ways[step, state])
    payload, check = word >> CHECK_BITS, word & ((1 << CHECK_BITS) - 1)
    return payload if check == _check(payload) else None
