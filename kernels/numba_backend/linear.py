"""The fully connected layer and its gradients: matrix products on register tiles. Shapes: x (M, I), w (O, I), b (O), y (M, O).

Each of the three reads its matrices as they are, none is transposed or packed:

    y[m, o]  = sum over i of x[m, i] * w[o, i]       both run along memory with i: lanes are parts of the sum, added up at the end
    dx[m, i] = sum over o of dy[m, o] * w[o, i]      w runs along memory with i, which the result keeps: an outer product a step
    dw[o, i] = sum over m of dy[m, o] * x[m, i]      likewise
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.plan import best_rows, registers
from minicnn.kernels.numba_backend.simd import add_sums, multiply, multiply_add, store, zero
from minicnn.kernels.numba_backend.types import compile_for, flat

PANEL = 1024                 # of the sum's terms at a time: so much of 6 rows of w stays in the level 1 cache while all rows of x pass
MANY = 6                     # rows of w in a tile
FEW_TERMS = 8                # of a sum: then writing the result is what takes the time


def linear(x: Any, w: Any, b: Any) -> Any:
    """y = x @ w.T + b, with 4 x 6 dot products at a time in registers; b may be None."""
    return prepare_linear(w, b)(x)


def prepare_linear(w: Any, b: Any, relu: bool = False, image: tuple[int, int, int] | None = None) -> Any:
    """linear, then relu, as a function of x, for weights that do not change any more.

    image: x is (M, C, H, W), of these C, H, W, and is flattened first: here in the order in which it lies in memory.
    """
    O, I = w.shape
    if image:
        w = w.reshape(O, *image).transpose(0, 2, 3, 1)           # (O, H, W, C)
    w, kernels = np.ascontiguousarray(w).reshape(-1), dict[Any, Any]()

    def product(x: Any) -> Any:
        if image:
            x = x.transpose(0, 2, 3, 1).reshape(len(x), I)
        M = len(x)
        run = kernels.get((M, x.dtype))
        if run is None:
            if not x.size or not w.size or x.dtype not in COMPILED:
                y = numpy_backend.linear(x, w.reshape(O, I), b)
                return np.maximum(y, 0) if relu else y
            run = kernels[M, x.dtype] = dot_products(x.dtype, best_rows((M,), 4), registers()[0] // x.itemsize)
        y = empty((M, O), x.dtype)
        y[...] = 0 if b is None else b
        run(np.ascontiguousarray(x).reshape(-1), w, y.reshape(-1), M, I, O, relu, workers(M * I * O // 8))
        return y
    return product


def linear_grad_input(dy: Any, w: Any) -> Any:
    """dx = dy @ w, in tiles of 14 rows x 32 inputs."""
    if not dy.size or not w.size or dy.dtype not in COMPILED:
        return numpy_backend.linear_grad_input(dy, w)
    dy = np.ascontiguousarray(dy)
    M, O = dy.shape
    return _product(dy, np.ascontiguousarray(w), M, O, O, 1)


def linear_grad_weight(dy: Any, x: Any) -> Any:
    """dw = dy.T @ x, in tiles of 14 outputs x 32 inputs."""
    if not dy.size or not x.size or x.dtype not in COMPILED:
        return numpy_backend.linear_grad_weight(dy, x)
    dy = np.ascontiguousarray(dy)
    M, O = dy.shape
    return _product(dy, np.ascontiguousarray(x), O, M, 1, O)


def _product(a: Any, b: Any, R: int, K: int, row: int, step: int) -> Any:
    """out[r, i] = sum over k of a[r*row + k*step] * b[k, i]        b (K, I) -> out (R, I)"""
    dtype, I = a.dtype, b.shape[1]
    size, count = registers()
    lanes = size // dtype.itemsize
    vecs = 8 if R == 1 and 8 * lanes <= I and count >= 16 else 2             # a single row is a tile of its own
    wide, by_rows = vecs * lanes, K <= FEW_TERMS and R > 1
    if wide > I:                                               # too narrow for a tile
        b = np.concatenate([b, np.zeros((K, wide - I), dtype)], axis=1)
    out = empty((R, I), dtype)
    rows = best_rows((R,), (count - 3) // 2)
    outer_products(dtype, rows, vecs, lanes, by_rows)(a.reshape(-1), b.reshape(-1), out.reshape(-1), R, K, I, max(I, wide), row, step,
                                                      workers(R * K * I // 8))
    return out


@functools.cache
def dot_products(dtype: Any, rows: int, lanes: int) -> Any:
    """run(x, w, y, M, I, O, relu, threads) adds x @ w.T to y; a task is 6 columns of y."""
    some, one = _dots(rows, MANY, lanes), _dots(rows, 1, lanes)

    @jit(rows, lanes)
    def columns(i: int, worker: int, x: Any, w: Any, y: Any, M: int, I: int, O: int, relu: bool) -> None:
        o, end = i * MANY, min(O, (i + 1) * MANY)
        if end - o == MANY:
            some(x, w, y, M, I, O, o)
        else:
            for last in range(o, end):
                one(x, w, y, M, I, O, last)
        if relu:
            for m in range(M):
                for k in range(m * O + o, m * O + end):
                    y[k] = 0 if y[k] < 0 else y[k]

    @jit(rows, lanes)
    def run(x: Any, w: Any, y: Any, M: int, I: int, O: int, relu: bool, threads: int) -> None:
        parallel_for(columns, -(-O // MANY), threads, (x, w, y, M, I, O, relu))

    read = flat(dtype, readonly=True)
    return compile_for(run, read, read, flat(dtype), *(types.int64,) * 3, types.boolean, types.int64)


@functools.cache
def _dots(rows: int, columns: int, lanes: int) -> Any:
    """`columns` columns of y, from o on."""
    @jit(rows, columns, lanes)
    def dots(x: Any, w: Any, y: Any, M: int, I: int, O: int, o: int) -> None:
        for begin in range(0, I, PANEL):
            end = min(I, begin + PANEL)
            for first in range(0, M - M % rows, rows):
                acc = zero(rows, columns, lanes, y)
                for i in range(begin, end, lanes):
                    acc = multiply(acc, x, first * I + i, I, w, o * I + i, I, end - i)
                add_sums(acc, y, first * O + o, O)
            for m in range(M - M % rows, M):
                single = zero(1, columns, lanes, y)
                for i in range(begin, end, lanes):
                    single = multiply(single, x, m * I + i, I, w, o * I + i, I, end - i)
                add_sums(single, y, m * O + o, O)
    return dots


@functools.cache
def outer_products(dtype: Any, rows: int, vecs: int, lanes: int, by_rows: bool) -> Any:
    """run(a, b, out, R, K, I, b_row, row, step, threads): out[r, i] = sum over k of a[r*row + k*step] * b[k*b_row + i].

    A task is one block of columns, whose part of b stays in the cache; or, by_rows, one block of rows, which are written from end to end.
    """
    wide = vecs * lanes

    @jit(rows, vecs, lanes)
    def tile(a: Any, b: Any, out: Any, r: int, first: int, K: int, I: int, b_row: int, row: int, step: int) -> None:
        acc = zero(rows, vecs, lanes, out)
        for k in range(K):
            acc = multiply_add(acc, a, r * row + k * step, row, b, k * b_row + first)
        store(acc, out, r * I + first, I, I - first)

    @jit(rows, vecs, lanes, by_rows)
    def task(i: int, worker: int, a: Any, b: Any, out: Any, R: int, K: int, I: int, b_row: int, row: int, step: int) -> None:
        if by_rows:
            for first in range(0, I, wide):
                tile(a, b, out, min(i * rows, R - rows), min(first, max(0, I - wide)), K, I, b_row, row, step)
        else:
            for r in range(0, R, rows):                                      # the last block overlaps its neighbour
                tile(a, b, out, min(r, R - rows), min(i * wide, max(0, I - wide)), K, I, b_row, row, step)

    @jit(rows, vecs, lanes, by_rows)
    def run(a: Any, b: Any, out: Any, R: int, K: int, I: int, b_row: int, row: int, step: int, threads: int) -> None:
        tasks = -(-R // rows) if by_rows else -(-I // wide)
        parallel_for(task, tasks, threads, (a, b, out, R, K, I, b_row, row, step))

    read = flat(dtype, readonly=True)
    return compile_for(run, read, read, flat(dtype), *(types.int64,) * 7)
