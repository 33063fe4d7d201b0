"""New tensors: from data, constant, evenly spaced. They are float32 unless the data or `dtype` say otherwise.

device: the CPU, or None, which is the same.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.device import check_device
from minicnn.tensor import DEFAULT_DTYPE, Tensor

Size = int | Sequence[int]


def unpack_size(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same. Raises ValueError for negative sizes."""
    sizes = tuple(int(n) for n in (size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size))
    if min(sizes, default=0) < 0:
        raise ValueError(f"{op}: sizes must not be negative, got {sizes}")
    return sizes


def new_tensor(array: Any, requires_grad: bool, device: Any) -> Tensor:
    """The array as a Tensor. Raises ValueError for any device but the CPU."""
    check_device(device)
    return Tensor(array, requires_grad)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor with a copy of data: a number, nested lists, an array. Python floats become float32, integers int64."""
    return new_tensor(Tensor(data, dtype=dtype).array.copy(), requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of data, without a copy where that is possible; a Tensor is returned as it is."""
    check_device(device)
    return data if isinstance(data, Tensor) and dtype in (None, data.dtype) else Tensor(data, dtype=dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares its memory with the array: a change of one is seen in the other."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor that shares its memory with any array that has __dlpack__ (torch, NumPy, JAX, ...), on the CPU."""
    return Tensor(np.from_dlpack(array))


def full(size: Size, fill_value: float, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """One value everywhere; without dtype it is the value's: float32, int64 or bool."""
    sizes = unpack_size("full", (size,))
    value = Tensor(fill_value, dtype=dtype).array
    return new_tensor(np.full(sizes, value, value.dtype), requires_grad, device)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros."""
    return new_tensor(np.zeros(unpack_size("zeros", size), dtype or DEFAULT_DTYPE), requires_grad, device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones."""
    return new_tensor(np.ones(unpack_size("ones", size), dtype or DEFAULT_DTYPE), requires_grad, device)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Memory with whatever it held before: to be filled."""
    return new_tensor(np.empty(unpack_size("empty", size), dtype or DEFAULT_DTYPE), requires_grad, device)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros in the shape, dtype and memory order of x."""
    return new_tensor(np.zeros_like(x.array, dtype), requires_grad, device)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones in the shape, dtype and memory order of x."""
    return new_tensor(np.ones_like(x.array, dtype), requires_grad, device)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Unfilled memory in the shape, dtype and memory order of x."""
    return new_tensor(np.empty_like(x.array, dtype), requires_grad, device)


def full_like(x: Tensor, fill_value: float, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """One value in the shape, dtype and memory order of x."""
    return new_tensor(np.full_like(x.array, fill_value, dtype), requires_grad, device)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False,
           device: Any = None) -> Tensor:
    """start, start + step, ... up to, but without, end: ceil((end - start) / step) values. arange(n) counts from 0 to n - 1.

    Integers give int64, anything else float32.
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    integral = all(isinstance(n, int | np.integer) for n in (start, end, step))
    return new_tensor(np.arange(start, end, step, dtype=np.int64 if integral else np.float64)
                      .astype(dtype or (np.int64 if integral else DEFAULT_DTYPE), copy=False), requires_grad, device)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """`steps` evenly spaced values from start to end, both included."""
    if steps < 0:
        raise ValueError(f"linspace: steps must not be negative, got {steps}")
    return new_tensor(np.linspace(start, end, steps).astype(dtype or DEFAULT_DTYPE), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere; square without m."""
    return new_tensor(np.eye(n, m, dtype=dtype or DEFAULT_DTYPE), requires_grad, device)
