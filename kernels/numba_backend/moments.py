"""Mean and variance of every channel in one pass over memory, without the cancellation of E[x²] − E[x]²."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.lanes import fill, load, minus, plus, store, times
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.rows import BLOCK, SHORT, add_lanes, spread


@functools.cache
def moments(n: int) -> Any:
    """The compiled statistics, on vectors of n numbers: run(x, size, lanes, parts, chunks, mean, var, threads)."""
    chunk = chunk_of(n)

    @jit(n)
    def run(x: Any, size: int, lanes: Any, parts: Any, chunks: Any, mean: Any, var: Any, threads: int) -> None:
        """mean and var (C) of the pixels x (M*C), in chunks of `size` numbers.

        Memory for sums: lanes (threads, 3, L); in float64 parts (threads, 3, C) and chunks (n, 3, C).
        """
        parallel_for(chunk, chunks.shape[0], threads, (x, size, lanes, parts, chunks))
        C, total = mean.size, chunks[0]
        for i in range(1, chunks.shape[0]):
            merge(total, i * size // C, chunks[i], min(size, x.size - i * size) // C)
        for c in range(C):
            square = total[2, c] / (x.size // C)
            mean[c], var[c] = total[0, c] + total[1, c], 0.0 if square < 0 else square     # rounding can make a 0 negative
    return run


@functools.cache
def chunk_of(n: int) -> Any:
    deviations = deviations_of(n)

    @jit(n)
    def chunk(i: int, worker: int, x: Any, size: int, lanes: Any, parts: Any, chunks: Any) -> None:
        """Block by block: the sums of x - shift and of (x - shift)², where shift is near the mean m, so that nothing much cancels in

            sum of (x - m)² = sum of (x - shift)² − (sum of (x - shift))² / n

        shift is the mean of the block's first quarter. A quarter that is d away from the mean makes the variance at least d² / 4: the
        first sum is at most five times the result, whatever the numbers are.
        """
        total, part, shift, s, q = chunks[i], parts[worker], lanes[worker, 0], lanes[worker, 1], lanes[worker, 2]
        x, C, L = x[i * size:(i + 1) * size], total.shape[1], s.size
        block = max(32, BLOCK // L) * L                              # at least 32 rows, or merging would be most of the work
        for start in range(0, x.size, block):
            values = x[start:start + block]
            pixels = values.size // C
            for c in range(C):
                part[0, c] = part[1, c] = part[2, c] = 0
            for whole in range(2):
                count = pixels if whole else (pixels + 3) // 4
                spread(part[0], shift)
                deviations(values[:count * C], shift, s, q)
                add_lanes(part[1], s)
                add_lanes(part[2], q)
                if not whole:
                    for c in range(C):
                        near = part[1, c] / count
                        part[0, c] = near if np.isfinite(near) else 0.0      # else inf - inf would be a NaN where the mean is inf
                        part[1, c] = part[2, c] = 0
            for c in range(C):
                part[0, c] = shift[c]
                part[2, c] -= part[1, c] * part[1, c] / pixels
                part[1, c] /= pixels
            merge(total, start // C, part, pixels)
    return chunk


@functools.cache
def deviations_of(n: int) -> Any:
    @jit(n)
    def deviations(x: Any, shift: Any, s: Any, q: Any) -> None:
        """s and q = the sums of x - shift and of (x - shift)² in each lane; SHORT rows at a time, so that no sum is of many."""
        L = s.size
        whole = x.size // L * L
        for j in range(0, L, n):
            near, s_all, q_all = load(shift, j, n), fill(s, 0.0, n), fill(s, 0.0, n)
            for start in range(0, whole, SHORT * L):
                s_few, q_few = fill(s, 0.0, n), fill(s, 0.0, n)
                for row in range(start, min(whole, start + SHORT * L), L):
                    d = minus(load(x, row + j, n), near)
                    s_few, q_few = plus(s_few, d), plus(q_few, times(d, d))
                s_all, q_all = plus(s_all, s_few), plus(q_all, q_few)
            if whole + j < x.size:
                left = x.size - whole - j
                d = minus(load(x, whole + j, n, left), load(shift, j, n, left))
                s_all, q_all = plus(s_all, d), plus(q_all, times(d, d))
            store(s_all, s, j, n)
            store(q_all, q, j, n)
    return deviations


@jit()
def merge(total: Any, count: int, other: Any, n: int) -> None:
    """The statistics (3, C) of `count` values become those of these and n others (Chan, Golub and LeVeque, 1983):

        d = other mean - mean;    mean += d * n / (count + n);    square += other square + d² * count * n / (count + n)

    square: the sum of squared deviations from the mean. The mean is in two parts, total[0] near it and total[1] the rest, for d would be
    rounded to what a mean far from 0 is rounded to.
    """
    share = n / (count + n)
    for c in range(total.shape[1]):
        if count == 0:
            total[0, c], total[1, c], total[2, c] = other[0, c], other[1, c], other[2, c]
        else:
            d = (other[0, c] - total[0, c]) + (other[1, c] - total[1, c])
            total[1, c] += d * share if np.isfinite(total[1, c]) else other[1, c]
            total[2, c] += other[2, c] + d * (share * count) * d
