"""Batch normalisation over channels-last memory: one mean and variance a channel. Shapes: x (N, C, H, W); gamma, beta, mean, var (C).

Memory is a run of M = N*H*W pixels of C numbers, so what belongs to one channel comes again every C numbers. 2^k pixels make a row of
L = C * 2^k lanes, wide enough for vector registers however few the channels are; lane j belongs to channel j % C. Sums are kept one a lane:

    for each row:  for j < L:  s[j] += x[row, j]          and at the end of a block  total[c] += s[c] + s[c + C] + s[c + 2*C] + ...

The pixels are cut into chunks, by the shape alone, and chunks are put together in their order: the number of threads changes no bit.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED, flat, shaped
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.moments import moments
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.rows import BLOCK, add_lanes, cut, spread


def batch_norm_statistics(x: Any) -> tuple[Any, Any]:
    """mean and (biased) variance of each channel, (C) and (C).

    Fast because memory is passed over once, and every thread has sums of its own. See `moments`.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_statistics(x)
    C, threads = x.shape[1], workers(x.size)
    L, size, chunks = cut(x.size, C)
    mean, var = np.empty(C, x.dtype), np.empty(C, x.dtype)
    moments(flat(x, True), size, np.empty((threads, 3, L), x.dtype), np.empty((threads, 3, C)), np.empty((chunks, 3, C)), mean, var,
            threads)
    return mean, var


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, relu: bool = False) -> Any:
    """y = (x - mean) * scale + beta with scale = gamma / sqrt(var + eps), by channel; gamma and beta may be None (1 and 0).

    relu: max(y, 0), in the same pass.

    Fast because mean, scale and beta are spread over the lanes of a row first: then channels are no concern of the loop over memory.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm(x, gamma, beta, mean, var, eps, relu)
    L, size, chunks = cut(x.size, x.shape[1])
    y = empty((x.size,), x.dtype)
    _normalise(flat(x, True), y, _channels(gamma, x, 1), _channels(beta, x, 0), _channels(mean, x), _channels(var, x), float(eps),
               np.empty((3, L), x.dtype), size, chunks, bool(relu), workers(x.size))
    return shaped(y, x.shape, True)


def batch_norm_grad(dy: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, beta: Any = None,
                    relu: bool = False) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta. With x_hat = (x - mean) / sqrt(var + eps) and M = N*H*W values a channel:

        dbeta  = sum of dy
        dgamma = sum of dy * x_hat
        dx     = gamma / sqrt(var + eps) * dy                                         (running statistics were given)
        dx     = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)      (mean and var come from x itself)

    relu: dy is that of max(y, 0), so it counts only where y, computed anew with beta, is positive.

    Fast because it passes over memory twice, once for both sums and once for dx.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_grad(dy, x, gamma, mean, var, eps, batch_statistics, beta, relu)
    C, threads = x.shape[1], workers(x.size)
    L, size, chunks = cut(x.size, C)
    dx, dgamma, dbeta = empty((x.size,), x.dtype), np.empty(C, x.dtype), np.empty(C, x.dtype)
    lanes, sums = np.empty((6 + 2 * threads, L), x.dtype), np.zeros((chunks, 2, C))
    gated = np.empty((threads, max(1, BLOCK // L) * L) if relu else (1, 1), x.dtype)
    _gradients(flat(dy, True), flat(x, True), dx, _channels(gamma, x, 1), _channels(beta, x, 0), _channels(mean, x), _channels(var, x),
               float(eps), bool(batch_statistics), bool(relu), dgamma, dbeta, lanes, gated, sums, size, threads)
    return shaped(dx, x.shape, True), dgamma, dbeta


def _channels(values: Any, x: Any, default: int = 0) -> Any:
    """(C), contiguous and in x's dtype; the default everywhere for None."""
    if values is None:
        return _constant(x.shape[1], x.dtype, default)
    return flat(values if values.dtype == x.dtype else values.astype(x.dtype))


@functools.lru_cache
def _constant(C: int, dtype: Any, value: int) -> Any:
    return np.full(C, value, dtype)


@jit()
def _normalise(x: Any, y: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, lanes: Any, size: int, chunks: int,
               relu: bool, threads: int) -> None:
    _affine(gamma, beta, mean, var, eps, lanes)
    parallel_for(_normalise_chunk, chunks, threads, (x, y, lanes, size, relu))


@jit()
def _affine(gamma: Any, beta: Any, mean: Any, var: Any, eps: float, lanes: Any) -> None:
    """lanes[0], [1], [2] = mean, scale and beta of every lane."""
    for c in range(mean.size):
        lanes[1, c] = gamma[c] / np.sqrt(np.float64(var[c]) + eps)
    spread(mean, lanes[0])
    spread(lanes[1][:mean.size], lanes[1])
    spread(beta, lanes[2])


@jit()
def _normalise_chunk(i: int, worker: int, x: Any, y: Any, lanes: Any, size: int, relu: bool) -> None:
    mean, scale, beta = lanes[0], lanes[1], lanes[2]
    x, y, L = x[i * size:(i + 1) * size], y[i * size:(i + 1) * size], mean.size
    for start in range(0, x.size, L):
        row, out = x[start:start + L], y[start:start + L]
        if relu:
            for j in range(row.size):
                value = (row[j] - mean[j]) * scale[j] + beta[j]
                out[j] = x.dtype.type(0) if value <= 0 else value
        else:
            for j in range(row.size):
                out[j] = (row[j] - mean[j]) * scale[j] + beta[j]


