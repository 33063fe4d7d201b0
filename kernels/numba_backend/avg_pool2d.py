"""Average pooling, a band of rows a task. The arithmetic along a row is in `pool_simd`, the cutting in `pool_plan`.

    for every image and row of windows:  y = the sum of each one's taps / its divisor, for all channels at once

    where windows do not overlap         for every row of windows: their taps in dx = dy / divisor
    where they do                        for every row of pixels: dx = the sum of dy over the windows that have a tap here / divisor

Fast because channels-last makes the loop over channels a vector instruction, whatever the window is, and every pixel is written once. Seen
from dx, windows that overlap are taps of a window in dy: the gradient is the forward pass once more.
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
from minicnn.kernels.numba_backend.pool_simd import average, give_all
from minicnn.kernels.numba_backend.types import compile_for, flat
from minicnn.kernels.numba_backend.vectors import BYTES
from minicnn.kernels.window import Window2d

PAIRS = types.Array(types.int64, 2, "C")


def avg_pool2d(x: Any, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """y = (sum under the window) / divisor: `divisor_override`, or how many cells the window covers.

    count_include_pad: padding counts as cells of value 0; what a ceil_mode window hangs over the padding's end never counts.
    Shapes: x (N, C, H, W) -> y (N, C, OH, OW).
    """
    if x.dtype not in COMPILED:
        return numpy_backend.avg_pool2d(x, window, count_include_pad, divisor_override)
    p = plan(x.shape, window, count_include_pad, divisor_override)
    y = empty((x.shape[0], *p.output, x.shape[1]), x.dtype)      # (N, OH, OW, C)
    _sum(x.dtype)(dense(x), y.reshape(-1), p.cells, p.spans, p.lines, p.grid, p.tasks, workers(p.operations))
    return y.transpose(0, 3, 1, 2)


def avg_pool2d_grad(dy: Any, input_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True,
                    divisor_override: int | None = None) -> Any:
    """dx: each output shares dy / divisor with every pixel it averaged. Shapes: dy (N, C, OH, OW) -> dx (N, C, H, W)."""
    if dy.dtype not in COMPILED:
        return numpy_backend.avg_pool2d_grad(dy, input_shape, window, count_include_pad, divisor_override)
    p = plan(input_shape, window, count_include_pad, divisor_override, pixels=True)
    N, C, H, W = input_shape
    dx = empty((N, H, W, C), dy.dtype)
    shares = dy if p.uneven is None else dy / p.uneven.astype(dy.dtype)
    kernel = _sum if p.overlap else _give
    kernel(dy.dtype)(dense(shares), dx.reshape(-1), p.cells, p.spans, p.lines, p.grid, p.tasks, workers(p.operations))
    return dx.transpose(0, 3, 1, 2)


@functools.cache
def _sum(dtype: Any) -> Any:
    @jit(BYTES)
    def task(i: int, worker: int, x: Any, y: Any, cells: Any, spans: Any, lines: Any, grid: Any) -> None:
        """Of the taps of windows in x; or, in the gradient, of the windows in dy (here x) that have a tap on a pixel of dx (here y)."""
        H, W, OH, OW, C, step, skip, down, right, bands, band, _, _, _ = fields(grid)
        n, top = i // bands, i % bands * band
        for row in range(top, min(OH, top + band)):
            h, rows = spans[row, 0], spans[row, 1]
            for k in range(len(lines)):
                column, count, w, columns = lines[k, 0], lines[k, 1], lines[k, 2], lines[k, 3]
                line = count, step, skip, rows, down * W, columns, right, C
                average(line, x, ((n * H + h) * W + w) * C, cells, OH + column, cells[row], y, ((n * OH + row) * OW + column) * C)

    return _run(dtype, task)


@functools.cache
def _give(dtype: Any) -> Any:
    @jit(BYTES)
    def task(i: int, worker: int, dy: Any, dx: Any, cells: Any, spans: Any, lines: Any, grid: Any) -> None:
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
                give_all(line, dy, ((n * OH + row) * OW + column) * C, cells, OH + column, cells[row], dx, ((n * H + h) * W + w) * C)

    return _run(dtype, task)


def _run(dtype: Any, task: Any) -> Any:
    @jit()
    def run(given: Any, made: Any, cells: Any, spans: Any, lines: Any, grid: Any, tasks: int, threads: int) -> None:
        parallel_for(task, tasks, threads, (given, made, cells, spans, lines, grid))

    return compile_for(run, flat(dtype, True), flat(dtype), flat(np.float64), PAIRS, PAIRS, flat(np.int64), types.int64, types.int64)
