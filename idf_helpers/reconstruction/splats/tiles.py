"""Which Gaussians each tile draws, in depth order.

Only the N visible Gaussians are sorted by depth, not the (tile, Gaussian) pairs: a stable counting
sort by tile of the depth-ordered Gaussians leaves every tile's list in depth order. The depth order
is cut into contiguous parts, each with its own row of counters, so that threads can share the work
and the lists still depend neither on the parts nor on the threads.
"""

from __future__ import annotations

import numpy as np

from ...kernels.compile import inner, kernel
from ...kernels.simd import fetch_ahead
from ...kernels.threads import first_item, next_item
from .blocks import tiles_met
from .project import HIT_BITS
from .screen import DEPTH

AHEAD = 16  # Gaussians between one in work and one whose box is asked for
DIGIT = 12  # bits that a pass of the depth order sorts by


@kernel
def depth_order(records, hits, slot_start):
    """Return the indices of the drawn Gaussians, near to far (ties: by index), int32.

    Also fills slot_start (N + 1,) int64, the exclusive prefix sum of `hits`: slots
    slot_start[i] … slot_start[i + 1] - 1 are Gaussian i's own places, one for each tile it touches.

    Positive floats sort like their bits read as integers, here less the smallest of them: stable
    counting passes over DIGIT bits each, least significant first, and only as many as the range of
    depths needs. Two suffice up to a ratio of four between the farthest and the nearest.
    """
    n = len(hits)
    bits = records.view(np.uint32)[:, DEPTH]
    keys, out = np.empty(n, np.uint64), np.empty(n, np.uint64)  # depth's bits << 32 | index
    least, most, count, slots = np.uint32(0xFFFFFFFF), np.uint32(0), 0, 0
    for i in range(n):
        slot_start[i] = slots
        slots += hits[i]
        if hits[i] > 0:
            least, most = min(least, bits[i]), max(most, bits[i])
            keys[count] = (np.uint64(bits[i]) << np.uint64(32)) | np.uint64(i)
            count += 1
    slot_start[n] = slots
    passes = 0
    while count > 0 and passes < 3 and (most - least) >> np.uint32(DIGIT * passes) != 0:
        passes += 1
    mask = np.uint64((1 << DIGIT) - 1)
    places = np.zeros((3, 1 << DIGIT), np.int32)
    for k in range(count):
        keys[k] -= np.uint64(least) << np.uint64(32)
        for p in range(passes):
            places[p, (keys[k] >> np.uint64(32 + DIGIT * p)) & mask] += 1
    for p in range(passes):
        total = 0
        for d in range(1 << DIGIT):
            total, places[p, d] = total + places[p, d], total
        shift = np.uint64(32 + DIGIT * p)
        for k in range(count):
            d = (keys[k] >> shift) & mask
            out[places[p, d]] = keys[k]
            places[p, d] += 1
        keys, out = out, keys
    order = np.empty(count, np.int32)
    for k in range(count):
        order[k] = np.int32(keys[k] & np.uint64(0xFFFFFFFF))
    return order


@inner
def is_hit(lanes, records, bits, i, area, place, tx, ty):
    """Return whether Gaussian i touches tile (tx, ty), the place-th of its box of `area` tiles."""
    if area <= HIT_BITS:
        return (bits[i] >> place) & 1 == 1
    return tiles_met(lanes, records, i, tx, ty, 1, 0, 1) == 1


@kernel
def count_pairs(lanes, order, records, boxes, bits, tiles_x, rows, counter):
    """rows (parts, tiles) int64, zero before: how many Gaussians of each part touch each tile.

    Part p is the p-th of `parts` equal ranges of the depth order.
    """
    n, parts = len(order), len(rows)
    p = first_item(counter)
    while p < parts:
        for k in range(n * p // parts, n * (p + 1) // parts):
            i, later = order[k], order[min(k + AHEAD, n - 1)]
            fetch_ahead(boxes, later)
            fetch_ahead(bits, later)
            x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
            area, place = (x1 - x0) * (y1 - y0), 0
            for ty in range(y0, y1):
                for tx in range(x0, x1):
                    if is_hit(lanes, records, bits, i, area, place, tx, ty):
                        rows[p, ty * tiles_x + tx] += 1
                    place += 1
        p = next_item(counter)


@kernel
def start_lists(rows, starts):
    """Count (parts, tiles) -> in place: where each part writes in each tile's list.

    starts (tiles + 1,) int64: tile k = tile_y·tiles_x + tile_x owns [starts[k], starts[k + 1]).
    """
    total = 0
    for tile in range(rows.shape[1]):
        starts[tile] = total
        for p in range(len(rows)):
            rows[p, tile], total = total, total + rows[p, tile]
    starts[rows.shape[1]] = total


@kernel
def fill_lists(lanes, order, records, boxes, bits, slot_start, tiles_x, rows, ids, slot_of,
               counter):
    """Enter each Gaussian and its gradient slot into the lists of the tiles that it touches.

    ids, slot_of: (pairs,) int32. rows: what `start_lists` left; used up.
    """
    n, parts = len(order), len(rows)
    p = first_item(counter)
    while p < parts:
        for k in range(n * p // parts, n * (p + 1) // parts):
            i, later = order[k], order[min(k + AHEAD, n - 1)]
            fetch_ahead(boxes, later)
            fetch_ahead(bits, later)
            fetch_ahead(slot_start, later)
            x0, x1, y0, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
            area, place, slot = (x1 - x0) * (y1 - y0), 0, slot_start[i]
            for ty in range(y0, y1):
                for tx in range(x0, x1):
                    if is_hit(lanes, records, bits, i, area, place, tx, ty):
                        tile = ty * tiles_x + tx
                        at = rows[p, tile]
                        ids[at], slot_of[at] = i, slot
                        rows[p, tile] = at + 1
                        slot += 1
                    place += 1
        p = next_item(counter)
