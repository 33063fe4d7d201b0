"""The sum that slides over an image, on register tiles: a convolution, and its input gradient too.

    y[n, oh, ow, f] = b[f] + sum over taps t, channels c of image[n, oh*SH + dh[t], ow*SW + dw[t], c] * w[t, c, f]

    for every band of output rows of every image, in parallel:
        its input rows, with the border, into scratch memory             (not where there is no border to add)
        for every row, for every block of 32 filters:                    weights come from the level 2 cache, which is fast enough
            for every 14 pixels:
                acc[14, 32] = b
                for every tap and channel: acc += 14 numbers of the image (outer product) 32 weights
                y = acc

Fast because 28 vectors of sums stay in registers while 16 loads feed 28 multiply-adds of 16 lanes, and no columns are ever made. (Numbers
of AVX-512; other processors, and other numbers of filters, have other tiles: `plan.tiles`.)

16 filters or fewer are one vector, and every multiply-add would wait for a load of its own. There the taps of a kernel row are taken
together, where they are neighbours: a number of the image that is loaded once meets all of them, in as many rows of the tile.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import PHASE, Slide, Tile
from minicnn.kernels.numba_backend.simd import copy, load, multiply_add, multiply_slide, relu, store, zero
from minicnn.kernels.numba_backend.types import compile_for, flat, record


@functools.cache
def sliding_sum(dtype: Any, rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """The compiled sum for one shape of tiles: run(x, images, w, b, y, scratch, starts, phases, tasks, rectify, threads)."""
    sums = all_filters(rows, full, rest, slide)

    @jit(rows, full, rest, slide)
    def band(i: int, worker: int, x: Any, images: int, w: Any, b: Any, y: Any, scratch: Any, share: int, starts: Any, phases: Any,
             rectify: bool) -> None:
        """One band of rows of one image, of one phase."""
        bands = phases[0].bands
        g, n, part = phases[i // (images * bands)], i // bands % images, i % bands
        first, end = part * g.band, min(g.OH, (part + 1) * g.band)
        if first >= end:
            return
        runs, y_at = starts[g.first_run:g.first_run + g.runs], g.y_start + n * g.y_image + first * g.y_row
        if g.direct:
            at = ((n * g.H + first * g.SH - g.top) * g.width - g.left) * g.C
            sums(x, at, first, end - first, g, runs, w, b, y, y_at, g.y_row, g.y_pixel, rectify)
        else:
            fill(x, n * g.H * g.W * g.C, g.H, g.W, g.C, first * g.SH - g.top, (end - first - 1) * g.SH + g.reach, g.left, g.width,
                 scratch, worker * share)
            sums(scratch, worker * share, first, end - first, g, runs, w, b, y, y_at, g.y_row, g.y_pixel, rectify)

    @jit(rows, full, rest, slide)
    def run(x: Any, images: int, w: Any, b: Any, y: Any, scratch: Any, starts: Any, phases: Any, tasks: int, rectify: bool,
            threads: int) -> None:
        parallel_for(band, tasks, threads, (x, images, w, b, y, scratch, scratch.size // threads, starts, phases, rectify))

    numbers, read = flat(dtype), flat(dtype, readonly=True)
    return compile_for(run, read, types.int64, numbers, numbers, numbers, numbers, flat(np.int64), record(PHASE), types.int64,
                       types.boolean, types.int64)


@functools.cache
def all_filters(rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """`count` rows of outputs, from row `first` on, of all filters: a row of the image stays in the cache while they all read it."""
    one, columns_full, columns_rest = one_row(rows, full, rest, slide), full.columns, rest.columns

    @jit(rows, full, rest, slide)
    def sums(image: Any, at: int, first: int, count: int, g: Any, runs: Any, w: Any, b: Any, y: Any, y_at: int, y_row: int, y_pixel: int,
             rectify: bool) -> None:
        for oh in range(count):
            for group in range(g.groups):
                w_at, f = g.w_start + group * g.w_group, 0
                while f < g.outputs:
                    one(image, at, first, oh, g, runs, w, w_at, b, group, f, y, y_at, y_row, y_pixel, rectify)
                    columns = columns_full if g.outputs - f > columns_rest else columns_rest
                    f += columns
                    w_at += g.taps * g.inputs * columns
    return sums


@functools.cache
def one_block(rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """The same for one block of a group's filters, from f on, whose weights stay in the cache."""
    one = one_row(rows, full, rest, slide)

    @jit(rows, full, rest, slide)
    def block(image: Any, at: int, first: int, count: int, g: Any, runs: Any, w: Any, w_at: int, b: Any, group: int, f: int, y: Any,
              y_at: int, y_row: int, y_pixel: int, rectify: bool) -> None:
        for oh in range(count):
            one(image, at, first, oh, g, runs, w, w_at, b, group, f, y, y_at, y_row, y_pixel, rectify)
    return block


