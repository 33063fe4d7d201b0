"""The smallest complete convolution on register tiles: read it from top to bottom.

The sum of a convolution passes through memory once for every product in `parallel_loops.py`. Here a *tile* of sums stays in the processor's
vector registers until it is complete. With AVX-512 (32 registers of 16 floats) the tile is 14 pixels by 2 vectors of filters:

                            32 filters f: one row of weights w[kh, kw, c]
                                2 registers     b0 | b1
        14 pixels of a row                      ---+---
        x[n, h, w,      c]      1 register, a   s0 | s1        s0 += a * b0        s1 += a * b1
        x[n, h, w + SW, c]      the same, anew  s2 | s3        s2 += a * b0        s3 += a * b1
        ...                                     .. | ..                                            for every kh, kw and c
        x[n, h, w + 13*SW, c]                   s26| s27
                                                28 registers

Why 14 x 2:
- It fits: 28 sums, 2 weights and 1 pixel's value, broadcast to all lanes, are 31 of 32 registers. One more row would not.
- Little is loaded: 14 + 2 loads feed 28 fused multiply-adds of 16 lanes each, 0.57 loads for one. With a single sum it would be 2 loads for
  one, and processors load about as many vectors in a cycle as they multiply.
- Nothing waits: a multiply-add takes 4 cycles, and up to 2 can begin in every cycle, so 8 sums that do not depend on each other keep the
  processor busy. There are 28.
- Nothing is written but results: each sum is stored once.
In general a CPU with R registers gets tiles of (R - 3) // 2 rows: AVX2 has 16 registers of 8 floats, so 6 x 2 (a seventh row would be kept
in memory, at half the speed); NEON has 32 of 4, so 14 x 2. A register holds half as many doubles.

What the compiler makes of one multiply_add is 2 loads, and for each of the 14 pixels

        vbroadcastss  a      <- x[pixel + r*SW, c]     the same number in all 16 lanes
        vfmadd231ps   s[2r]     += a * b0
        vfmadd231ps   s[2r + 1] += a * b1

Weights are packed as [F/32][KH][KW][C][32], the order in which the tile asks for them, so they stream from the cache; the last block is
filled up with zeros. Images are copied with the zeros of their padding around them, so no loop asks where the image ends.

The gradients are tiles too. dx is itself a convolution, of dy by the weights turned around. dw is a sum over pixels, and its tile is 14
channels by 32 filters: a[r] = x[pixel, c + r], b = dy[pixel, f : f + 32].

What it leaves out, and numba_backend's own convolution does: tiles as high as fit the image's width (here the last tile of a row hangs over
its end, and what hangs over is lost work), narrower vectors where there are few filters, borders filled a band of rows at a time instead
of a copy of x, gradients of strided convolutions without zeros between the pixels, channels that are not mixed (depthwise).
"""
from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.numba_backend.jit import config, jit
from minicnn.kernels.numba_backend.memory import channels_last, empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.simd import load, multiply_add, registers, store, zero
from minicnn.kernels.numba_backend.simd import relu as positive
from minicnn.kernels.window import Size, Window2d

Array = np.ndarray
PARTS = 16      # of the batch, at most, for dw: each has one of its own, so that the result does not depend on the threads


def missing() -> str | None:
    """Why this way cannot be used here, or None."""
    if config.DISABLE_JIT:
        return "register tiles are compiled code, and NUMBA_DISABLE_JIT is set"
    return None if registers()[0] else "minicnn does not know the vector registers of this CPU"


class Tile(NamedTuple):
    """rows pixels (of dw: channels) by vecs vectors of `lanes` filters."""
    rows: int
    vecs: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vecs * self.lanes


