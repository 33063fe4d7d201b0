"""Batch normalisation, ReLU and the largest of every 2 x 2 pixels, as one: what lies between them is never in memory.

    y[n, oh, ow, c] = max over i, j < 2 of relu((x[n, 2*oh + i, 2*ow + j, c] - mean[c]) * scale[c] + beta[c])

    for every row of windows, for every vector of channels, for every window:  y = the best of four

Backward looks for the winners once more, which takes a few comparisons and no memory: the first pass sums dy and dy * (x - mean) over the
winners that relu let pass, the second writes dx of all pixels. Fast because x is read once forward and twice backward, and nothing else of
its size but dx is touched: one by one, the layers pass over memory of that size twelve times.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.batch_norm import affine, channels, slopes
from minicnn.kernels.numba_backend.flat import COMPILED, flat, shaped
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.lanes import (
    BYTES,
    accumulate,
    better,
    chosen,
    equal,
    fill,
    load,
    minus,
    plus,
    positive,
    rectified,
    store,
    times,
)
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.rows import SHORT

TASKS = 32                                                       # chunks of the rows of windows, by the shape alone


def batch_norm_pool(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> Any:
    """max_pool2d(batch_norm(x, ..., relu=True)) with windows of 2 x 2: (N, C, H, W) -> (N, C, H//2, W//2)."""
    N, C, H, W = x.shape
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_pool(x, gamma, beta, mean, var, eps)
    n, y = _vector(C, x.itemsize), empty((N * (H // 2) * (W // 2) * C,), x.dtype)
    _forward(n, C % n > 0)(
        flat(x, True), y, channels(gamma, x, 1), channels(beta, x, 0), channels(mean, x), channels(var, x), float(eps),
        np.empty((3, C), x.dtype), H, W, N * (H // 2), workers(x.size))
    return shaped(y, (N, C, H // 2, W // 2), True)


def batch_norm_pool_grad(dy: Any, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta for dy of y (N, C, H//2, W//2), mean and var being those of x: the first of equal pixels is the winner.

        dz = dy at the winner of each window if y is positive, else 0;    dx, dgamma, dbeta = batch_norm_grad(dz, x, ...)
    """
    N, C, H, W = x.shape
    if x.dtype not in COMPILED or dy.size == 0:
        return numpy_backend.batch_norm_pool_grad(dy, x, gamma, beta, mean, var, eps)
    n, rows, threads = _vector(C, x.itemsize), N * (H // 2), workers(x.size)
    dx, dgamma, dbeta = empty((x.size,), x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    lanes, parts, sums = np.empty((6, C), x.dtype), np.empty((threads, 2, -(-C // n) * n)), np.zeros((min(TASKS, rows), 2, C))
    _backward(n, C % n > 0)(
        flat(dy, True), flat(x, True), dx, channels(gamma, x, 1), channels(beta, x, 0), channels(mean, x), channels(var, x), float(eps),
        dgamma, dbeta, lanes, parts, sums, H, W, rows, threads)
    return shaped(dx, x.shape, True), dgamma, dbeta


def _vector(C: int, itemsize: int) -> int:
    """Channels in a vector: two registers where they come out even, else one."""
    most = BYTES // itemsize
    return most if C % most == 0 else most // 2


@functools.cache
def _forward(n: int, part: bool) -> Any:
    @jit(n)
    def windows(x: Any, at: int, below: int, y: Any, to: int, OW: int, C: int, c: int, lanes: Any, left: Any) -> None:
        """A row of windows, for the channels from c on: n, or `left` if it is not None."""
        m, s, b = load(lanes[0], c, n, left), load(lanes[1], c, n, left), load(lanes[2], c, n, left)
        for p in range(OW):
            i = at + 2 * p * C + c
            best = plus(times(minus(load(x, i, n, left), m), s), b)
            best = better(plus(times(minus(load(x, i + C, n, left), m), s), b), best)
            best = better(plus(times(minus(load(x, i + below, n, left), m), s), b), best)
            best = better(plus(times(minus(load(x, i + below + C, n, left), m), s), b), best)
            store(rectified(best), y, to + p * C + c, n, left)

    @jit(n, part)
    def task(i: int, worker: int, x: Any, y: Any, lanes: Any, H: int, W: int, rows: int, tasks: int) -> None:
        C, OH, OW = lanes.shape[1], H // 2, W // 2
        for row in range(rows * i // tasks, rows * (i + 1) // tasks):
            at = (row // OH * H + row % OH * 2) * W * C
            for c in range(0, C, n):
                if part:
                    windows(x, at, W * C, y, row * OW * C, OW, C, c, lanes, C - c)
                else:
                    windows(x, at, W * C, y, row * OW * C, OW, C, c, lanes, None)

    @jit(n, part)
    def run(x: Any, y: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, lanes: Any, H: int, W: int, rows: int,
            threads: int) -> None:
        tasks = min(TASKS, rows)
        affine(gamma, beta, mean, var, eps, lanes)
        parallel_for(task, tasks, threads, (x, y, lanes, H, W, rows, tasks))
    return run


@functools.cache
def _backward(n: int, part: bool) -> Any:
    sums_task, gradient_task = _sums(n, part), _gradient(n, part)

    @jit(n, part)
    def run(dy: Any, x: Any, dx: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, dgamma: Any, dbeta: Any, lanes: Any,
            parts: Any, sums: Any, H: int, W: int, rows: int, threads: int) -> None:
        """lanes (6, C); in float64 parts (threads, 2, C in whole vectors) and sums (tasks, 2, C), zeros."""
        affine(gamma, beta, mean, var, eps, lanes)
        parallel_for(sums_task, sums.shape[0], threads, (dy, x, lanes, parts, H, W, rows, sums))
        slopes(sums, gamma, var, eps, x.size // mean.size, dgamma, dbeta, lanes)
        parallel_for(gradient_task, sums.shape[0], threads, (dy, x, dx, lanes, H, W, rows, sums.shape[0]))
    return run


@functools.cache
def _sums(n: int, part: bool) -> Any:
    @jit(n)
    def windows(dy: Any, to: int, x: Any, at: int, below: int, OW: int, C: int, c: int, lanes: Any, own: Any, left: Any) -> None:
        """own (2, C) += the sums of dy and of dy * (x - mean) over the winners of a row of windows; few of them in x's precision."""
        m, s, b = load(lanes[0], c, n, left), load(lanes[1], c, n, left), load(lanes[2], c, n, left)
        for first in range(0, OW, SHORT):
            of_dy, of_products = fill(x, 0.0, n), fill(x, 0.0, n)
            for p in range(first, min(OW, first + SHORT)):
                i = at + 2 * p * C + c
                d = minus(load(x, i, n, left), m)
                best = plus(times(d, s), b)
                e = minus(load(x, i + C, n, left), m)
                z = plus(times(e, s), b)
                d, best = chosen(z, best, e, d), better(z, best)
                e = minus(load(x, i + below, n, left), m)
                z = plus(times(e, s), b)
                d, best = chosen(z, best, e, d), better(z, best)
                e = minus(load(x, i + below + C, n, left), m)
                z = plus(times(e, s), b)
                d, best = chosen(z, best, e, d), better(z, best)
                g = positive(best, load(dy, to + p * C + c, n, left))
                of_dy, of_products = plus(of_dy, g), plus(of_products, times(g, d))
            accumulate(of_dy, own[0], c, n)
            accumulate(of_products, own[1], c, n)

    @jit(n, part)
    def task(i: int, worker: int, dy: Any, x: Any, lanes: Any, parts: Any, H: int, W: int, rows: int, sums: Any) -> None:
        C, OH, OW, own, tasks = lanes.shape[1], H // 2, W // 2, parts[worker], sums.shape[0]
        own[:] = 0
        for row in range(rows * i // tasks, rows * (i + 1) // tasks):
            at = (row // OH * H + row % OH * 2) * W * C
            for c in range(0, C, n):
                if part:
                    windows(dy, row * OW * C, x, at, W * C, OW, C, c, lanes, own, C - c)
                else:
                    windows(dy, row * OW * C, x, at, W * C, OW, C, c, lanes, own, None)
        for c in range(C):
            sums[i, 0, c], sums[i, 1, c] = own[0, c], own[1, c]
    return task


@functools.cache
def _gradient(n: int, part: bool) -> Any:
    @jit(n)
    def windows(dy: Any, to: int, x: Any, dx: Any, at: int, below: int, OW: int, C: int, c: int, lanes: Any, left: Any) -> None:
        """dx of the pixels under a row of windows."""
        m, s, b = load(lanes[0], c, n, left), load(lanes[1], c, n, left), load(lanes[2], c, n, left)
        scale, constant, slope = load(lanes[3], c, n, left), load(lanes[4], c, n, left), load(lanes[5], c, n, left)
        zero, one, two, three = fill(x, 0.0, n), fill(x, 1.0, n), fill(x, 2.0, n), fill(x, 3.0, n)
        for p in range(OW):
            i = at + 2 * p * C + c
            d0, d1 = minus(load(x, i, n, left), m), minus(load(x, i + C, n, left), m)
            d2, d3 = minus(load(x, i + below, n, left), m), minus(load(x, i + below + C, n, left), m)
            best, z = plus(times(d0, s), b), plus(times(d1, s), b)
            winner, best = chosen(z, best, one, zero), better(z, best)
            z = plus(times(d2, s), b)
            winner, best = chosen(z, best, two, winner), better(z, best)
            z = plus(times(d3, s), b)
            winner, best = chosen(z, best, three, winner), better(z, best)
            g = positive(best, load(dy, to + p * C + c, n, left))
            store(times(minus(minus(equal(winner, zero, g), constant), times(d0, slope)), scale), dx, i, n, left)
            store(times(minus(minus(equal(winner, one, g), constant), times(d1, slope)), scale), dx, i + C, n, left)
            store(times(minus(minus(equal(winner, two, g), constant), times(d2, slope)), scale), dx, i + below, n, left)
            store(times(minus(minus(equal(winner, three, g), constant), times(d3, slope)), scale), dx, i + below + C, n, left)

    @jit(n)
    def bare(x: Any, dx: Any, at: int, pixels: int, step: int, c: int, lanes: Any, left: Any) -> None:
        """dx of pixels that no window has a tap on: the batch's mean and variance depend on them all the same."""
        m, scale, constant, slope = (load(lanes[0], c, n, left), load(lanes[3], c, n, left), load(lanes[4], c, n, left),
                                     load(lanes[5], c, n, left))
        for p in range(pixels):
            i = at + p * step + c
            dz = minus(minus(fill(x, 0.0, n), constant), times(minus(load(x, i, n, left), m), slope))
            store(times(dz, scale), dx, i, n, left)

    @jit(n)
    def row_of(dy: Any, row: int, x: Any, dx: Any, H: int, W: int, C: int, c: int, lanes: Any, left: Any) -> None:
        """One row of windows, with the odd column beside it and, after an image's last, the odd row below it."""
        OH, OW = H // 2, W // 2
        at = (row // OH * H + row % OH * 2) * W * C
        windows(dy, row * OW * C, x, dx, at, W * C, OW, C, c, lanes, left)
        if W % 2:
            bare(x, dx, at + (W - 1) * C, 2, W * C, c, lanes, left)
        if H % 2 and row % OH == OH - 1:
            bare(x, dx, at + 2 * W * C, W, C, c, lanes, left)

    @jit(n, part)
    def task(i: int, worker: int, dy: Any, x: Any, dx: Any, lanes: Any, H: int, W: int, rows: int, tasks: int) -> None:
        C = lanes.shape[1]
        for row in range(rows * i // tasks, rows * (i + 1) // tasks):
            for c in range(0, C, n):
                if part:
                    row_of(dy, row, x, dx, H, W, C, c, lanes, C - c)
                else:
                    row_of(dy, row, x, dx, H, W, C, c, lanes, None)
    return task
