"""The weight gradient on register tiles.

    dw[kh, kw, c, f] = sum over n, oh, ow of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * dy[n, oh, ow, f]

    for every chunk of the batch, in parallel:                 chunks depend on the shape alone, so the sum's order is always the same
        for every few images, or band of a large one, of the chunk, and every block of 32 filters:
            for every tap, for every 14 channels:
                acc[14, 32] = what the chunk has summed so far
                for every output pixel whose tap lies in the image: acc += 14 numbers of x (outer product) 32 numbers of dy
    dw = the sum over chunks, in order

The tile is that of the forward pass. Here its rows are channels, and the loop through which it stays in registers runs over pixels, which
are listed once: so borders cost nothing, neither products with zeros nor a copy. (With few channels the taps of a kernel row make the rows
of a tile together, and then x is copied into rows with a border.)
"""
from __future__ import annotations

import functools
from typing import Any

from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import Tile
from minicnn.kernels.numba_backend.simd import load, multiply_add, multiply_add_some, store, zero
from minicnn.kernels.numba_backend.types import compile_for, flat, record
from minicnn.kernels.numba_backend.weight_plan import CUT


@functools.cache
def weight_gradient(dtype: Any, rows: int, full: Tile, rest: Tile, partial: bool) -> Any:
    """The compiled sums for one shape of tiles: run(x, dy, sums, lists, pixels, cut, one, dw, threads) with x and dy channels-last."""
    add_full, add_rest = correlate(rows, *full, False), correlate(rows, *rest, partial)
    columns_full, columns_rest, lanes = full.columns, rest.columns, full.lanes
    add_chunks = total(rows, lanes)

    @jit(rows, full, rest, partial)
    def chunk(i: int, worker: int, x: Any, dy: Any, sums: Any, lists: Any, pixels: Any, cut: Any) -> None:
        """One chunk of the batch, for one part of the filters."""
        g = cut[0]
        number, part, per_group = i // g.parts, i % g.parts, g.blocks // g.groups
        x_image, dy_image = g.H * g.W * g.C, g.OH * g.OW * g.F
        unit, end = g.N * g.bands * number // g.chunks, g.N * g.bands * (number + 1) // g.chunks
        fresh = True
        while unit < end:
            n, first, images = unit // g.bands, unit % g.bands * g.band, min(g.images, end - unit)
            count = min(g.band, g.OH - first)
            for block in range(g.blocks * part // g.parts, g.blocks * (part + 1) // g.parts):
                group, f = block // per_group, block % per_group * columns_full
                from_dy, left = n * dy_image + first * g.OW * g.F + group * g.outputs + f, g.outputs - f
                for kh in range(g.KH):
                    row = first * g.SH + kh * g.DH - g.top                   # of the image, that the band's first row of outputs sees
                    begin, stop = min(count, max(0, -(row // g.SH))), max(0, min(count, (g.H - 1 - row) // g.SH + 1))
                    for tap in range(g.lists):
                        start, of_row = lists[tap]
                        seen = pixels[start + begin * of_row:start + stop * of_row] if begin < stop else pixels[:0]
                        for r in range(0, g.tall, rows):
                            from_x = n * x_image + row * g.W * g.C + group * g.inputs + min(r, g.length - rows)
                            to = ((((number * g.groups + group) * g.KH + kh) * g.lists + tap) * g.tall + r) * g.wide + f
                            if left > columns_rest:
                                add_full(x, from_x, x_image, seen, dy, from_dy, dy_image, images, left, sums, to, g.wide, fresh)
                            else:
                                add_rest(x, from_x, x_image, seen, dy, from_dy, dy_image, images, left, sums, to, g.wide, fresh)
            unit += images
            fresh = False

    @jit(rows, full, rest, partial)
    def run(x: Any, dy: Any, sums: Any, lists: Any, pixels: Any, cut: Any, one: Any, dw: Any, threads: int) -> None:
        g = cut[0]
        parallel_for(chunk, g.chunks * g.parts, threads, (x, dy, sums, lists, pixels, cut))
        parallel_for(add_chunks, g.groups * -(-g.outputs // lanes), threads if sums.size > 50_000 else 1, (sums, one, cut, dw))

    numbers, read, pairs = flat(dtype), flat(dtype, readonly=True), types.Array(types.int64, 2, "C")
    return compile_for(run, read, read, numbers, pairs, pairs, record(CUT), numbers, numbers, types.int64)


@functools.cache
def correlate(rows: int, vecs: int, lanes: int, partial: bool) -> Any:
    """One tile of the sums, over some pixels of some images."""
    @jit(rows, vecs, lanes, partial)
    def add(x: Any, x_at: int, x_image: int, pixels: Any, dy: Any, dy_at: int, dy_image: int, images: int, columns: int, sums: Any, at: int,
            wide: int, fresh: bool) -> None:
        acc = zero(rows, vecs, lanes, sums)
        if not fresh:
            acc = load(acc, sums, at, wide)
        for _ in range(images):
            for p in range(len(pixels)):
                if partial:
                    acc = multiply_add_some(acc, x, x_at + pixels[p, 0], 1, dy, dy_at + pixels[p, 1], columns)
                else:
                    acc = multiply_add(acc, x, x_at + pixels[p, 0], 1, dy, dy_at + pixels[p, 1])
            x_at += x_image
            dy_at += dy_image
        store(acc, sums, at, wide, vecs * lanes)
    return add


@functools.cache
def total(rows: int, lanes: int) -> Any:
    """The sum over chunks, in order, for `lanes` filters of one group, put where it belongs in dw."""
    @jit(rows, lanes)
    def add_chunks(i: int, worker: int, sums: Any, one: Any, cut: Any, dw: Any) -> None:
        g = cut[0]
        shares = -(-g.outputs // lanes)
        group, f = i // shares, i % shares * lanes
        size, taps = g.KH * g.lists * g.tall * g.wide, g.KH * g.KW
        for line in range(g.KH * g.lists * g.tall):                          # a row of a tile: one tap, one channel
            tap, r = line // g.tall, line % g.tall
            number = min(r // rows * rows, g.length - rows) + r % rows       # of the numbers that a tap reads
            at = group * size + line * g.wide + f
            acc = load(zero(1, 1, lanes, sums), sums, at, 0)
            for chunk in range(1, g.chunks):
                acc = multiply_add(acc, one, 0, 0, sums, chunk * g.groups * size + at)
            store(acc, sums, at, 0, min(lanes, g.wide - f))
            tap = tap * (g.KW // g.lists) + number // g.inputs
            to = ((group * g.outputs + f) * g.inputs + number % g.inputs) * taps + tap
            for k in range(min(lanes, g.outputs - f)):
                dw[to + k * g.inputs * taps] = sums[at + k]
    return add_chunks
