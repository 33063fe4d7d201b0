"""Depthwise convolution (one filter a channel) and its gradients: channels are the lanes, and no number is broadcast.

    y[n, oh, ow, c] = b[c] + sum over kh, kw of image[n, oh*SH + kh*DH, ow*SW + kw*DW, c] * w[kh, kw, c]

    a tile holds 7 neighbouring pixels x 32 channels of y; of each row of the kernel, the weights stay in registers and every vector of
    the image is loaded once for all windows of the tile that see it.

Only KH*KW multiply-adds a number of y: moving x and y is what takes the time. Bands, borders and phases are those of `sliding_sum`.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import BAND_BYTES, PHASE, Tile, best_rows, registers
from minicnn.kernels.numba_backend.simd import load, multiply_add, relu, slide, slide_back, store, zero
from minicnn.kernels.numba_backend.sliding_sum import fill
from minicnn.kernels.numba_backend.types import compile_for, flat, record
from minicnn.kernels.window import Window2d

PIXELS = 4                   # that the weight gradient takes at a time
CHUNKS = 16                  # of its batch; every chunk has a private copy of the sums


def depthwise_rows(widths: tuple[int, ...], tile: Tile, taps: int) -> int:
    """How many output pixels a tile holds: sums, a kernel row and one vector of the image in registers."""
    return best_rows(widths, min(8, registers()[1] // tile.vecs - taps - 1))


@functools.cache
def depthwise(dtype: Any, rows: int, tile: Tile, taps: int, stride: int, dilation: int) -> Any:
    """The sum for `taps` neighbouring taps at a time: run(x, images, w, b, y, scratch, starts, phases, tasks, rectify, threads).

    w [phase][tap][channels rounded up to whole tiles].
    """
    vecs, lanes = tile
    block = tile.columns

    @jit(rows, tile, taps, stride, dilation)
    def band(i: int, worker: int, x: Any, images: int, w: Any, b: Any, y: Any, scratch: Any, share: int, starts: Any, phases: Any,
             rectify: bool) -> None:
        """One band of rows of one image, of one phase."""
        bands = phases[0].bands
        g, n, part = phases[i // (images * bands)], i // bands % images, i % bands
        first, end = part * g.band, min(g.OH, (part + 1) * g.band)
        if first >= end:
            return
        row, wide = g.width * g.C, -(-g.C // block) * block
        if g.direct:
            image, at = x, (n * g.H + first * g.SH - g.top) * row - g.left * g.C
        else:
            image, at = scratch, worker * share
            fill(x, n * g.H * g.W * g.C, g.H, g.W, g.C, first * g.SH - g.top, (end - first - 1) * g.SH + g.reach, g.left, g.width,
                 scratch, at)
        for oh in range(first, end):
            for c in range(0, g.C, block):
                for begin in range(0, g.OW, rows):
                    ow = min(begin, g.OW - rows)
                    acc = load(zero(rows, vecs, lanes, y), b, c, 0)
                    pixel, weights = at + (oh - first) * g.SH * row + ow * g.SW * g.C + c, g.first_tap * wide + c
                    for t in range(0, g.taps, taps):
                        acc = slide(acc, image, pixel + starts[g.first_run + t], g.C, w, weights, wide, taps, stride, dilation)
                        weights += taps * wide
                    if rectify:
                        acc = relu(acc)
                    store(acc, y, g.y_start + n * g.y_image + oh * g.y_row + ow * g.y_pixel + c, g.y_pixel, g.C - c)

    @jit(rows, tile, taps, stride, dilation)
    def run(x: Any, images: int, w: Any, b: Any, y: Any, scratch: Any, starts: Any, phases: Any, tasks: int, rectify: bool,
            threads: int) -> None:
        parallel_for(band, tasks, threads, (x, images, w, b, y, scratch, scratch.size // threads, starts, phases, rectify))

    numbers, read = flat(dtype), flat(dtype, readonly=True)
    return compile_for(run, read, types.int64, numbers, numbers, numbers, numbers, flat(np.int64), record(PHASE), types.int64,
                       types.boolean, types.int64)


CUT = np.dtype([(name, np.int64) for name in (
    "N", "H", "W", "C", "OH", "OW", "SH", "SW", "KH", "DH", "top", "left", "width", "band", "bands", "chunks")], align=True)


@functools.cache
def depthwise_cut(x_shape: tuple[int, ...], window: Window2d, itemsize: int) -> np.ndarray:
    """How the weight gradient is cut: chunks of the bands of all images."""
    N, C, H, W = x_shape
    (OH, OW), (KH, KW), (SH, SW), (DH, DW) = window.output_size((H, W)), window.kernel, window.stride, window.dilation
    width = (OW - 1) * SW + (KW - 1) * DW + 1
    fitting = max(1, (BAND_BYTES // (width * C * itemsize) - (KH - 1) * DH) // SH)
    band = min(OH, fitting, -(-N * OH // CHUNKS))
    bands = -(-OH // band)
    top, _, left, _ = window.padding
    return np.array([(N, H, W, C, OH, OW, SH, SW, KH, DH, top, left, width, band, bands, min(CHUNKS, N * bands))], CUT)


@functools.cache
def depthwise_weight_gradient(dtype: Any, tile: Tile, KW: int, stride: int, dilation: int) -> Any:
    """run(x, dy, sums, scratch, cut, one, dw, threads): chunks of the bands, each with its sums [tap][channel]."""
    vecs, lanes = tile
    block = tile.columns

    @jit(tile, KW, stride, dilation)
    def chunk(i: int, worker: int, x: Any, dy: Any, sums: Any, scratch: Any, share: int, cut: Any) -> None:
        g = cut[0]
        row, wide, units = g.width * g.C, -(-g.C // block) * block, g.N * g.bands
        begin, x_at = units * i // g.chunks, worker * share
        for unit in range(begin, units * (i + 1) // g.chunks):
            n, first = unit // g.bands, unit % g.bands * g.band
            OH = min(g.band, g.OH - first)
            fill(x, n * g.H * g.W * g.C, g.H, g.W, g.C, first * g.SH - g.top, (OH - 1) * g.SH + (g.KH - 1) * g.DH + 1, g.left, g.width,
                 scratch, x_at)
            for kh in range(g.KH):
                for c in range(0, g.C, block):
                    to = (i * g.KH + kh) * KW * wide + c
                    acc = zero(KW, vecs, lanes, sums)
                    if unit > begin:
                        acc = load(acc, sums, to, wide)
                    for oh in range(OH):
                        pixel, d = x_at + (oh * g.SH + kh * g.DH) * row + c, ((n * g.OH + first + oh) * g.OW) * g.C + c
                        for _ in range(g.OW // PIXELS):
                            acc = slide_back(acc, scratch, pixel, g.C, dy, d, g.C, PIXELS, stride, dilation)
                            pixel += PIXELS * g.SW * g.C
                            d += PIXELS * g.C
                        for _ in range(g.OW % PIXELS):
                            acc = slide_back(acc, scratch, pixel, g.C, dy, d, g.C, 1, stride, dilation)
                            pixel += g.SW * g.C
                            d += g.C
                    store(acc, sums, to, wide, block)

    @jit(tile, KW, stride, dilation)
    def run(x: Any, dy: Any, sums: Any, scratch: Any, cut: Any, one: Any, dw: Any, threads: int) -> None:
        g = cut[0]
        parallel_for(chunk, g.chunks, threads, (x, dy, sums, scratch, scratch.size // threads, cut))
        wide = -(-g.C // block) * block
        for tap in range(g.KH * KW):
            for c in range(0, g.C, lanes):
                at = tap * wide + c
                acc = load(zero(1, 1, lanes, sums), sums, at, 0)
                for number in range(1, g.chunks):
                    acc = multiply_add(acc, one, 0, 0, sums, number * g.KH * KW * wide + at)
                store(acc, sums, at, 0, lanes)
                for k in range(min(lanes, g.C - c)):
                    dw[(c + k) * g.KH * KW + tap] = sums[at + k]

    numbers, read = flat(dtype), flat(dtype, readonly=True)
    return compile_for(run, read, read, numbers, numbers, record(CUT), numbers, numbers, types.int64)
