"""softmax and log_softmax on Tensors: scores to probabilities."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.checks import floating
from minicnn.ops.reduce import largest
from minicnn.tensor import Tensor


def softmax_forward(x: Any, axis: int) -> tuple[Any, Any]:
    """y = exp(x - m) / (sum of exp(x - m) along axis), m the maximum: the same value as without m, but exp cannot overflow."""
    exp = np.exp(x - largest(x, axis))
    y = exp / exp.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def softmax_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = y * (dy - sum of dy * y): raising one score lowers all other probabilities."""
    y, axis = cache
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


def log_softmax_forward(x: Any, axis: int) -> tuple[Any, Any]:
    """y = x - m - log(sum of exp(x - m) along axis), m the maximum: exact where softmax would round to 0."""
    shifted = x - largest(x, axis)
    y = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def log_softmax_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy - softmax(x) * sum of dy."""
    y, axis = cache
    return (dy - np.exp(y) * dy.sum(axis=axis, keepdims=True),)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_k = exp(x_k) / sum over j of exp(x_j) along `dim`: positive, and adding up to 1. dtype: convert x to it first."""
    x = _checked("softmax", input, dim, dtype)
    return record(softmax_forward, softmax_backward, x, axis=dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_k = x_k - log(sum over j of exp(x_j)) along `dim`: the logarithm of softmax, without its rounding to 0."""
    x = _checked("log_softmax", input, dim, dtype)
    return record(log_softmax_forward, log_softmax_backward, x, axis=dim)


def _checked(op: str, x: Tensor, dim: int, dtype: Any) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    floating(op, x=x)
    if not -max(x.ndim, 1) <= dim < max(x.ndim, 1):
        raise ValueError(f"{op}: dim {dim} is out of range for x of shape {x.shape}")
    return x
