"""New tensors: from data, constant, evenly spaced. They are float32 unless the data or `dtype` say otherwise.

device: where they are made: "cpu", "cuda", "cuda-sim". None means the device of the data, or the CPU where there is none.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.device import kind_of
from minicnn.kernels.devices import move, sample
from minicnn.tensor import DEFAULT_DTYPE, Tensor

Size = int | Sequence[int]


def unpack_size(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """zeros(2, 3) and zeros((2, 3)) mean the same. Raises ValueError for negative sizes."""
    sizes = tuple(int(n) for n in (size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size))
    if min(sizes, default=0) < 0:
        raise ValueError(f"{op}: sizes must not be negative, got {sizes}")
    return sizes


def new_tensor(array: Any, requires_grad: bool, device: Any) -> Tensor:
    """The array as a Tensor, on `device`, or where it is. Raises ValueError for a device that is not there."""
    where = kind_of(device)
    return Tensor(array if where is None else move(array, where), requires_grad)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A Tensor with a copy of data: a number, nested lists, an array. Python floats become float32, integers int64."""
    array = Tensor(data, dtype=dtype).array
    found = new_tensor(array, requires_grad, device)
    if found.array is array:                                   # not copied to another device
        found.array = array.copy()
    return found


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A Tensor of data, without a copy where that is possible; a Tensor is returned as it is."""
    where = kind_of(device)
    found = data if isinstance(data, Tensor) and dtype in (None, data.dtype) else Tensor(data, dtype=dtype)
    return found if where is None else found.to(where)


def full(size: Size, fill_value: float, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """One value everywhere; without dtype it is the value's: float32, int64 or bool."""
    value = Tensor(fill_value, dtype=dtype)
    return _filled(unpack_size("full", (size,)), value.item(), value.dtype, requires_grad, device)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros."""
    like = sample(kind_of(device))
    return Tensor(np.zeros(unpack_size("zeros", size), dtype or DEFAULT_DTYPE, like=like), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones."""
    return _filled(unpack_size("ones", size), 1, dtype or DEFAULT_DTYPE, requires_grad, device)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Memory with whatever it held before: to be filled."""
    like = sample(kind_of(device))
    return Tensor(np.empty(unpack_size("empty", size), dtype or DEFAULT_DTYPE, like=like), requires_grad)


def _filled(size: tuple[int, ...], value: Any, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    array = np.empty(size, dtype, like=sample(kind_of(device)))
    array.fill(value)
    return Tensor(array, requires_grad)


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
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return new_tensor(np.full_like(x.array, value, dtype), requires_grad, device)


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None, requires_grad: bool = False,
           device: Any = None) -> Tensor:
    """start, start + step, ... up to, but without, end: ceil((end - start) / step) values. arange(n) counts from 0 to n - 1.

    Integers give int64, anything else float32.
    """
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {start} to {end}")
    integral = all(isinstance(n, int | np.integer) for n in (start, end, step))
    values = np.arange(start, end, step, dtype=np.int64 if integral else np.float64, like=sample(kind_of(device)))
    return Tensor(values.astype(dtype or (np.int64 if integral else DEFAULT_DTYPE), copy=False), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """`steps` evenly spaced values from start to end, both included."""
    if steps < 0:
        raise ValueError(f"linspace: steps must not be negative, got {steps}")
    return new_tensor(np.linspace(start, end, steps).astype(dtype or DEFAULT_DTYPE), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere; square without m."""
    return new_tensor(np.eye(n, m, dtype=dtype or DEFAULT_DTYPE), requires_grad, device)