@jit()
def _gate(dy: Any, x: Any, mean: Any, scale: Any, beta: Any, out: Any) -> None:
    """out = dy where y = (x - mean) * scale + beta is positive, else 0."""
    L = mean.size
    for start in range(0, x.size, L):
        gradient, row, gated = dy[start:start + L], x[start:start + L], out[start:start + L]
        for j in range(row.size):
            value = gradient[j]
            gated[j] = value if (row[j] - mean[j]) * scale[j] + beta[j] > 0 else x.dtype.type(0)


@jit()
def _gradients(dy: Any, x: Any, dx: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, relu: bool,
               dgamma: Any, dbeta: Any, lanes: Any, gated: Any, sums: Any, size: int, threads: int) -> None:
    """lanes (6 + 2*threads, L): what y and dx need of each channel, and two sums a thread; gated: a block a thread, for relu;
    sums (chunks, 2, C) of float64 zeros."""
    _affine(gamma, beta, mean, var, eps, lanes)
    parallel_for(_sums_chunk, sums.shape[0], threads, (dy, x, lanes, gated, size, relu, sums))
    C, M = mean.size, x.size // mean.size
    for c in range(C):
        for i in range(1, sums.shape[0]):
            sums[0, 0, c] += sums[i, 0, c]
            sums[0, 1, c] += sums[i, 1, c]
        inverse_std = 1 / np.sqrt(np.float64(var[c]) + eps)
        dbeta[c], dgamma[c] = sums[0, 0, c], sums[0, 1, c] * inverse_std
        lanes[3, c], lanes[4, c], lanes[5, c] = gamma[c] * inverse_std, sums[0, 0, c] / M, sums[0, 1, c] * inverse_std * inverse_std / M
    for k in range(3, 6):
        spread(lanes[k][:C], lanes[k])
    parallel_for(_gradient_chunk, sums.shape[0], threads, (dy, x, dx, lanes, gated, size, batch_statistics, relu))


@jit()
def _sums_chunk(i: int, worker: int, dy: Any, x: Any, lanes: Any, gated: Any, size: int, relu: bool, sums: Any) -> None:
    """sums[i] = the sums of dy and of dy * (x - mean), by channel; those of a lane are kept short, a block at a time."""
    mean, a, b = lanes[0], lanes[6 + 2 * worker], lanes[7 + 2 * worker]
    dy, x = dy[i * size:(i + 1) * size], x[i * size:(i + 1) * size]
    block = max(1, BLOCK // mean.size) * mean.size
    for start in range(0, x.size, block):
        row, gradient = x[start:start + block], dy[start:start + block]
        if relu:
            _gate(gradient, row, mean, lanes[1], lanes[2], gated[worker])
            gradient = gated[worker, :row.size]
        _add_products(gradient, row, mean, a, b)
        add_lanes(sums[i, 0], a)
        add_lanes(sums[i, 1], b)


@jit()
def _add_products(dy: Any, x: Any, mean: Any, a: Any, b: Any) -> None:
    """a and b = the sums of dy and of dy * (x - mean) in each lane; four rows at a time, for sums are in memory, not in registers."""
    L = mean.size
    rest = x.size // (4 * L) * 4 * L
    for j in range(L):
        a[j] = b[j] = 0
    for start in range(0, rest, 4 * L):
        g0, g1, g2, g3 = dy[start:start + L], dy[start + L:start + 2 * L], dy[start + 2 * L:start + 3 * L], dy[start + 3 * L:start + 4 * L]
        x0, x1, x2, x3 = x[start:start + L], x[start + L:start + 2 * L], x[start + 2 * L:start + 3 * L], x[start + 3 * L:start + 4 * L]
        for j in range(L):
            m = mean[j]
            a[j] += (g0[j] + g1[j]) + (g2[j] + g3[j])
            b[j] += (g0[j] * (x0[j] - m) + g1[j] * (x1[j] - m)) + (g2[j] * (x2[j] - m) + g3[j] * (x3[j] - m))
    for start in range(rest, x.size, L):
        gradient, row = dy[start:start + L], x[start:start + L]
        for j in range(row.size):
            a[j] += gradient[j]
            b[j] += gradient[j] * (row[j] - mean[j])


@jit()
def _gradient_chunk(i: int, worker: int, dy: Any, x: Any, dx: Any, lanes: Any, gated: Any, size: int, batch_statistics: bool,
                    relu: bool) -> None:
    mean, scale, constant, slope, L = lanes[0], lanes[3], lanes[4], lanes[5], lanes.shape[1]
    dy, x, dx = dy[i * size:(i + 1) * size], x[i * size:(i + 1) * size], dx[i * size:(i + 1) * size]
    for start in range(0, x.size, L):
        gradient, row, out = dy[start:start + L], x[start:start + L], dx[start:start + L]
        if relu:
            _gate(gradient, row, mean, lanes[1], lanes[2], gated[worker])
            gradient = gated[worker, :row.size]
        if batch_statistics:
            for j in range(row.size):
                out[j] = (gradient[j] - constant[j] - (row[j] - mean[j]) * slope[j]) * scale[j]
        else:
            for j in range(row.size):
                out[j] = gradient[j] * scale[j]
