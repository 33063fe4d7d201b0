"""relu and its gradient: one pass over memory, which is what they cost."""
from __future__ import annotations

from typing import Any

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED, elementwise
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for

CHUNK = 1 << 14                                                  # numbers that a thread takes at a time


def relu(x: Any) -> Any:
    """y = max(x, 0); NaN stays NaN. Any shape.

        for every number:  y = 0 if x <= 0 else x

    Fast because a vector of numbers takes one comparison, and every thread has its own part of memory.
    """
    return elementwise(_relu, x) if x.dtype in COMPILED else numpy_backend.relu(x)


def relu_grad(dy: Any, y: Any) -> Any:
    """dx = dy where y > 0, else 0. Any shape."""
    return elementwise(_relu_grad, dy, y) if dy.dtype in COMPILED else numpy_backend.relu_grad(dy, y)


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
