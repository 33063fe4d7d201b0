"""Batch normalisation over channels-last memory: one mean and variance a channel. Shapes: x (N, C, H, W); gamma, beta, mean, var (C).

Memory is a run of M = N*H*W pixels of C numbers, so what belongs to one channel comes again every C numbers. 2^k pixels make a row of
L = C * 2^k lanes, whole vectors however few the channels are; lane j belongs to channel j % C. Sums are kept one a lane:

    for each vector of lanes j:  for each row:  s[j] += x[row, j]          and in the end  total[c] = s[c] + s[c + C] + s[c + 2*C] + ...

The pixels are cut into chunks, by the shape alone, and chunks are put together in their order: the number of threads changes no bit.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED, flat, shaped
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.lanes import BYTES, accumulate, fill, load, minus, plus, positive, rectified, store, times
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.moments import moments
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.rows import SHORT, add_lanes, cut, spread


def batch_norm_statistics(x: Any) -> tuple[Any, Any]:
    """mean and (biased) variance of each channel, (C) and (C).

    Fast because memory is passed over once, and every thread has sums of its own. See `moments`.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_statistics(x)
    C, threads = x.shape[1], workers(x.size)
    L, size, chunks = cut(x.size, C, x.itemsize)
    mean, var = np.empty(C, x.dtype), np.empty(C, x.dtype)
    moments(BYTES // x.itemsize)(flat(x, True), size, np.empty((threads, 3, L), x.dtype), np.empty((threads, 3, C)),
                                 np.empty((chunks, 3, C)), mean, var, threads)
    return mean, var


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, relu: bool = False) -> Any:
    """y = (x - mean) * scale + beta with scale = gamma / sqrt(var + eps), by channel; gamma and beta may be None (1 and 0).

    relu: max(y, 0), in the same pass.

    Fast because mean, scale and beta are spread over the lanes of a row first: then a vector of them stays in registers down all rows.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm(x, gamma, beta, mean, var, eps, relu)
    L, size, chunks = cut(x.size, x.shape[1], x.itemsize)
    y = empty((x.size,), x.dtype)
    _normalise(BYTES // x.itemsize)(flat(x, True), y, channels(gamma, x, 1), channels(beta, x, 0), channels(mean, x), channels(var, x),
                                    float(eps), np.empty((3, L), x.dtype), size, chunks, bool(relu), workers(x.size))
    return shaped(y, x.shape, True)


def batch_norm_grad(dy: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, beta: Any = None,
                    relu: bool = False, inplace: bool = False) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta. With x_hat = (x - mean) / sqrt(var + eps) and M = N*H*W values a channel:

        dbeta  = sum of dy
        dgamma = sum of dy * x_hat
        dx     = gamma / sqrt(var + eps) * dy                                         (running statistics were given)
        dx     = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)      (mean and var come from x itself)

    relu: dy is that of max(y, 0), so it counts only where y, computed anew with beta, is positive. inplace: dx may be written over dy.

    Fast because it passes over memory twice, once for both sums and once for dx.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_grad(dy, x, gamma, mean, var, eps, batch_statistics, beta, relu)
    C, threads = x.shape[1], workers(x.size)
    L, size, chunks = cut(x.size, C, x.itemsize)
    gradient, dgamma, dbeta = flat(dy, True), np.empty(C, x.dtype), np.empty(C, x.dtype)
    dx = gradient if inplace else empty((x.size,), x.dtype)
    lanes, parts, sums = np.empty((6, L), x.dtype), np.empty((threads, 2, L)), np.zeros((chunks, 2, C))
    _gradients(BYTES // x.itemsize)(
        gradient, flat(x, True), dx, channels(gamma, x, 1), channels(beta, x, 0), channels(mean, x), channels(var, x), float(eps),
        bool(batch_statistics), bool(relu), dgamma, dbeta, lanes, parts, sums, size, threads)
    return shaped(dx, x.shape, True), dgamma, dbeta


def channels(values: Any, x: Any, default: int = 0) -> Any:
    """(C), contiguous and in x's dtype; the default everywhere for None."""
    if values is None:
        return _constant(x.shape[1], x.dtype, default)
    return flat(values if values.dtype == x.dtype else values.astype(x.dtype))


