"""relu and its gradient: one pass over memory, which is what they cost."""
from __future__ import annotations

from typing import Any

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED, elementwise, over
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for

CHUNK = 1 << 14                                                  # numbers that a thread takes at a time


def relu(x: Any) -> Any:
    """y = max(x, 0); NaN stays NaN. Any shape.

        for every number:  y = 0 if x <= 0 else x

    Fast because a vector of numbers takes one comparison, and every thread has its own part of memory.
    """
    return elementwise(_relu, x) if x.dtype in COMPILED else numpy_backend.relu(x)


def relu_grad(dy: Any, y: Any, inplace: bool = False) -> Any:
    """dx = dy where y > 0, else 0. Any shape. inplace: dx may be written over dy, which leaves a third of the memory alone."""
    if dy.dtype not in COMPILED:
        return numpy_backend.relu_grad(dy, y, inplace)
    return over(_close, dy, y) if inplace else elementwise(_relu_grad, dy, y)


@jit()
def _relu(x: Any, y: Any, threads: int) -> None:
    parallel_for(_relu_chunk, -(-x.size // CHUNK), threads, (x, y))


@jit()
def _relu_chunk(i: int, worker: int, x: Any, y: Any) -> None:
    part = slice(i * CHUNK, (i + 1) * CHUNK)
    source, out = x[part], y[part]
    for j in range(source.size):
        value = source[j]
        out[j] = source.dtype.type(0) if value <= 0 else value


@jit()
def _relu_grad(dy: Any, y: Any, dx: Any, threads: int) -> None:
    parallel_for(_relu_grad_chunk, -(-y.size // CHUNK), threads, (dy, y, dx))


@jit()
def _relu_grad_chunk(i: int, worker: int, dy: Any, y: Any, dx: Any) -> None:
    part = slice(i * CHUNK, (i + 1) * CHUNK)
    gradient, gate, out = dy[part], y[part], dx[part]
    for j in range(gate.size):
        value = gradient[j]
        out[j] = value if gate[j] > 0 else gradient.dtype.type(0)


@jit()
def _close(y: Any, dy: Any, threads: int) -> None:
    """dy = 0 where y is not positive. A kernel of its own: one that is given the same array twice has to assume that they overlap."""
    parallel_for(_close_chunk, -(-y.size // CHUNK), threads, (y, dy))


@jit()
def _close_chunk(i: int, worker: int, y: Any, dy: Any) -> None:
    part = slice(i * CHUNK, (i + 1) * CHUNK)
    gate, gradient = y[part], dy[part]
    for j in range(gate.size):
        value = gradient[j]
        gradient[j] = value if gate[j] > 0 else gradient.dtype.type(0)
