"""SSIM and the loss's gradient row by row: two passes, each a blur down, a blur across, a formula.

The formulas stand at the top of `loss.py`. STRIP rows of one color are one item of work: most of
the rows that the next row needs are then still near the processor that needs them. Blurred down, a
row lies in a scratch of its own whose margins are zero, so that the blur across needs no special
case at the ends; at the top and bottom the sum down just has fewer terms (zero padding). The last
vector of a row is moved left to end with it: its first lanes are computed twice, with the same
result, and left out of the sums.

Where both pictures are equal, S is 1. Where they are within 2·RADIUS all round, A1 = B1, A2 = B2
and x = y in all that the gradient sums up, so that it is 0 exactly: about a cut-out head, strips
compute only the columns near a difference (`columns_to_do`).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import inner, kernel
from .simd import Lanes, data_pointer
from .threads import first_item, next_item

WINDOW, SIGMA = 11, 1.5
RADIUS = WINDOW // 2
STRIP = 16  # rows
CHUNK = 32  # columns that are compared at a time
MARGIN = 16  # zeros on both sides of a row in the scratch, at least RADIUS and a vector's excess
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)


def gaussian_window() -> np.ndarray:
    """Return the weights, (11,) float32; they sum to 1."""
    t = np.arange(WINDOW) - RADIUS
    k = np.exp(-t**2 / (2 * SIGMA**2))
    return (k / k.sum()).astype(np.float32)


WEIGHTS = tuple(np.float32(w) for w in gaussian_window())


def lanes_for(width: int, lanes: int) -> int:
    """Return the vector width for rows of so many pixels: no wider than a row."""
    return next((n for n in (16, 8) if n <= min(width, lanes)), 1)


# --- pieces of vector code ------------------------------------------------------------------------

class _Row:
    """Emit one row's blocks of L pixels, in the columns that the last two arguments name, begin and
    end, at least L of them; `at` is the first pixel of a block, `new` the mask of the lanes that no
    block before had."""

    def __init__(self, context, builder, signature, args, width):
        self.L = Lanes(builder, signature.args[0].count)
        self.builder, self.width, self.columns = builder, width, args[-2:]
        self.pointers = [data_pointer(context, builder, signature, args, k)
                         if isinstance(t, types.Array) else None
                         for k, t in enumerate(signature.args)]

    def number(self, x):
        return ir.Constant(self.width.type, x)

    def blocks(self):
        b, L = self.builder, self.number(self.L.count)
        begin, end = self.columns
        count = b.sdiv(b.add(b.sub(end, begin), b.sub(L, self.number(1))), L)
        with self.L.loop(self.number(0), count) as k:
            start, last = b.add(begin, b.mul(k, L)), b.sub(end, L)
            self.at = b.select(b.icmp_signed("<", start, last), start, last)
            skip = self.L.splat_index(b.sub(start, self.at))
            self.new = self.L.index().compare(">=", skip)
            yield self

    def offset(self, row):
        """Of the block in row `row` of a C-contiguous picture, counted over all its planes."""
        return self.builder.add(self.builder.mul(row, self.width), self.at)

    def across(self, scratch, stride, plane) -> object:
        """Sum over the window of plane `plane` of the scratch, whose rows have `stride` floats."""
        b = self.builder
        first = b.add(b.add(self.at, b.mul(stride, self.number(plane))),
                      self.number(MARGIN - RADIUS))
        taps = [self.L.load(scratch, b.add(first, self.number(k))) for k in range(WINDOW)]
        total = taps[RADIUS] * WEIGHTS[RADIUS]
        for k in range(RADIUS):  # the window is symmetric
            total = (taps[k] + taps[WINDOW - 1 - k]) * WEIGHTS[k] + total
        return total


def _weight(L, builder, window, i, row):
    """Return window[i - row + RADIUS] in every lane."""
    k = builder.add(builder.sub(i, row), ir.Constant(i.type, RADIUS))
    return L.splat(builder.load(builder.gep(window, [k])))


@intrinsic
def _moments_down(typingctx, lanes, x, y, window, base, start, stop, row, width, scratch, stride,
                  begin, end):
    """Fill scratch (5, stride): x, x², xy, y, y² of rows start … stop-1 summed with the window's
    weights round `row`. base: rows of all planes before this color's."""
    def codegen(context, builder, signature, args):
        base, start, stop, row, width, stride = (args[k] for k in (4, 5, 6, 7, 8, 10))
        r = _Row(context, builder, signature, args, width)
        L, (_, x, y, window, *_, scratch, _, _, _) = r.L, r.pointers
        for _ in r.blocks():
            sums = [L.accumulator() for _ in range(5)]
            with L.loop(start, stop) as i:
                weight = _weight(L, builder, window, i, row)
                at = r.offset(builder.add(base, i))
                a, b = L.load(x, at), L.load(y, at)
                wa, wb = weight * a, weight * b
                for total, term in zip(sums, (wa, wa * a, wa * b, wb, wb * b), strict=True):
                    total.add(term)
            to = builder.add(r.at, r.number(MARGIN))
            for k, total in enumerate(sums):
                L.store(total.get(), scratch, builder.add(to, builder.mul(stride, r.number(k))))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, x, y, window, n, n, n, n, n, scratch, n, n, n), codegen


