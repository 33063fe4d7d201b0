"""New tensors: from data, constant, evenly spaced. They are float32 unless the data or `dtype` say otherwise."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.tensor import DEFAULT_DTYPE, Tensor

Size = int | Sequence[int]


def unpack_size(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same. Raises ValueError for negative sizes."""
    sizes = tuple(int(n) for n in (size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size))
    if min(sizes, default=0) < 0:
        raise ValueError(f"{op}: sizes must not be negative, got {sizes}")
    return sizes


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of data: a number, nested lists, an array. Python floats become float32, integers int64."""
    return Tensor(Tensor(data, dtype=dtype).data.copy(), requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """A Tensor of data, without a copy where that is possible; a Tensor is returned as it is."""
    return data if isinstance(data, Tensor) and dtype in (None, data.dtype) else Tensor(data, dtype=dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares its memory with the array: a change of one is seen in the other."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor that shares its memory with any array that has __dlpack__ (torch, NumPy, JAX, ...), on the CPU."""
    return Tensor(np.from_dlpack(array))


def full(size: Size, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value everywhere; without dtype it is the value's: float32, int64 or bool."""
    sizes = unpack_size("full", (size,))
    value = Tensor(fill_value, dtype=dtype).data
    return Tensor(np.full(sizes, value, value.dtype), requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return Tensor(np.zeros(unpack_size("zeros", size), dtype or DEFAULT_DTYPE), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return Tensor(np.ones(unpack_size("ones", size), dtype or DEFAULT_DTYPE), requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory with whatever it held before: to be filled."""
    return Tensor(np.empty(unpack_size("empty", size), dtype or DEFAULT_DTYPE), requires_grad)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape, dtype and memory order of x."""
    return Tensor(np.zeros_like(x.data, dtype), requires_grad)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape, dtype and memory order of x."""
    return Tensor(np.ones_like(x.data, dtype), requires_grad)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Unfilled memory in the shape, dtype and memory order of x."""
    return Tensor(np.empty_like(x.data, dtype), requires_grad)


def full_like(x: Tensor, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in the shape, dtype and memory order of x."""
    return Tensor(np.full_like(x.data, fill_value, dtype), requires_grad)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """start, start + step, ... up to, but without, end: ceil((end - start) / step) values. arange(n) counts from 0 to n - 1.

    Integers give int64, anything else float32.
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    integral = all(isinstance(n, int | np.integer) for n in (start, end, step))
    return Tensor(np.arange(start, end, step, dtype=np.int64 if integral else np.float64)
                  .astype(dtype or (np.int64 if integral else DEFAULT_DTYPE), copy=False), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` evenly spaced values from start to end, both included."""
    if steps < 0:
        raise ValueError(f"linspace: steps must not be negative, got {steps}")
    return Tensor(np.linspace(start, end, steps).astype(dtype or DEFAULT_DTYPE), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere; square without m."""
    return Tensor(np.eye(n, m, dtype=dtype or DEFAULT_DTYPE), requires_grad)
