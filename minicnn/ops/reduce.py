"""Reductions to fewer axes: sum, mean, var, std, logsumexp. (Extremes are in extremes.py.)

`dim` is an axis, several, or None for all of them; `keepdim` leaves reduced axes in place with size 1.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.axes import Axis, many_axes
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor

Pair = tuple[Any, Any]


def spread(dy: Any, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """A reduced gradient as a view that repeats it along the axes that were reduced."""
    kept = tuple(1 if i in dims else n for i, n in enumerate(shape))
    return np.broadcast_to(dy.reshape(kept), shape)


def _count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    return math.prod(shape[d] for d in dims)


def sum_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False) -> Pair:
    """y = sum of x over dims"""
    dtype = x.dtype if x.dtype.kind == "f" else np.int64
    return x.sum(axis=dims, keepdims=keepdim, dtype=dtype), (x.shape, dims)


def sum_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy, repeated: every term counts once"""
    return (spread(dy, *cache),)


def sum(x: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor:
    """The sum over dim; integers and booleans add up to int64."""
    return record(sum_forward, sum_backward, x, dims=many_axes("sum", dim, x.shape), keepdim=keepdim)


def mean_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False) -> Pair:
    """y = sum of x over dims / n, with n the number of terms"""
    return x.sum(axis=dims, keepdims=keepdim) / x.dtype.type(_count(x.shape, dims)), (x.shape, dims)


def mean_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy / n, repeated"""
    return (spread(dy / dy.dtype.type(_count(*cache)), *cache),)


def mean(x: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor:
    """The mean over dim. Raises TypeError for integers."""
    floating("mean", x=x)
    return record(mean_forward, mean_backward, x, dims=many_axes("mean", dim, x.shape), keepdim=keepdim)


def var_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False, correction: float = 1) -> Pair:
    """y = sum of (x - mean)² / (n - correction): two passes, which stay exact where the mean is large beside the spread"""
    n = _count(x.shape, dims)
    centred = x - x.sum(axis=dims, keepdims=True) / x.dtype.type(n)
    scale = x.dtype.type(max(n - correction, 0))
    return (centred * centred).sum(axis=dims, keepdims=keepdim) / scale, (centred, scale, dims)


def var_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * 2 * (x - mean) / (n - correction)"""
    centred, scale, dims = cache
    return (spread(dy, centred.shape, dims) * (2 / scale * centred),)


def var(x: Tensor, dim: Axis = None, keepdim: bool = False, correction: float = 1) -> Tensor:
    """The variance over dim; correction = 1 is the unbiased estimate, 0 the variance of the values themselves."""
    floating("var", x=x)
    return record(var_forward, var_backward, x, dims=many_axes("var", dim, x.shape), keepdim=keepdim, correction=correction)


def std_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False, correction: float = 1) -> Pair:
    """y = sqrt(var)"""
    variance, cache = var_forward(x, dims, keepdim, correction)
    y = np.sqrt(variance)
    return y, (y, cache)


def std_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = var_backward(dy / (2 * y)), 0 where y is 0"""
    y, var_cache = cache
    return var_backward(np.where(y == 0, 0, dy / (2 * y)), var_cache)


def std(x: Tensor, dim: Axis = None, keepdim: bool = False, correction: float = 1) -> Tensor:
    """The standard deviation over dim: the square root of `var`."""
    floating("std", x=x)
    return record(std_forward, std_backward, x, dims=many_axes("std", dim, x.shape), keepdim=keepdim, correction=correction)


def largest(x: Any, axis: int | tuple[int, ...]) -> Any:
    """The largest of x along the axis, which stays with size 1; of nothing it is -inf."""
    return x.max(axis=axis, keepdims=True) if x.size else x.sum(axis=axis, keepdims=True) - np.inf


def logsumexp_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False) -> Pair:
    """y = log(sum of exp(x)) = m + log(sum of exp(x - m)) with m the largest x, so that exp cannot overflow"""
    m = largest(x, dims)
    m = np.where(np.isinf(m), 0, m)                            # inf - inf would be NaN
    e = np.exp(x - m)
    total = e.sum(axis=dims, keepdims=True)
    y = m + np.log(total)
    return (y if keepdim else y.squeeze(dims)), (e, total, dims)


def logsumexp_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * softmax(x) = dy * exp(x - m) / sum of exp(x - m)"""
    e, total, dims = cache
    return (spread(dy, e.shape, dims) * (e / total),)


def logsumexp(x: Tensor, dim: Axis, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) over dim, without overflow."""
    x = x if x.is_floating_point() else x.float()
    return record(logsumexp_forward, logsumexp_backward, x, dims=many_axes("logsumexp", dim, x.shape), keepdim=keepdim)
