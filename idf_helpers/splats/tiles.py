"""Which Gaussians each tile draws, in depth order.

Only the N visible Gaussians are sorted by depth, not the (tile, Gaussian) pairs: a stable counting
sort by tile of the depth-ordered Gaussians leaves every tile's list in depth order. Each thread
owns a contiguous range of the depth order and its own row of counters, so the lists do not depend
on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .jit import inner, kernel
from .project import DEPTH, MASK_BITS, touches


@kernel()
def depth_order(records, hits, slot_start):
    """Indices of the drawn Gaussians, near to far (ties: by index), int32.

    Also fills slot_start (N + 1,) int64, the exclusive prefix sum of `hits`: slots
    slot_start[i] … slot_start[i + 1] - 1 are Gaussian i's own places, one for each tile it touches.

    Positive floats sort like their bits read as integers: three stable counting passes over 11, 11
    and 10 bits, least significant first. A pass whose digit is the same everywhere is skipped.
    """
    n = len(hits)
    bits = records[:, DEPTH].copy().view(np.uint32)
    keys, out = np.empty(n, np.uint64), np.empty(n, np.uint64)  # depth << 32 | index
    digits = np.zeros((3, 2048), np.int64)
    count = 0
    slot_start[0] = 0
    for i in range(n):
        slot_start[i + 1] = slot_start[i] + hits[i]
        if hits[i] > 0:
            b = bits[i]
            keys[count] = (np.uint64(b) << np.uint64(32)) | np.uint64(i)
            digits[0, b & 2047] += 1
            digits[1, (b >> 11) & 2047] += 1
            digits[2, b >> 22] += 1
            count += 1
    for p in range(3):
        if digits[p].max() == count:
            continue
        total = 0
        for d in range(2048):
            total, digits[p, d] = total + digits[p, d], total
        shift, mask = np.uint64(32 + 11 * p), np.uint64(2047)
        for k in range(count):
            d = (keys[k] >> shift) & mask
            out[digits[p, d]] = keys[k]
            digits[p, d] += 1
        keys, out = out, keys
    order = np.empty(count, np.int32)
    for k in range(count):
        order[k] = np.int32(keys[k] & np.uint64(0xFFFFFFFF))
    return order


@inner
def visit_tiles(i, records, boxes, bits, tile_w, tiles_x, slot, row, scatter, tile_ids, tile_slots):
    """For each tile that Gaussian i touches: count it in row, or (scatter) enter i and its slot."""
    x0, x1, y0, y1 = boxes[i]
    wide = x1 - x0
    area = wide * (y1 - y0)
    place = 0
    for ty in range(y0, y1):
        for tx in range(x0, x1):
            if area <= MASK_BITS:
                hit = (bits[i] >> place) & 1 == 1
            else:
                hit = touches(records[i], tx, ty, tile_w)
            place += 1
            if hit:
                tile = ty * tiles_x + tx
                if scatter:
                    tile_ids[row[tile]] = i
                    tile_slots[row[tile]] = slot
                    slot += 1
                row[tile] += 1


@kernel(parallel=True)
def tile_lists(order, records, boxes, bits, slot_start, tile_w, tiles_x, tiles_y, threads):
    """Lists of all tiles, one after the other.

    Returns starts (tiles + 1,) int64, Gaussian ids (pairs,) int32 and gradient slots (pairs,)
    int32; tile k = tile_y·tiles_x + tile_x owns [starts[k], starts[k + 1]).
    """
    tiles, n = tiles_x * tiles_y, len(order)
    pairs = slot_start[-1]
    rows = np.zeros((threads, tiles), np.int64)
    ids, slots = np.empty(pairs, np.int32), np.empty(pairs, np.int32)
    for t in prange(threads):
        for k in range(n * t // threads, n * (t + 1) // threads):
            visit_tiles(order[k], records, boxes, bits, tile_w, tiles_x, 0, rows[t], False, ids,
                        slots)
    starts = np.empty(tiles + 1, np.int64)
    total = 0
    for tile in range(tiles):
        starts[tile] = total
        for t in range(threads):
            rows[t, tile], total = total, total + rows[t, tile]
    starts[tiles] = total
    for t in prange(threads):
        for k in range(n * t // threads, n * (t + 1) // threads):
            i = order[k]
            visit_tiles(i, records, boxes, bits, tile_w, tiles_x, slot_start[i], rows[t], True, ids,
                        slots)
    return starts, ids, slots
