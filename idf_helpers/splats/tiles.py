"""Which Gaussians each tile draws, in depth order.

Only the N visible Gaussians are sorted by depth, not the (tile, Gaussian) pairs: a stable counting
sort by tile of the depth-ordered Gaussians leaves every tile's list in depth order. The depth order
is cut into contiguous parts, each with its own row of counters, so that threads can share the work
and the lists still depend neither on the parts nor on the threads.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel, next_item
from .project import DEPTH, MASK_BITS, touches


@kernel
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
def is_hit(records, bits, i, area, place, tx, ty, tile_w):
    """Whether Gaussian i touches tile (tx, ty), the place-th of its box of `area` tiles."""
    if area <= MASK_BITS:
        return (bits[i] >> place) & 1 == 1
    return touches(records, i, tx, ty, tile_w)


@kernel
def count_pairs(order, records, boxes, bits, tile_w, tiles_x, rows, counter):
    """rows (parts, tiles) int64, zero before: how many Gaussians of each part touch each tile.

    Part p is the p-th of `parts` equal ranges of the depth order.
    """
    n, parts = len(order), len(rows)
    p = next_item(counter)
    while p < parts:
        for k in range(n * p // parts, n * (p + 1) // parts):
            i = order[k]
            x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
            area, place = (x1 - x0) * (y1 - y0), 0
            for ty in range(y0, y1):
                for tx in range(x0, x1):
                    if is_hit(records, bits, i, area, place, tx, ty, tile_w):
                        rows[p, ty * tiles_x + tx] += 1
                    place += 1
        p = next_item(counter)


@kernel
def start_lists(rows, starts):
    """Counts (parts, tiles) -> in place: where each part writes in each tile's list.

    starts (tiles + 1,) int64: tile k = tile_y·tiles_x + tile_x owns [starts[k], starts[k + 1]).
    """
    total = 0
    for tile in range(rows.shape[1]):
        starts[tile] = total
        for p in range(len(rows)):
            rows[p, tile], total = total, total + rows[p, tile]
    starts[rows.shape[1]] = total


@kernel
def fill_lists(order, records, boxes, bits, slot_start, tile_w, tiles_x, rows, ids, slot_of,
               counter):
    """Enters each Gaussian and its gradient slot into the lists of the tiles that it touches.

    ids, slot_of: (pairs,) int32. rows: what `start_lists` left; used up.
    """
    n, parts = len(order), len(rows)
    p = next_item(counter)
    while p < parts:
        for k in range(n * p // parts, n * (p + 1) // parts):
            i = order[k]
            x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
            area, place, slot = (x1 - x0) * (y1 - y0), 0, slot_start[i]
            for ty in range(y0, y1):
                for tx in range(x0, x1):
                    if is_hit(records, bits, i, area, place, tx, ty, tile_w):
                        tile = ty * tiles_x + tx
                        at = rows[p, tile]
                        ids[at], slot_of[at] = i, slot
                        rows[p, tile] = at + 1
                        slot += 1
                    place += 1
        p = next_item(counter)