@functools.lru_cache
def _constant(C: int, dtype: Any, value: int) -> Any:
    return np.full(C, value, dtype)


@jit()
def affine(gamma: Any, beta: Any, mean: Any, var: Any, eps: float, lanes: Any) -> None:
    """lanes[0], [1], [2] = mean, scale and beta of every lane."""
    for c in range(mean.size):
        lanes[1, c] = gamma[c] / np.sqrt(np.float64(var[c]) + eps)
    spread(mean, lanes[0])
    spread(lanes[1][:mean.size], lanes[1])
    spread(beta, lanes[2])


@jit()
def slopes(sums: Any, gamma: Any, var: Any, eps: float, M: int, dgamma: Any, dbeta: Any, lanes: Any) -> None:
    """Of sums (chunks, 2, C), of dy and of dy * (x - mean): dbeta, dgamma, and in lanes[3], [4], [5] of every lane what dx needs beside

        dx = (dy - lanes[4] - (x - mean) * lanes[5]) * lanes[3]
    """
    C = gamma.size
    for c in range(C):
        for i in range(1, sums.shape[0]):
            sums[0, 0, c] += sums[i, 0, c]
            sums[0, 1, c] += sums[i, 1, c]
        inverse_std = 1 / np.sqrt(np.float64(var[c]) + eps)
        dbeta[c], dgamma[c] = sums[0, 0, c], sums[0, 1, c] * inverse_std
        lanes[3, c], lanes[4, c], lanes[5, c] = gamma[c] * inverse_std, sums[0, 0, c] / M, sums[0, 1, c] * inverse_std * inverse_std / M
    for k in range(3, 6):
        spread(lanes[k][:C], lanes[k])


@functools.cache
def _normalise(n: int) -> Any:
    @jit(n)
    def vectors(x: Any, y: Any, begin: int, end: int, mean: Any, scale: Any, beta: Any, relu: bool) -> None:
        """Whole rows, and then the part of one that is left."""
        L = mean.size
        whole = begin + (end - begin) // L * L
        for j in range(0, L, n):
            m, s, b = load(mean, j, n), load(scale, j, n), load(beta, j, n)
            for i in range(begin + j, whole, L):
                v = plus(times(minus(load(x, i, n), m), s), b)
                store(rectified(v) if relu else v, y, i, n)
            left = end - whole - j
            if left > 0:
                v = plus(times(minus(load(x, whole + j, n, left), m), s), b)
                store(rectified(v) if relu else v, y, whole + j, n, left)

    @jit(n)
    def chunk(i: int, worker: int, x: Any, y: Any, lanes: Any, size: int, relu: bool) -> None:
        end, block = min(x.size, (i + 1) * size), SHORT * lanes.shape[1]
        for begin in range(i * size, end, block):
            vectors(x, y, begin, min(end, begin + block), lanes[0], lanes[1], lanes[2], relu)

    @jit(n)
    def run(x: Any, y: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, lanes: Any, size: int, chunks: int, relu: bool,
            threads: int) -> None:
        affine(gamma, beta, mean, var, eps, lanes)
        parallel_for(chunk, chunks, threads, (x, y, lanes, size, relu))
    return run


