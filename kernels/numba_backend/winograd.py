"""3 x 3 convolutions of stride 1 with fewer products: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, 2016).

Two neighbouring outputs of a row see four pixels d and share two of them. Three products each, six, is what they take by definition; four
are enough:

    m0 = (d0 - d2) * g0                        m1 = (d1 + d2) * (g0 + g1 + g2) / 2
    m3 = (d1 - d3) * g2                        m2 = (d2 - d1) * (g0 - g1 + g2) / 2
    y0 = m0 + m1 + m2                          y1 = m1 - m2 - m3

Down the columns too, 2 x 2 outputs take 16 products in place of 36. Of all channels they are 16 matrix products:

    V[t] = B'dB, the 4 x 4 pixels of each tile t         U = GgG', the weights         M[p, t, f] = sum over c of V[p, t, c] * U[p, c, f]
    y = A'MA, the 2 x 2 outputs of each tile

    dx: the same, of dy by the weights turned around, channels and filters exchanged
    dw = G'WG  with  W[p, c, f] = sum over tiles t of V[p, t, c] * (A dy A')[p, t, f]

The transformations are sums and halves of a few neighbours: exact on small integers. Else an output's error is bounded by rounding over its
whole 4 x 4 patch, not over its own 3 x 3 window alone: an output near much larger pixels has an error of their size, and where a patch has
an infinity, outputs that do not see it can be NaN, as can those that do. Training, which looks at the loss, stops at either.

Fast because products are 2.25 times fewer, while transformations, of a block of tiles that stays in the cache, cost a tenth of them.
"""
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.simd import load as load_tile
from minicnn.kernels.numba_backend.simd import multiply_add, registers, zero
from minicnn.kernels.numba_backend.simd import store as store_tile
from minicnn.kernels.numba_backend.types import compile_for, flat
from minicnn.kernels.numba_backend.winograd_tiles import gradient_tile, input_tile, output_tile, weights_in, weights_out
from minicnn.kernels.window import Window2d

POINTS = 16                  # products a tile
BLOCK = 56                   # tiles at a time, or a few less: their V and M stay in the level 2 cache
CHUNKS = 8                   # of all tiles, for dw: each has sums of its own, which are added in order
LINE = 16                    # numbers
SLACK = 64                   # numbers that a register tile may read, and not use, after an array's end
FEWEST, MOST = 16, 32        # channels and filters, the fewer of them and the more, for products to cost more than transformations
TILES = 8 * BLOCK            # in all images: with fewer the weights' transformation costs too much


class Cut(NamedTuple):
    lanes: int               # numbers in a register
    rows: int                # of tiles in a register tile of two vectors; twice as many in one of one vector
    block: int               # tiles at a time


