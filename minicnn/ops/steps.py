"""Step functions: round, floor, ceil, sign. Flat nearly everywhere, so their gradient is zero."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.tensor import Tensor


def step_backward(dy: Any, _: Any) -> tuple[Any]:
    """dx = 0"""
    return (np.zeros_like(dy),)


def round_forward(x: Any) -> tuple[Any, Any]:
    """y = the nearest integer, halves to the even one"""
    return np.rint(x).astype(x.dtype, copy=False), None


def round(x: Tensor) -> Tensor:
    """The nearest integer; halves go to the even one."""
    return record(round_forward, step_backward, x)


def floor_forward(x: Any) -> tuple[Any, Any]:
    """y = the largest integer <= x"""
    return np.floor(x).astype(x.dtype, copy=False), None


def floor(x: Tensor) -> Tensor:
    """The largest integer that is not above x."""
    return record(floor_forward, step_backward, x)


def ceil_forward(x: Any) -> tuple[Any, Any]:
    """y = the smallest integer >= x"""
    return np.ceil(x).astype(x.dtype, copy=False), None


def ceil(x: Tensor) -> Tensor:
    """The smallest integer that is not below x."""
    return record(ceil_forward, step_backward, x)


def sign_forward(x: Any) -> tuple[Any, Any]:
    """y = -1, 0 or 1; 0 at NaN"""
    return np.greater(x, 0).astype(x.dtype) - np.less(x, 0).astype(x.dtype), None


def sign(x: Tensor) -> Tensor:
    """-1 below zero, 1 above, 0 at zero and (torch's rule) at NaN."""
    return record(sign_forward, step_backward, x)
