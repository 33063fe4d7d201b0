"""Softmax and cross-entropy in one: logits x (N, K) and labels (N) -> the loss of each sample (N)."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.exponential import exp32, exp64
from minicnn.kernels.numba_backend.flat import COMPILED, flat
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers

CHUNK = 1 << 12                                                  # numbers that stay in the level 1 cache: logits and probabilities
SHORT = 16                                                       # so few are added one by one
COST = 3                                                         # operations for one number: exp is most of them


def softmax_cross_entropy(x: Any, labels: Any) -> tuple[Any, Any]:
    """loss[n] = log(sum over k of exp(x[n, k])) - x[n, labels[n]], and the probabilities that the gradient needs.

        for each row n:    m = max of x[n];  p[n] = x[n] - m;  loss[n] = -p[n, labels[n]]
        for each number:   p = exp(p)
        for each row n:    total = sum of p[n];  loss[n] += log(total);  p[n] /= total

    Fast because exp is a polynomial on vectors of numbers from many rows, and each step finds the last one's in the cache.
    Returns losses (N), probabilities (N, K). Raises IndexError for a label that is not in 0..K-1.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.softmax_cross_entropy(x, labels)
    N, K = x.shape
    rows, threads = max(1, CHUNK // K), workers(COST * x.size)
    losses, p = np.empty(N, x.dtype), empty((N * K,), x.dtype)
    if not _forward(x.dtype)(flat(x), _integers(labels), losses, p, rows, np.empty((threads, K), x.dtype), threads):
        raise IndexError(f"softmax_cross_entropy: labels are {labels.min()}..{labels.max()}, but must be in 0..{K - 1}: x has {K} classes")
    return losses, p.reshape(N, K)


def softmax_cross_entropy_grad(dlosses: Any, probabilities: Any, labels: Any) -> Any:
    """dx[n, k] = dlosses[n] * (probabilities[n, k] - [k == labels[n]]): what was predicted minus what is true."""
    if probabilities.dtype not in COMPILED or probabilities.size == 0:
        return numpy_backend.softmax_cross_entropy_grad(dlosses, probabilities, labels)
    N, K = probabilities.shape
    dx = empty((N * K,), probabilities.dtype)
    dlosses = flat(dlosses if dlosses.dtype == dx.dtype else dlosses.astype(dx.dtype))
    _gradient(dlosses, flat(probabilities), _integers(labels), dx, max(1, CHUNK // K), workers(dx.size))
    return dx.reshape(N, K)


def _integers(labels: Any) -> Any:
    return flat(labels if labels.dtype == np.int64 else labels.astype(np.int64))


@jit()
def _larger(a: float, b: float) -> float:
    return b if b > a else a


@jit()
def _plus(a: float, b: float) -> float:
    return a + b


@functools.cache
def _by_halves(combine: Any) -> Any:
    @jit(combine)
    def by_halves(row: Any, s: Any) -> float:
        """combine(row[0], row[1], ...): the first half of the row with the second, then the halves of what comes of it, and so on.

        That works on vectors of numbers, and rounds a sum log2(K) times instead of K times. s: memory for (K + 1) // 2 numbers.
        """
        n = (row.size + 1) // 2
        a, b = row[:n], row[n:]
        for k in range(b.size):
            s[k] = combine(a[k], b[k])
        for k in range(b.size, n):
            s[k] = a[k]
        while n > SHORT:
            half = (n + 1) // 2
            a, b = s[:half], s[half:n]
            for k in range(b.size):
                a[k] = combine(a[k], b[k])
            n = half
        result = s[0]
        for k in range(1, n):
            result = combine(result, s[k])
        return result

    return by_halves


@functools.cache
def _chunk(dtype: Any) -> Any:
    exp, one = exp32 if dtype == np.float32 else exp64, dtype.type(1)
    largest, total = _by_halves(_larger), _by_halves(_plus)

    @jit(exp)
    def chunk(i: int, worker: int, x: Any, labels: Any, losses: Any, p: Any, rows: int, scratch: Any) -> None:
        K, s = scratch.shape[1], scratch[worker]
        x, p, labels, losses = x[i * rows * K:(i + 1) * rows * K], p[i * rows * K:(i + 1) * rows * K], labels[i * rows:], losses[i * rows:]
        for n in range(x.size // K):
            row, shifted = x[n * K:(n + 1) * K], p[n * K:(n + 1) * K]
            m = largest(row, s)                                      # may miss a NaN, which exp and the sum will not
            for k in range(K):
                shifted[k] = row[k] - m
            losses[n] = -shifted[labels[n]]
        exp(p)
        for n in range(x.size // K):
            row = p[n * K:(n + 1) * K]
            sum_ = total(row, s)
            losses[n] += np.log(sum_)
            inverse = one / sum_
            for k in range(K):
                row[k] *= inverse

    return chunk


@functools.cache
def _forward(dtype: Any) -> Any:
    chunk = _chunk(dtype)

    @jit(chunk)
    def forward(x: Any, labels: Any, losses: Any, p: Any, rows: int, scratch: Any, threads: int) -> bool:
        """False, and nothing done, if a label is out of range."""
        for label in labels:
            if label < 0 or label >= scratch.shape[1]:
                return False
        parallel_for(chunk, (labels.size + rows - 1) // rows, threads, (x, labels, losses, p, rows, scratch))
        return True

    return forward


@jit()
def _gradient(dlosses: Any, p: Any, labels: Any, dx: Any, rows: int, threads: int) -> None:
    parallel_for(_gradient_chunk, (labels.size + rows - 1) // rows, threads, (dlosses, p, labels, dx, rows))


@jit()
def _gradient_chunk(i: int, worker: int, dlosses: Any, p: Any, labels: Any, dx: Any, rows: int) -> None:
    K = p.size // labels.size
    p, dx, labels, dlosses = p[i * rows * K:(i + 1) * rows * K], dx[i * rows * K:(i + 1) * rows * K], labels[i * rows:], dlosses[i * rows:]
    for n in range(p.size // K):
        row, out, label, d = p[n * K:(n + 1) * K], dx[n * K:(n + 1) * K], labels[n], dlosses[n]
        for k in range(K):
            out[k] = d * row[k]
        if 0 <= label < K:
            out[label] = d * (row[label] - p.dtype.type(1))