@functools.cache
def one_row(rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """Row first + oh of outputs, of one block of filters. Rows of taps that lie above or below the image are left out."""
    row_full, row_rest = row_of_tiles(rows, *full, slide), row_of_tiles(rows, *rest, slide)
    columns_full, columns_rest = full.columns, rest.columns

    @jit(rows, full, rest, slide)
    def one(image: Any, at: int, first: int, oh: int, g: Any, runs: Any, w: Any, w_at: int, b: Any, group: int, f: int, y: Any,
            y_at: int, y_row: int, y_pixel: int, rectify: bool) -> None:
        step, of_row = g.SW * g.C, g.runs // max(1, g.tap_rows)              # runs of one row of taps
        channel, left = group * g.outputs + f, g.outputs - f
        columns = columns_full if left > columns_rest else columns_rest
        row = (first + oh) * g.SH - g.top                                    # of the image, under the first row of taps
        begin = min(max(0, -(row // g.tap_step)), g.tap_rows)
        end = max(begin, min(g.tap_rows, (g.H - 1 - row) // g.tap_step + 1))
        seen, weights = runs[begin * of_row:end * of_row], w_at + begin * of_row * g.length * columns
        x_at, to = at + oh * g.SH * g.width * g.C + group * g.inputs, y_at + oh * y_row + channel
        if left > columns_rest:
            row_full(image, x_at, step, seen, g.length, w, weights, b, channel, y, to, y_pixel, left, g.OW, rectify)
        else:
            row_rest(image, x_at, step, seen, g.length, w, weights, b, channel, y, to, y_pixel, left, g.OW, rectify)
    return one


@functools.cache
def row_of_tiles(rows: int, vecs: int, lanes: int, slide: Slide) -> Any:
    """One row of outputs of one block of filters, `rows` pixels at a time; the last tile overlaps the one before it."""
    taps, stride = slide
    slides, columns_of_tile = taps > 1 and vecs == 1, vecs * lanes           # one vector of filters: a broadcast has too little to do

    @jit(rows, vecs, lanes, slide)
    def row(x: Any, x_at: int, step: int, runs: Any, length: int, w: Any, w_at: int, b: Any, b_at: int, y: Any, y_at: int, y_step: int,
            columns: int, OW: int, rectify: bool) -> None:
        for begin in range(0, OW, rows):
            ow, weights = min(begin, OW - rows), w_at
            acc = load(zero(rows, vecs, lanes, y), b, b_at, 0)               # b in every row
            for run in runs:
                pixel = x_at + ow * step + run
                if slides:
                    C = length // taps
                    for c in range(C):
                        acc = multiply_slide(acc, x, pixel + c, C, w, weights + c * columns_of_tile, C * columns_of_tile, taps, stride)
                    weights += length * columns_of_tile
                else:
                    for k in range(length):
                        acc = multiply_add(acc, x, pixel + k, step, w, weights)
                        weights += columns_of_tile
            if rectify:
                acc = relu(acc)
            store(acc, y, y_at + ow * y_step, y_step, columns)
    return row


@jit()
def fill(x: Any, image: int, H: int, W: int, C: int, top: int, rows: int, left: int, width: int, scratch: Any, at: int) -> None:
    """Rows top, top + 1, ... of the image (H, W, C) that begins at x[image], from column -left on, `width` columns: zero outside of it."""
    begin, end = min(max(0, left), width), max(0, min(width, W + left))      # the columns that lie in the image
    for h in range(top, top + rows):
        if h < 0 or h >= H or begin >= end:
            scratch[at:at + width * C] = 0
        else:
            start = image + (h * W + begin - left) * C
            scratch[at:at + begin * C] = 0
            copy(scratch, at + begin * C, x, start, (end - begin) * C)
            scratch[at + end * C:at + width * C] = 0
        at += width * C