@intrinsic
def _similarity_across(typingctx, lanes, scratch, stride, width, g, row, plane, out, total, begin,
                       end):
    """Fill out (3, 3, H, W) at row `row` of all rows of a color table: g dS/dm, g dS/dE, g dS/dF,
    `plane` rows apart. total (lanes,): sums of S."""
    def codegen(context, builder, signature, args):
        stride, width, g, row, plane = args[2:7]
        r = _Row(context, builder, signature, args, width)
        L, scratch, out, total = r.L, r.pointers[1], r.pointers[7], r.pointers[8]
        g, sum_ = L.splat(g), L.accumulator()
        for _ in r.blocks():
            m, E, F, n, G = (r.across(scratch, stride, k) for k in range(5))
            a1, a2 = 2.0 * m * n + C1, 2.0 * (F - m * n) + C2
            b1, b2 = m * m + n * n + C1, E - m * m + G - n * n + C2
            both = 1.0 / (b1 * b2)
            r1, r2 = b2 * both, b1 * both  # 1/B1, 1/B2
            s = a1 * a2 * both
            partials = (g * 2.0 * (n * (a2 - a1) * both - m * s * (r1 - r2)), 0.0 - g * s * r2,
                        g * 2.0 * a1 * both)
            for k, value in enumerate(partials):
                at = r.offset(builder.add(row, builder.mul(plane, r.number(k))))
                L.store(value, out, at)
            sum_.add(s.where(r.new, 0.0))
        L.store(sum_.get(), total, r.number(0))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, scratch, n, n, types.float32, n, n, out, total, n, n), codegen


@intrinsic
def _partials_down(typingctx, lanes, partials, window, base, plane, start, stop, row, width,
                   scratch, stride, begin, end):
    """Fill scratch (3, stride): the three tables of `_similarity_across` summed over rows."""
    def codegen(context, builder, signature, args):
        base, plane, start, stop, row, width, stride = (args[k] for k in (3, 4, 5, 6, 7, 8, 10))
        r = _Row(context, builder, signature, args, width)
        L, partials, window, scratch = r.L, r.pointers[1], r.pointers[2], r.pointers[9]
        for _ in r.blocks():
            sums = [L.accumulator() for _ in range(3)]
            with L.loop(start, stop) as i:
                weight = _weight(L, builder, window, i, row)
                line = builder.add(base, i)
                for k, total in enumerate(sums):
                    at = r.offset(builder.add(line, builder.mul(plane, r.number(k))))
                    total.add(weight * L.load(partials, at))
            to = builder.add(r.at, r.number(MARGIN))
            for k, total in enumerate(sums):
                L.store(total.get(), scratch, builder.add(to, builder.mul(stride, r.number(k))))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, partials, window, n, n, n, n, n, n, scratch, n, n, n), codegen


@intrinsic
def _gradient_across(typingctx, lanes, scratch, stride, width, weight, row, x, y, out, totals,
                     begin, end):
    """Fill out at row `row`: weight·sign(x - y) + Bm + 2x·BE + y·BF. totals (2, lanes): sums of
    |x - y| and (x - y)²."""
    def codegen(context, builder, signature, args):
        stride, width, weight, row = args[2:6]
        r = _Row(context, builder, signature, args, width)
        L, scratch = r.L, r.pointers[1]
        x, y, out, totals = r.pointers[6:10]
        weight = L.splat(weight)
        absolute, squared = L.accumulator(), L.accumulator()
        for _ in r.blocks():
            m, E, F = (r.across(scratch, stride, k) for k in range(3))
            at = r.offset(row)
            a, b = L.load(x, at), L.load(y, at)
            d = a - b
            sign = weight.where(d.compare(">", 0.0), (0.0 - weight).where(d.compare("<", 0.0), 0.0))
            L.store(sign + m + 2.0 * a * E + b * F, out, at)
            d = d.where(r.new, 0.0)
            absolute.add(d.maximum(0.0 - d))
            squared.add(d * d)
        L.store(absolute.get(), totals, r.number(0))
        L.store(squared.get(), totals, r.number(L.count))
        return context.get_dummy_value()
    n = types.intp
    return types.void(lanes, scratch, n, n, types.float32, n, x, y, out, totals, n, n), codegen


# --- the passes -----------------------------------------------------------------------------------

