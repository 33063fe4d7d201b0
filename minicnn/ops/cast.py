"""The same values in another dtype, or in memory of their own."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.tensor import Tensor


def cast_forward(x: Any, dtype: Any) -> tuple[Any, Any]:
    """y = x in another floating-point dtype"""
    return x.astype(dtype), x.dtype


def cast_backward(dy: Any, dtype: Any) -> tuple[Any]:
    """dx = dy in the dtype of x"""
    return (dy.astype(dtype),)


def cast(x: Any, dtype: Any) -> Tensor:
    """x in `dtype`: x itself if it already is; without a gradient if the dtype is not floating point."""
    x, dtype = x if isinstance(x, Tensor) else Tensor(x), np.dtype(dtype)
    if x.dtype == dtype:
        return x
    return record(cast_forward, cast_backward, x, dtype=dtype) if dtype.kind == "f" else Tensor(x.array.astype(dtype))


def clone_forward(x: Any) -> tuple[Any, Any]:
    """y = a copy of x"""
    return x.copy(), None


def clone_backward(dy: Any, _: Any) -> tuple[Any]:
    """dx = dy"""
    return (dy,)


def clone(x: Tensor) -> Tensor:
    """A copy, in C order; the gradient flows back to x."""
    return record(clone_forward, clone_backward, x)
