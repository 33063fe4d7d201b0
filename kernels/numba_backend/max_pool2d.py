"""Max pooling, a band of rows a task. The arithmetic along a row is in `pool_simd`, the cutting in `pool_plan`.

    for every image and row of windows:  y, argmax = the largest tap of each, for all channels at once

    where windows do not overlap         for every row of windows: their taps in dx = dy, or 0 if they did not win
    where they do                        for every row of pixels: dx = the sum of dy over the windows that the pixel won

Fast because channels-last makes the loop over channels a vector instruction, whatever the window is; and because every pixel of dx is
written by one thread and once, so no zeros are put there first, and no sum depends on who adds first.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.pool_plan import fields, first_pixel_row, plan
from minicnn.kernels.numba_backend.pool_simd import give_winner, largest, take_won
from minicnn.kernels.numba_backend.types import compile_for, flat
from minicnn.kernels.numba_backend.vectors import BYTES
from minicnn.kernels.window import Window2d

INDEX = np.dtype(np.int32)                                       # half the memory, and half the loads, of int64
MOST = 1 << 31                                                   # pixels of an image that it can number
PAIRS = types.Array(types.int64, 2, "C")


def max_pool2d(x: Any, window: Window2d) -> tuple[Any, Any]:
    """y = the largest value under each window; argmax = its flat index h*W + w in the input plane, as int32.

    The first maximum in row-major order wins, NaN wins over numbers; a window that sees only padding gives -inf and argmax -1.
    Shapes: x (N, C, H, W) -> y and argmax (N, C, OH, OW).
    """
    if x.dtype not in COMPILED or x.shape[2] * x.shape[3] > MOST:
        return numpy_backend.max_pool2d(x, window)
    p = plan(x.shape, window)
    shape = (x.shape[0], *p.output, x.shape[1])                  # (N, OH, OW, C)
    y, argmax = empty(shape, x.dtype), empty(shape, INDEX)
    _forward(x.dtype)(dense(x), y.reshape(-1), argmax.reshape(-1), p.spans, p.lines, p.grid, p.tasks, workers(p.operations))
    return y.transpose(0, 3, 1, 2), argmax.transpose(0, 3, 1, 2)


def max_pool2d_grad(dy: Any, argmax: Any, input_shape: tuple[int, ...], window: Window2d) -> Any:
    """dx: each window hands its dy to its winner, and a pixel that won several windows adds them up.

    Shapes: dy and argmax (N, C, OH, OW) -> dx (N, C, H, W).
    """
    if dy.dtype not in COMPILED or input_shape[2] * input_shape[3] > MOST:
        return numpy_backend.max_pool2d_grad(dy, argmax, input_shape, window)
    p = plan(input_shape, window, pixels=True)
    N, C, H, W = input_shape
    dx = empty((N, H, W, C), dy.dtype)
    winners = dense(argmax if argmax.dtype == INDEX else argmax.astype(INDEX))
    kernel = _take if p.overlap else _give
    kernel(dy.dtype)(dense(dy), winners, dx.reshape(-1), p.spans, p.lines, p.grid, p.tasks, workers(p.operations))
    return dx.transpose(0, 3, 1, 2)


@functools.cache
def _forward(dtype: Any) -> Any:
    @jit(BYTES)
    def task(i: int, worker: int, x: Any, y: Any, argmax: Any, spans: Any, lines: Any, grid: Any) -> None:
        H, W, OH, OW, C, step, skip, down, right, bands, band, _, _, _ = fields(grid)
        n, top = i // bands, i % bands * band
        for row in range(top, min(OH, top + band)):
            h, rows = spans[row, 0], spans[row, 1]
            for k in range(len(lines)):
                column, count, w, columns = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
                line = count, step, skip, rows, down * W, columns, right, C
                largest(line, x, ((n * H + h) * W + w) * C, h * W + w, y, argmax, ((n * OH + row) * OW + column) * C)

    @jit()
    def run(x: Any, y: Any, argmax: Any, spans: Any, lines: Any, grid: Any, tasks: int, threads: int) -> None:
        parallel_for(task, tasks, threads, (x, y, argmax, spans, lines, grid))

    return compile_for(run, flat(dtype, True), flat(dtype), flat(INDEX), PAIRS, PAIRS, flat(np.int64), types.int64, types.int64)


@functools.cache
def _give(dtype: Any) -> Any:
    @jit(BYTES)
    def task(i: int, worker: int, dy: Any, argmax: Any, dx: Any, spans: Any, lines: Any, grid: Any) -> None:
        H, W, OH, OW, C, step, skip, down, right, bands, band, SH, PT, gaps = fields(grid)
        n, top = i // bands, i % bands * band
        end = min(OH, top + band)
        if gaps:
            dx[(n * H + first_pixel_row(top, OH, SH, PT, H)) * W * C:(n * H + first_pixel_row(end, OH, SH, PT, H)) * W * C] = 0
        for row in range(top, end):
            h, rows = spans[row, 0], spans[row, 1]
            for k in range(len(lines)):
                column, count, w, columns = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
                line = count, skip, step, rows, down * W, columns, right, C
                give_winner(line, dy, argmax, ((n * OH + row) * OW + column) * C, h * W + w, dx, ((n * H + h) * W + w) * C)

    return _gradient(dtype, task)


@functools.cache
def _take(dtype: Any) -> Any:
    @jit(BYTES)
    def task(i: int, worker: int, dy: Any, argmax: Any, dx: Any, spans: Any, lines: Any, grid: Any) -> None:
        OH, OW, H, W, C, step, skip, down, right, bands, band, _, _, _ = fields(grid)
        n, top = i // bands, i % bands * band
        for row in range(top, min(H, top + band)):
            oh, rows = spans[row, 0], spans[row, 1]
            for k in range(len(lines)):
                column, count, ow, columns = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
                line = count, step, skip, rows, down * OW, columns, right, C
                take_won(line, dy, argmax, ((n * OH + oh) * OW + ow) * C, row * W + column, dx, ((n * H + row) * W + column) * C)

    return _gradient(dtype, task)


def _gradient(dtype: Any, task: Any) -> Any:
    @jit()
    def run(dy: Any, argmax: Any, dx: Any, spans: Any, lines: Any, grid: Any, tasks: int, threads: int) -> None:
        parallel_for(task, tasks, threads, (dy, argmax, dx, spans, lines, grid))

    return compile_for(run, flat(dtype, True), flat(INDEX, True), flat(dtype), PAIRS, PAIRS, flat(np.int64), types.int64, types.int64)
