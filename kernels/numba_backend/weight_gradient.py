"""The weight gradient on register tiles.

    dw[kh, kw, c, f] = sum over n, oh, ow of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * dy[n, oh, ow, f]

    for every chunk of the batch, in parallel:                 chunks depend on the shape alone, so the sum's order is always the same
        for every few images, or band of a large one, of the chunk, and every block of 32 filters:
            for every 14 channels, for every tap:
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

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import Tile
from minicnn.kernels.numba_backend.simd import load, multiply_add, multiply_add_some, store, zero
from minicnn.kernels.numba_backend.transpose import add_rows, store_some, transpose
from minicnn.kernels.numba_backend.types import compile_for, flat, record
from minicnn.kernels.numba_backend.weight_plan import CUT


@functools.cache
def weight_gradient(dtype: Any, rows: int, full: Tile, rest: Tile, partial: bool) -> Any:
    """The compiled sums for one shape of tiles: run(x, dy, sums, lists, pixels, places, cut, dw, threads) with x and dy channels-last."""
    add_full, add_rest = correlate(rows, *full, False), correlate(rows, *rest, partial)
    columns_full, columns_rest, finish = full.columns, rest.columns, total(full.lanes)

    @jit(rows, full, rest, partial)
    def chunk(i: int, worker: int, x: Any, dy: Any, sums: Any, lists: Any, pixels: Any, places: Any, cut: Any, dw: Any) -> None:
        """One chunk of the batch, for one part of all tiles: some of the channels of some blocks of filters, and all taps."""
        g = cut[0]
        number, part, per_group, tiles = i // g.parts, i % g.parts, g.blocks // g.groups, g.tall // rows
        x_image, dy_image = g.H * g.W * g.C, g.OH * g.OW * g.F
        begin, end = g.N * g.bands * number // g.chunks, g.N * g.bands * (number + 1) // g.chunks
        unit = begin
        while unit < end:
            n, first, images = unit // g.bands, unit % g.bands * g.band, min(g.images, end - unit)
            count = min(g.band, g.OH - first)
            for item in range(g.blocks * tiles * part // g.parts, g.blocks * tiles * (part + 1) // g.parts):
                block, r = item // tiles, item % tiles * rows
                group, f = block // per_group, block % per_group * columns_full
                from_dy, left = n * dy_image + first * g.OW * g.F + group * g.outputs + f, g.outputs - f
                for kh in range(g.KH):
                    row = first * g.SH + kh * g.DH - g.top                   # of the image, that the band's first row of outputs sees
                    above, below = min(count, max(0, -(row // g.SH))), max(0, min(count, (g.H - 1 - row) // g.SH + 1))
                    from_x = n * x_image + row * g.W * g.C + group * g.inputs + min(r, g.length - rows)
                    for tap in range(g.lists):
                        start, of_row = lists[tap]
                        seen = pixels[start + above * of_row:start + below * of_row] if above < below else pixels[:0]
                        to = ((((number * g.groups + group) * g.KH + kh) * g.lists + tap) * g.tall + r) * g.wide + f
                        if left > columns_rest:
                            add_full(x, from_x, x_image, seen, dy, from_dy, dy_image, images, left, sums, to, g.wide, unit == begin)
                        else:
                            add_rest(x, from_x, x_image, seen, dy, from_dy, dy_image, images, left, sums, to, g.wide, unit == begin)
                if g.chunks == 1 and unit + images >= end:                   # the sums are complete, and still in this core's cache
                    taps, wide = g.KH * g.KW, columns_full if left > columns_rest else columns_rest
                    if not g.together:
                        c = min(r, g.length - rows)
                        finish(sums, places, cut, group, f, wide, c * taps, (c + rows) * taps, dw)
                    elif r + rows == g.tall:
                        finish(sums, places, cut, group, f, wide, 0, g.inputs * taps, dw)
            unit += images

    @jit(rows, full, rest, partial)
    def add_chunks(i: int, worker: int, sums: Any, places: Any, cut: Any, dw: Any) -> None:
        """The sum over chunks for one block of filters."""
        g = cut[0]
        per_group = g.blocks // g.groups
        f = i % per_group * columns_full
        finish(sums, places, cut, i // per_group, f, columns_full if g.outputs - f > columns_rest else columns_rest,
               0, g.inputs * g.KH * g.KW, dw)

    @jit(rows, full, rest, partial)
    def run(x: Any, dy: Any, sums: Any, lists: Any, pixels: Any, places: Any, cut: Any, dw: Any, threads: int) -> None:
        g = cut[0]
        parallel_for(chunk, g.chunks * g.parts, threads, (x, dy, sums, lists, pixels, places, cut, dw))
        if g.chunks > 1:
            parallel_for(add_chunks, g.blocks, threads if sums.size > 100_000 else 1, (sums, places, cut, dw))

    numbers, read, pairs = flat(dtype), flat(dtype, readonly=True), types.Array(types.int64, 2, "C")
    return compile_for(run, read, read, numbers, pairs, pairs, flat(np.int64), record(CUT), numbers, types.int64)


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
def total(lanes: int) -> Any:
    """The sum over chunks, in order, for some filters of one group, put where it belongs in dw (F, C, KH, KW)."""
    @jit(lanes)
    def finish(sums: Any, places: Any, cut: Any, group: int, f: int, wide: int, begin: int, end: int, dw: Any) -> None:
        """Filters f .. f + wide - 1, numbers begin .. end - 1 of each filter's (C, KH, KW)."""
        g = cut[0]
        of_group, numbers = g.KH * g.lists * g.tall * g.wide, g.inputs * g.KH * g.KW
        for first in range(f, min(f + wide, g.outputs), lanes):
            for q in range(begin, end, lanes):
                square, count = zero(lanes, 1, lanes, sums), min(lanes, end - q)
                for chunk in range(g.chunks):
                    square = add_rows(square, sums, (chunk * g.groups + group) * of_group + first, places, q, count)
                store_some(transpose(square), dw, (group * g.outputs + first) * numbers + q, numbers, min(lanes, g.outputs - first), count)
    return finish