@functools.cache
def cut(itemsize: int) -> Cut:
    size, count = registers()
    rows = (count - 3) // 2
    return Cut(size // itemsize, rows, BLOCK // (2 * rows) * 2 * rows)


@functools.lru_cache(4096)
def suits(x_shape: tuple[int, ...], F: int, window: Window2d, groups: int, itemsize: int) -> bool:
    """Whether a convolution of x (N, C, H, W) to F channels, and its gradients, are done this way."""
    (N, C, *size), lanes = x_shape, cut(itemsize).lanes
    if window.kernel != (3, 3) or window.stride != (1, 1) or window.dilation != (1, 1) or groups != 1 or max(window.padding) > 2:
        return False
    OH, OW = window.output_size(size)
    enough = min(C, F) >= FEWEST and max(C, F) >= MOST and N * -(-OH // 2) * -(-OW // 2) >= TILES
    return enough and C % lanes == F % lanes == 0 and min(OH, OW) >= 4


def winograd(x: Any, w: Any, b: Any, window: Window2d, relu: bool = False) -> Any:
    """conv2d."""
    (N, C, H, W), F, (PT, _, PL, _) = x.shape, w.shape[0], window.padding
    OH, OW = window.output_size((H, W))
    return _run(dense(x), (N, C, H, W), dense(np.ascontiguousarray(w).reshape(1, F, C * 9, 1)), False, b, (F, OH, OW), (PT, PL), relu)


def winograd_grad_input(dy: Any, w: Any, input_shape: tuple[int, ...], window: Window2d) -> Any:
    """dx: each tap of the kernel turned around, and as much padding as makes x's size."""
    (_, C, H, W), (PT, _, PL, _) = input_shape, window.padding
    return _run(dense(dy), dy.shape, dense(w), True, None, (C, H, W), (2 - PT, 2 - PL), False)


def _run(x: Any, x_shape: tuple[int, ...], taps: Any, turned: bool, b: Any, made: tuple[int, int, int], before: tuple[int, int],
         relu: bool) -> Any:
    """taps: the weights, flat, as (in, 3*3, out)."""
    (N, C, H, W), (F, OH, OW), dtype, c = x_shape, made, x.dtype, cut(x.itemsize)
    tiles = N * -(-OH // 2) * -(-OW // 2)
    threads = workers(tiles * 4 * C * F)
    weights, y = empty((POINTS * C * F + SLACK,), dtype), empty((N * OH * OW * F,), dtype)
    share = scratch(C, F, x.itemsize)
    bias = np.zeros(F, dtype) if b is None else np.ascontiguousarray(b)
    _convolve(dtype, c)(x, taps, turned, weights, bias, y, empty((threads * share,), dtype), share,
                        (N, C, H, W, F, OH, OW, *before), tiles, relu, threads)
    return y.reshape(N, OH, OW, F).transpose(0, 3, 1, 2)


def scratch(C: int, F: int, itemsize: int) -> int:
    """Numbers that a thread needs, for V and M."""
    return POINTS * (cut(itemsize).block * (C + F) + 2 * LINE) + SLACK


def sums(C: int, F: int, itemsize: int) -> int:
    """Numbers of all chunks' sums for dw."""
    rows = weight_rows(C, cut(itemsize).rows)
    return CHUNKS * POINTS * -(-C // rows) * rows * F


def winograd_grad_weight(dy: Any, x: Any, window: Window2d) -> Any:
    """dw (F, C, 3, 3)."""
    (N, C, H, W), (_, F, OH, OW), (PT, _, PL, _), dtype, c = x.shape, dy.shape, window.padding, x.dtype, cut(x.itemsize)
    tiles = N * -(-OH // 2) * -(-OW // 2)
    threads, rows = workers(tiles * 4 * C * F), weight_rows(C, c.rows)
    tall = -(-C // rows) * rows
    parts, share = empty((sums(C, F, x.itemsize),), dtype), scratch(C, F, x.itemsize)
    taps = empty((C * 9 * F,), dtype)
    _correlate(dtype, c, rows)(dense(x), dense(dy), parts, taps, empty((threads * share,), dtype), share,
                               (N, C, H, W, F, OH, OW, PT, PL), tall, tiles, threads)
    return dense(taps.reshape(1, C * 9, F, 1)).reshape(F, C, 3, 3)


@jit()
def _plane(block: int, C: int) -> int:
    """From one point's numbers to the next's: a line more, or a tile's 16 points would all want the same places of the cache."""
    return block * C + LINE


@jit()
def _next(n: int, h: int, w: int, OH: int, OW: int) -> tuple[int, int, int]:
    """The tile after the one whose first output is (h, w) of image n."""
    if w + 2 < OW:
        return n, h, w + 2
    if h + 2 < OH:
        return n, h + 2, 0
    return n + 1, 0, 0


@functools.cache
def weight_rows(C: int, most: int) -> int:
    """Channels in a register tile of W: those that come out with the least work."""
    return min(range(1, most + 1), key=lambda rows: (-(-C // rows) * (rows + 1.5), -rows))


SHAPE = types.UniTuple(types.int64, 9)


@functools.cache
def _convolve(dtype: Any, c: Cut) -> Any:
    lanes, _, block = c
    read_tile, write_tile, transform, product = input_tile(lanes), output_tile(lanes), weights_in(lanes), _products(dtype, c)

    @jit(c)
    def task(i: int, worker: int, x: Any, weights: Any, bias: Any, y: Any, scratch: Any, share: int, shape: Any, tiles: int,
             relu: bool) -> None:
        _, C, H, W, F, OH, OW, top, left = shape
        TH, TW = (OH + 1) // 2, (OW + 1) // 2
        first, v, count = i * block, worker * share, min(block, tiles - i * block)
        m = v + POINTS * _plane(block, C)
        n, h, w = first // (TH * TW), first // TW % TH * 2, first % TW * 2
        for t in range(count):
            read_tile(x, n * H * W * C, h - top, w - left, H, W, C, scratch, v + t * C, _plane(block, C))
            n, h, w = _next(n, h, w, OH, OW)
        product(scratch, v, weights, m, count, C, F)
        n, h, w = first // (TH * TW), first // TW % TH * 2, first % TW * 2
        for t in range(count):
            write_tile(scratch, m + t * F, _plane(block, F), bias, y, ((n * OH + h) * OW + w) * F, OW * F, F, h + 1 < OH, w + 1 < OW, relu)
            n, h, w = _next(n, h, w, OH, OW)

    @jit(c)
    def run(x: Any, taps: Any, turned: bool, weights: Any, bias: Any, y: Any, scratch: Any, share: int, shape: Any, tiles: int,
            relu: bool, threads: int) -> None:
        C, F = shape[1], shape[4]
        parallel_for(transform, C, threads if C * F > 4096 else 1, (taps, turned, weights, C, F))
        parallel_for(task, (tiles + block - 1) // block, threads, (x, weights, bias, y, scratch, share, shape, tiles, relu))

    read, numbers = flat(dtype, True), flat(dtype)
    return compile_for(run, read, read, types.boolean, numbers, read, numbers, numbers, types.int64, SHAPE, types.int64, types.boolean,
                       types.int64)


@functools.cache
def _products(dtype: Any, c: Cut) -> Any:
    """M[p] = V[p] @ U[p] for all points p, where V (points, block, C), U (points, C, F) and M (points, block, F)."""
    lanes, rows, block = c
    two, one = _product(rows, 2, lanes), _product(2 * rows, 1, lanes)
    wide = 2 * lanes

    @jit(c)
    def products(scratch: Any, v: int, weights: Any, m: int, count: int, C: int, F: int) -> None:
        for p in range(POINTS):
            for f in range(0, F - F % wide, wide):
                for t in range(0, count, rows):
                    two(scratch, v + t * C, C, weights, p * C * F + f, F, scratch, m + t * F + f)
            if F % wide:
                for t in range(0, count, 2 * rows):
                    one(scratch, v + t * C, C, weights, p * C * F + F - lanes, F, scratch, m + t * F + F - lanes)
            v += _plane(block, C)
            m += _plane(block, F)
    return products


@functools.cache
def _product(rows: int, vecs: int, lanes: int) -> Any:
    @jit(rows, vecs, lanes)
    def product(a: Any, at: int, C: int, weights: Any, from_: int, F: int, out: Any, to: int) -> None:
        acc = zero(rows, vecs, lanes, out)
        for k in range(C):
            acc = multiply_add(acc, a, at + k, C, weights, from_ + k * F)
        store_tile(acc, out, to, F, vecs * lanes)
    return product


@functools.cache
def _correlate(dtype: Any, c: Cut, rows: int) -> Any:
    lanes, _, block = c
    read_tile, dy_tile, finish = input_tile(lanes), gradient_tile(lanes), weights_out(lanes, CHUNKS)
    two, one, wide = _outer(rows, 2, lanes), _outer(rows, 1, lanes), 2 * lanes

    @jit(c, rows)
    def chunk(i: int, worker: int, x: Any, dy: Any, sums: Any, scratch: Any, share: int, shape: Any, tall: int, tiles: int) -> None:
        _, C, H, W, F, OH, OW, top, left = shape
        TH, TW = (OH + 1) // 2, (OW + 1) // 2
        v, end, fresh, of_x, of_dy = worker * share, tiles * (i + 1) // CHUNKS, True, _plane(block, C), _plane(block, F)
        d, first = v + POINTS * of_x, tiles * i // CHUNKS
        n, h, w = first // (TH * TW), first // TW % TH * 2, first % TW * 2
        while first < end:
            count = min(block, end - first)
            for t in range(count):
                read_tile(x, n * H * W * C, h - top, w - left, H, W, C, scratch, v + t * C, of_x)
                dy_tile(dy, n * OH * OW * F, h, w, OH, OW, F, scratch, d + t * F, of_dy)
                n, h, w = _next(n, h, w, OH, OW)
            for p in range(POINTS):
                for r in range(0, tall, rows):
                    to = ((i * POINTS + p) * tall + r) * F
                    for f in range(0, F - F % wide, wide):
                        two(scratch, v + p * of_x + r, C, d + p * of_dy + f, F, count, sums, to + f, fresh)
                    if F % wide:
                        one(scratch, v + p * of_x + r, C, d + p * of_dy + F - lanes, F, count, sums, to + F - lanes, fresh)
            fresh = False
            first += block
        if fresh:
            sums[i * POINTS * tall * F:(i + 1) * POINTS * tall * F] = 0

    @jit(c, rows)
    def run(x: Any, dy: Any, sums: Any, taps: Any, scratch: Any, share: int, shape: Any, tall: int, tiles: int, threads: int) -> None:
        C, F = shape[1], shape[4]
        parallel_for(chunk, CHUNKS, threads, (x, dy, sums, scratch, share, shape, tall, tiles))
        parallel_for(finish, C, threads if C * F > 2048 else 1, (sums, taps, tall, F))

    read, numbers = flat(dtype, True), flat(dtype)
    return compile_for(run, read, read, numbers, numbers, numbers, types.int64, SHAPE, types.int64, types.int64, types.int64)


@functools.cache
def _outer(rows: int, vecs: int, lanes: int) -> Any:
    @jit(rows, vecs, lanes)
    def outer(scratch: Any, v: int, C: int, d: int, F: int, count: int, sums: Any, to: int, fresh: bool) -> None:
        """sums[r, f] += sum over tiles of V[t, r] * D[t, f]."""
        acc = zero(rows, vecs, lanes, sums)
        if not fresh:
            acc = load_tile(acc, sums, to, F)
        for t in range(count):
            acc = multiply_add(acc, scratch, v + t * C, 1, scratch, d + t * F)
        store_tile(acc, sums, to, F, vecs * lanes)
    return outer
