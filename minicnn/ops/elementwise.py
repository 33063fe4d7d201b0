"""Functions of one array, element by element. Integers become float32 where the result is not an integer."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.tensor import DEFAULT_DTYPE, Tensor

Pair = tuple[Any, Any]


def _float(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(DEFAULT_DTYPE)


def exp_forward(x: Any) -> Pair:
    """y = e ** x"""
    y = np.exp(_float(x))
    return y, y


def exp_backward(dy: Any, y: Any) -> tuple[Any]:
    """dx = dy * y: exp is its own derivative"""
    return (dy * y,)


def exp(x: Tensor) -> Tensor:
    """e ** x"""
    return record(exp_forward, exp_backward, x)


def log_forward(x: Any) -> Pair:
    """y = log(x)"""
    x = _float(x)
    return np.log(x), x


def log_backward(dy: Any, x: Any) -> tuple[Any]:
    """dx = dy / x"""
    return (dy / x,)


def log(x: Tensor) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below."""
    return record(log_forward, log_backward, x)


def sqrt_forward(x: Any) -> Pair:
    """y = sqrt(x)"""
    y = np.sqrt(_float(x))
    return y, y


def sqrt_backward(dy: Any, y: Any) -> tuple[Any]:
    """dx = dy / (2 * y)"""
    return (dy / (2 * y),)


def sqrt(x: Tensor) -> Tensor:
    """The square root; NaN below 0, and a slope of inf at 0."""
    return record(sqrt_forward, sqrt_backward, x)


def sin_forward(x: Any) -> Pair:
    """y = sin(x)"""
    x = _float(x)
    return np.sin(x), x


def sin_backward(dy: Any, x: Any) -> tuple[Any]:
    """dx = dy * cos(x)"""
    return (dy * np.cos(x),)


def sin(x: Tensor) -> Tensor:
    """The sine of x in radians."""
    return record(sin_forward, sin_backward, x)


def cos_forward(x: Any) -> Pair:
    """y = cos(x)"""
    x = _float(x)
    return np.cos(x), x


def cos_backward(dy: Any, x: Any) -> tuple[Any]:
    """dx = -dy * sin(x)"""
    return (-dy * np.sin(x),)


def cos(x: Tensor) -> Tensor:
    """The cosine of x in radians."""
    return record(cos_forward, cos_backward, x)


def tanh_forward(x: Any) -> Pair:
    """y = tanh(x)"""
    y = np.tanh(_float(x))
    return y, y


def tanh_backward(dy: Any, y: Any) -> tuple[Any]:
    """dx = dy * (1 - y²)"""
    return (dy * (1 - y * y),)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, between -1 and 1."""
    return record(tanh_forward, tanh_backward, input)


def sigmoid_forward(x: Any) -> Pair:
    """y = 1 / (1 + exp(-x)), written with exp(-|x|), which cannot overflow"""
    x = _float(x)
    e = np.exp(-np.abs(x))
    y = np.where(x < 0, e, 1) / (1 + e)
    return y, y


def sigmoid_backward(dy: Any, y: Any) -> tuple[Any]:
    """dx = dy * y * (1 - y)"""
    return (dy * y * (1 - y),)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), between 0 and 1."""
    return record(sigmoid_forward, sigmoid_backward, input)


def abs_forward(x: Any) -> Pair:
    """y = |x|"""
    return np.abs(x), x


def abs_backward(dy: Any, x: Any) -> tuple[Any]:
    """dx = dy where x > 0, -dy where x < 0, else 0"""
    return (np.where(x > 0, dy, np.where(x < 0, -dy, 0)),)


def abs(x: Tensor) -> Tensor:
    """|x|, with slope 0 at 0."""
    return record(abs_forward, abs_backward, x)