@kernel
def differences(x, y, spans, counter):
    """Fill spans (3, strips, 2): the columns of each strip from the first to behind the last
    CHUNK in which x and y differ; (width, 0) where they are equal. NaN differs."""
    height, width = x.shape[1:]
    item = first_item(counter)
    while item < 3 * spans.shape[1]:
        color, strip = item // spans.shape[1], item % spans.shape[1]
        low, high = width, 0
        for row in range(strip * STRIP, min((strip + 1) * STRIP, height)):
            a, b = x[color, row], y[color, row]
            at = 0
            while at < low and equal(a[at:at + CHUNK], b[at:at + CHUNK]):
                at += CHUNK
            low = min(low, at)
            at = width
            while at > high and equal(a[max(at - CHUNK, 0):at], b[max(at - CHUNK, 0):at]):
                at -= CHUNK
            high = max(high, at)
        spans[color, strip, 0], spans[color, strip, 1] = low, high
        item = next_item(counter)


@inner
def equal(a, b):
    other = 0
    for k in range(len(a)):  # no early end, so that it compiles to vectors
        other += a[k] != b[k]
    return other == 0


@kernel
def columns_to_do(spans, width, lanes):
    """Return for `similarity_pass` and `gradient_pass` which columns of each strip they compute,
    (3, strips, 2), begin >= end for none: so wide that each reads only what was computed.

    A gradient looks at similarities RADIUS away in all directions, those at pixels as far off
    again; STRIP >= 2·RADIUS rows away is the next strip.
    """
    gradient = _widened(spans, 2 * RADIUS, width, lanes)
    return _widened(gradient, RADIUS, width, lanes), gradient


@inner
def _widened(spans, reach, width, lanes):
    """Return the columns of each strip and its neighbors and `reach` more; whole vectors, so that
    these parts of rows begin at one where the rows do."""
    out = np.empty_like(spans)
    strips = spans.shape[1]
    for color in range(3):
        for strip in range(strips):
            low, high = width, 0
            for k in range(max(strip - 1, 0), min(strip + 2, strips)):
                low, high = min(low, spans[color, k, 0]), max(high, spans[color, k, 1])
            if low < high:
                low = max(low - reach, 0) // lanes * lanes
                high = min((high + reach + lanes - 1) // lanes * lanes, width)
                low = min(low, high - lanes)  # a vector at least
            out[color, strip, 0], out[color, strip, 1] = low, high
    return out


@kernel
def similarity_pass(lanes, x, y, window, g, columns, partials, sums, counter):
    """Fill partials (3, 3, H, W): g dS/dm, g dS/dE, g dS/dF. sums (3, 3, H): S goes to sums[0].
    columns (3, strips, 2): those to compute; elsewhere S is 1."""
    height, width = x.shape[1:]
    scratch = np.zeros((5, width + 2 * MARGIN), np.float32)
    total = np.zeros(len(lanes), np.float32)
    item = first_item(counter)
    while item < 3 * columns.shape[1]:
        color, strip = item // columns.shape[1], item % columns.shape[1]
        begin, end = columns[color, strip]
        for row in range(strip * STRIP, min((strip + 1) * STRIP, height)):
            if begin >= end:
                sums[0, color, row] = width
                continue
            _moments_down(lanes, x, y, window, color * height, max(row - RADIUS, 0),
                          min(row + RADIUS + 1, height), row, width, scratch, scratch.shape[1],
                          max(begin - MARGIN, 0), min(end + MARGIN, width))
            _similarity_across(lanes, scratch, scratch.shape[1], width, g, color * height + row,
                               3 * height, partials, total, begin, end)
            sums[0, color, row] = total.sum() + np.float32(width - (end - begin))
        item = next_item(counter)


@kernel
def gradient_pass(lanes, x, y, window, partials, weight, columns, out, sums, counter):
    """Fill out (3, H, W): dL/dx. sums[1] and sums[2]: |x - y| and (x - y)² of each row.
    columns (3, strips, 2): those to compute; elsewhere all is 0."""
    height, width = x.shape[1:]
    scratch = np.zeros((3, width + 2 * MARGIN), np.float32)
    totals = np.zeros((2, len(lanes)), np.float32)
    item = first_item(counter)
    while item < 3 * columns.shape[1]:
        color, strip = item // columns.shape[1], item % columns.shape[1]
        begin, end = columns[color, strip]
        for row in range(strip * STRIP, min((strip + 1) * STRIP, height)):
            if begin >= end:
                out[color, row] = 0
                sums[1, color, row] = sums[2, color, row] = 0
                continue
            out[color, row, :begin] = 0
            out[color, row, end:] = 0
            _partials_down(lanes, partials, window, color * height, 3 * height,
                           max(row - RADIUS, 0), min(row + RADIUS + 1, height), row, width,
                           scratch, scratch.shape[1], max(begin - MARGIN, 0),
                           min(end + MARGIN, width))
            _gradient_across(lanes, scratch, scratch.shape[1], width, weight, color * height + row,
                             x, y, out, totals, begin, end)
            sums[1, color, row] = totals[0].sum()
            sums[2, color, row] = totals[1].sum()
        item = next_item(counter)