@functools.cache
def tile_of(itemsize: int) -> Tile:
    """For numbers of so many bytes: 2 vectors of weights and 1 broadcast number take 3 registers, the sums 2 a row."""
    size, count = registers()
    return Tile((count - 3) // 2, 2, size // itemsize)


def conv2d(x: Array, w: Array, b: Array | None, window: Window2d, groups: int = 1, relu: bool = False) -> Array:
    """Register tiles: the sums of 14 pixels and 32 filters (with AVX-512) stay in registers until they are complete.

    Shapes: x (N, C, H, W), w (F, C/G, KH, KW), b (F) or None -> y (N, F, OH, OW); relu: y = max(y, 0).
    """
    size, (PT, _, PL, _) = window.output_size(x.shape[2:]), window.padding
    return _convolve(x, w, b, size, window.stride, window.dilation, (PT, PL), (1, 1), groups, relu)


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Whole tiles, with what hangs over the end of a row or of the filters. For each of its multiply-adds a tile reads `rows` numbers of x
    and `columns` of w; y is written once; x and w are copied first."""
    (N, C), (F, CG, KH, KW), tile = x_shape[:2], w_shape, tile_of(itemsize)
    OH, OW = window.output_size(x_shape[2:])
    blocks = groups * -(-(F // groups) // tile.columns)
    steps = N * OH * -(-OW // tile.rows) * blocks * KH * KW * CG                     # multiply_add calls
    HP, WP = _span((OH, OW), window.stride, window.dilation, (KH, KW))
    x_copy, w_copy = N * HP * WP * C + tile.rows * window.stride[1] * C, blocks * (KH * KW * CG + 1) * tile.columns
    hanging = workers(N * F * OH * OW * CG * KH * KW) * tile.rows * tile.columns
    moved = steps * (tile.rows + tile.columns) + N * F * OH * OW + math.prod(x_shape) + x_copy + math.prod(w_shape) + w_copy
    return Cost(steps * tile.rows * tile.columns, moved * itemsize, (x_copy + w_copy + hanging) * itemsize)


def conv2d_grad_input(dy: Array, w: Array, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dx: the convolution of dy with the weights turned by 180 degrees and filters and channels exchanged.

    A stride put SH - 1 rows between the windows, so zeros go between the pixels of dy: simple, and 1 - 1/(SH*SW) of the work is wasted.
    """
    (F, CG, KH, KW), (DH, DW), (PT, _, PL, _) = w.shape, window.dilation, window.padding
    turned = w.reshape(groups, F // groups, CG, KH, KW)[..., ::-1, ::-1].swapaxes(1, 2).reshape(groups * CG, F // groups, KH, KW)
    before = DH * (KH - 1) - PT, DW * (KW - 1) - PL
    return _convolve(dy, turned, None, input_shape[2:], (1, 1), window.dilation, before, window.stride, groups, False)


def conv2d_grad_weight(dy: Array, x: Array, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dw: for each kernel offset a matrix product over pixels, tile by tile; parts of the batch apart, then their sum in order.

        dw[kh, kw, c, f] = sum over n, oh, ow of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * dy[n, oh, ow, f]
    """
    (N, F, OH, OW), (_, CG, KH, KW), tile = dy.shape, weight_shape, tile_of(dy.itemsize)
    FG, (PT, _, PL, _) = F // groups, window.padding
    padded = _span((OH, OW), window.stride, window.dilation, (KH, KW))
    xs, dys = _spread(x, padded, (PT, PL), (1, 1), tile.rows), _spread(dy, (OH, OW), (0, 0), (1, 1), tile.columns)
    whole = -(-CG // tile.rows) * tile.rows, -(-FG // tile.columns) * tile.columns       # in whole tiles
    parts = np.zeros((min(N, PARTS), KH * KW, groups, *whole), dy.dtype)
    _grad_weight(tile)(xs, dys, parts.reshape(-1), parts.shape, (N, OH, OW, F), (*padded, x.shape[1]), (CG, FG), KW, window.stride,
                       window.dilation, workers(dy.size * CG * KH * KW))
    dw = parts[..., :CG, :FG].sum(axis=0)        # (KH*KW, G, C/G, F/G); what hangs over in the tiles is of memory that nobody wrote
    return np.ascontiguousarray(dw.transpose(1, 3, 2, 0)).reshape(weight_shape)


def _convolve(x: Array, w: Array, b: Array | None, size: tuple[int, ...], stride: Size, dilation: Size, before: Size, apart: Size,
              groups: int, relu: bool) -> Array:
    """What conv2d and conv2d_grad_input have in common: pad, pack, and run the tiles. size: (OH, OW) of the result."""
    (F, CG, KH, KW), (OH, OW), tile = w.shape, size, tile_of(x.itemsize)
    y, padded = channels_last(len(x), F, OH, OW, x.dtype), _span((OH, OW), stride, dilation, (KH, KW))
    images = _spread(x, padded, before, apart, tile.rows * stride[1] * x.shape[1])
    weights, bias = _pack(w, b, groups, tile.columns)
    threads = workers(y.size * CG * KH * KW)
    hanging = np.empty(threads * tile.rows * tile.columns, x.dtype)
    _forward(tile)(images, weights.reshape(-1), bias.reshape(-1), y.transpose(0, 2, 3, 1).reshape(-1), hanging, (len(x), OH, OW, F),
                   (*padded, groups * CG), weights.shape, stride, dilation, relu, threads)
    return y


def _span(outputs: Size, stride: Size, dilation: Size, kernel: Size) -> Size:
    """The rows and columns that all windows together see."""
    HP, WP = ((o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(outputs, stride, dilation, kernel, strict=True))
    return HP, WP


def _pack(w: Array, b: Array | None, groups: int, columns: int) -> tuple[Array, Array]:
    """w (F, C/G, KH, KW) -> (G, blocks, KH, KW, C/G, columns) and b (F) -> (G, blocks, columns), the last block filled up with zeros."""
    (F, CG, KH, KW), FG = w.shape, len(w) // groups
    weights = np.zeros((groups, -(-FG // columns), KH, KW, CG, columns), w.dtype)
    bias = np.zeros((groups, weights.shape[1], columns), w.dtype)
    for first in range(0, F, FG):
        for f in range(0, FG, columns):
            block, at = slice(first + f, first + min(f + columns, FG)), (first // FG, f // columns)
            weights[at][..., :block.stop - block.start] = w[block].transpose(2, 3, 1, 0)
            if b is not None:
                bias[at][:block.stop - block.start] = b[block]
    return weights, bias


def _spread(x: Array, padded: Size, before: Size, apart: Size, room: int) -> Array:
    """x (N, C, H, W) as flat (N, HP, WP, C): its pixel (h, w) at before + apart * (h, w) where that is inside, zeros elsewhere. At the end
    there is `room` for what tiles read over the end of the last row; nobody uses what they make of it."""
    N, C = x.shape[:2]
    images = N * padded[0] * padded[1] * C
    flat = empty((images + room,), x.dtype)
    _copy(x.transpose(0, 2, 3, 1), flat[:images].reshape(N, *padded, C), before, apart, workers(images))
    return flat


@jit()
def _copy(x: Array, out: Array, before: Size, apart: Size, threads: int) -> None:
    parallel_for(_copy_row, out.shape[0] * out.shape[1], threads, (x, out, before, apart))


@jit()
def _copy_row(i: int, worker: int, x: Array, out: Array, before: Size, apart: Size) -> None:
    (_, H, W, C), (_, HP, WP, _), (top, left), (SH, SW) = x.shape, out.shape, before, apart
    n, row, down = i // HP, i % HP, i % HP - top
    for at in range(WP):
        for c in range(C):
            out[n, row, at, c] = 0
    if down % SH == 0 and 0 <= down // SH < H:
        for w in range(W):
            at = left + w * SW
            if 0 <= at < WP:
                for c in range(C):
                    out[n, row, at, c] = x[n, down // SH, w, c]


@functools.cache
def _forward(tile: Tile) -> Any:
    rows, vecs, lanes = tile
    columns = tile.columns

    @jit(rows, vecs, lanes)
    def tiles_of_row(i: int, worker: int, x: Array, w: Array, b: Array, y: Array, hanging: Array, y_shape: Any, x_shape: Any, w_shape: Any,
                     stride: Size, dilation: Size, relu: bool) -> None:
        """Row i of all output rows, in tiles of `rows` pixels and `columns` filters."""
        (_, OH, OW, F), (HP, WP, C), (groups, blocks, KH, KW, CG, _) = y_shape, x_shape, w_shape
        (SH, SW), (DH, DW), FG = stride, dilation, F // groups
        image_row = (i // OH * HP + i % OH * SH) * WP
        for block in range(groups * blocks):
            g, f = block // blocks, block % blocks * columns
            filters = min(columns, FG - f)
            for ow in range(0, OW, rows):
                acc, at = load(zero(rows, vecs, lanes, y), b, block * columns, 0), block * KH * KW * CG * columns
                for kh in range(KH):
                    for kw in range(KW):
                        pixel = (image_row + kh * DH * WP + ow * SW + kw * DW) * C + g * CG
                        for c in range(CG):
                            acc = multiply_add(acc, x, pixel + c, SW * C, w, at)
                            at += columns
                if relu:
                    acc = positive(acc)
                out = (i * OW + ow) * F + g * FG + f
                if ow + rows <= OW:
                    store(acc, y, out, F, filters)
                else:
                    kept = worker * rows * columns
                    store(acc, hanging, kept, columns, columns)
                    for r in range(OW - ow):
                        for j in range(filters):
                            y[out + r * F + j] = hanging[kept + r * columns + j]

    @jit(rows, vecs, lanes)
    def run(x: Array, w: Array, b: Array, y: Array, hanging: Array, y_shape: Any, x_shape: Any, w_shape: Any, stride: Size, dilation: Size,
            relu: bool, threads: int) -> None:
        parallel_for(tiles_of_row, y_shape[0] * y_shape[1], threads, (x, w, b, y, hanging, y_shape, x_shape, w_shape, stride, dilation,
                                                                      relu))
    return run


@functools.cache
def _grad_weight(tile: Tile) -> Any:
    rows, vecs, lanes = tile
    columns = tile.columns

    @jit(rows, vecs, lanes)
    def tiles_of_part(i: int, worker: int, x: Array, dy: Array, dw: Array, dw_shape: Any, y_shape: Any, x_shape: Any, per_group: Size,
                      KW: int, stride: Size, dilation: Size) -> None:
        """Kernel offset i % (KH*KW), of part i // (KH*KW) of the batch. A tile is put aside after every image, while the next tile uses the
        image that is still in the cache."""
        (parts, offsets, groups, CP, FP), (N, OH, OW, F), (HP, WP, C) = dw_shape, y_shape, x_shape
        (CG, FG), (SH, SW), (DH, DW), part, offset = per_group, stride, dilation, i // offsets, i % offsets
        for n in range(part * N // parts, (part + 1) * N // parts):
            corner = (n * HP + offset // KW * DH) * WP + offset % KW * DW
            for g in range(groups):
                for c in range(0, CG, rows):
                    for f in range(0, FG, columns):
                        at = ((i * groups + g) * CP + c) * FP + f
                        acc = load(zero(rows, vecs, lanes, dw), dw, at, FP)
                        for oh in range(OH):
                            pixel, out = (corner + oh * SH * WP) * C + g * CG + c, (n * OH + oh) * OW * F + g * FG + f
                            for ow in range(OW):
                                acc = multiply_add(acc, x, pixel + ow * SW * C, 1, dy, out + ow * F)
                        store(acc, dw, at, FP, columns)

    @jit(rows, vecs, lanes)
    def run(x: Array, dy: Array, dw: Array, dw_shape: Any, y_shape: Any, x_shape: Any, per_group: Size, KW: int, stride: Size,
            dilation: Size, threads: int) -> None:
        parallel_for(tiles_of_part, dw_shape[0] * dw_shape[1], threads, (x, dy, dw, dw_shape, y_shape, x_shape, per_group, KW, stride,
                                                                         dilation))
    return run
