"""Comparisons: boolean tensors and plain truths, never a gradient."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import unrecorded
from minicnn.ops.axes import many_axes
from minicnn.ops.operands import Operand, operands
from minicnn.tensor import Tensor


def compare(ufunc: np.ufunc, a: Operand, b: Operand) -> Tensor:
    """ufunc(a, b) as a constant Tensor, with broadcasting, after both took their common dtype: 0.1 equals a float32 0.1."""
    return unrecorded(ufunc.__name__, lambda a, b: ufunc(*operands(ufunc.__name__, a, b)), a, b)


def eq(a: Operand, b: Operand) -> Tensor:
    """a == b"""
    return compare(np.equal, a, b)


def ne(a: Operand, b: Operand) -> Tensor:
    """a != b"""
    return compare(np.not_equal, a, b)


def lt(a: Operand, b: Operand) -> Tensor:
    """a < b"""
    return compare(np.less, a, b)


def le(a: Operand, b: Operand) -> Tensor:
    """a <= b"""
    return compare(np.less_equal, a, b)


def gt(a: Operand, b: Operand) -> Tensor:
    """a > b"""
    return compare(np.greater, a, b)


def ge(a: Operand, b: Operand) -> Tensor:
    """a >= b"""
    return compare(np.greater_equal, a, b)


def isnan(x: Tensor) -> Tensor:
    """Where x is NaN."""
    return Tensor(np.isnan(x.array))


def isinf(x: Tensor) -> Tensor:
    """Where x is inf or -inf."""
    return Tensor(np.isinf(x.array))


def isfinite(x: Tensor) -> Tensor:
    """Where x is neither NaN nor infinite."""
    return Tensor(np.isfinite(x.array))


def any(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether any value (along dim) is true."""
    return Tensor(x.array.any(axis=many_axes("any", dim, x.shape), keepdims=keepdim))


def all(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether all values (along dim) are true."""
    return Tensor(x.array.all(axis=many_axes("all", dim, x.shape), keepdims=keepdim))


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether shape and every value are the same; NaN equals nothing."""
    return bool(unrecorded("equal", np.array_equal, a, b))


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |a - b| <= atol + rtol * |b| everywhere."""
    return bool(unrecorded("allclose", lambda a, b: np.allclose(a, b, rtol, atol, equal_nan), a, b))