@functools.cache
def _gradients(n: int) -> Any:
    sums_chunk, gradient_chunk = sums_of(n), _gradient_of(n)

    @jit(n)
    def run(dy: Any, x: Any, dx: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, relu: bool,
            dgamma: Any, dbeta: Any, lanes: Any, parts: Any, sums: Any, size: int, threads: int) -> None:
        """lanes (6, L): what y and dx need of each channel. In float64: parts (threads, 2, L), two sums a lane, and sums (chunks, 2, C),
        zeros."""
        affine(gamma, beta, mean, var, eps, lanes)
        parallel_for(sums_chunk, sums.shape[0], threads, (dy, x, lanes, parts, size, relu, sums))
        slopes(sums, gamma, var, eps, x.size // mean.size, dgamma, dbeta, lanes)
        parallel_for(gradient_chunk, sums.shape[0], threads, (dy, x, dx, lanes, size, batch_statistics, relu))
    return run


@functools.cache
def sums_of(n: int) -> Any:
    @jit(n)
    def vectors(dy: Any, x: Any, begin: int, end: int, mean: Any, scale: Any, beta: Any, relu: bool, part: Any) -> None:
        """part (2, L) += the sums of dy and of dy * (x - mean), over so few rows that they can be kept in x's precision."""
        L = mean.size
        whole = begin + (end - begin) // L * L
        for j in range(0, L, n):
            m, s, b, of_dy, of_products = load(mean, j, n), load(scale, j, n), load(beta, j, n), fill(x, 0.0, n), fill(x, 0.0, n)
            for i in range(begin + j, whole, L):
                d, g = minus(load(x, i, n), m), load(dy, i, n)
                if relu:
                    g = positive(plus(times(d, s), b), g)
                of_dy, of_products = plus(of_dy, g), plus(of_products, times(g, d))
            left = end - whole - j
            if left > 0:
                d, g = minus(load(x, whole + j, n, left), load(mean, j, n, left)), load(dy, whole + j, n, left)
                if relu:
                    g = positive(plus(times(d, s), b), g)
                of_dy, of_products = plus(of_dy, g), plus(of_products, times(g, d))
            accumulate(of_dy, part[0], j, n)
            accumulate(of_products, part[1], j, n)

    @jit(n)
    def chunk(i: int, worker: int, dy: Any, x: Any, lanes: Any, parts: Any, size: int, relu: bool, sums: Any) -> None:
        part, end, block = parts[worker], min(x.size, (i + 1) * size), SHORT * lanes.shape[1]
        part[:] = 0
        for begin in range(i * size, end, block):
            vectors(dy, x, begin, min(end, begin + block), lanes[0], lanes[1], lanes[2], relu, part)
        add_lanes(sums[i, 0], part[0])
        add_lanes(sums[i, 1], part[1])
    return chunk


@functools.cache
def _gradient_of(n: int) -> Any:
    @jit(n)
    def vectors(dy: Any, x: Any, dx: Any, begin: int, end: int, lanes: Any, batch_statistics: bool, relu: bool) -> None:
        L = lanes.shape[1]
        whole = begin + (end - begin) // L * L
        for j in range(0, L, n):
            m, s, b = load(lanes[0], j, n), load(lanes[1], j, n), load(lanes[2], j, n)
            scale, constant, slope = load(lanes[3], j, n), load(lanes[4], j, n), load(lanes[5], j, n)
            for i in range(begin + j, whole, L):
                d, g = minus(load(x, i, n), m), load(dy, i, n)
                if relu:
                    g = positive(plus(times(d, s), b), g)
                if batch_statistics:
                    g = minus(minus(g, constant), times(d, slope))
                store(times(g, scale), dx, i, n)
            left = end - whole - j
            if left > 0:
                d, g = minus(load(x, whole + j, n, left), m), load(dy, whole + j, n, left)
                if relu:
                    g = positive(plus(times(d, s), b), g)
                if batch_statistics:
                    g = minus(minus(g, constant), times(d, slope))
                store(times(g, scale), dx, whole + j, n, left)

    @jit(n)
    def chunk(i: int, worker: int, dy: Any, x: Any, dx: Any, lanes: Any, size: int, batch_statistics: bool, relu: bool) -> None:
        end, block = min(x.size, (i + 1) * size), SHORT * lanes.shape[1]
        for begin in range(i * size, end, block):
            vectors(dy, x, dx, begin, min(end, begin + block), lanes, batch_statistics, relu)
    return chunk
