"""Element by element, one operand or the other: where, maximum, minimum, clamp. The gradient goes to the one that was chosen."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.operands import Operand, broadcast_shape, operands, unbroadcast
from minicnn.tensor import Tensor

Pair = tuple[Any, Any]


def _share(dy: Any, mask: Any, like: Any) -> Any:
    """dy where the mask is true, summed back to the shape of `like`. (Not dy * mask: an infinite dy would turn 0 into NaN.)"""
    return unbroadcast(np.where(mask, dy, 0), np.shape(like))


def where_forward(condition: Any, a: Any, b: Any) -> Pair:
    """y = a where condition, else b"""
    a, b = operands("where", a, b)
    broadcast_shape("where", condition.shape, np.shape(a), np.shape(b))
    return np.where(condition, a, b), (condition, np.shape(a), np.shape(b))


def where_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True)) -> tuple[None, Any, Any]:
    """da = dy where condition, db = dy where not"""
    condition, a_shape, b_shape = cache
    da = unbroadcast(np.where(condition, dy, 0), a_shape) if needs[1] else None
    db = unbroadcast(np.where(condition, 0, dy), b_shape) if needs[2] else None
    return None, da, db


def where(condition: Tensor | np.ndarray, a: Operand, b: Operand) -> Tensor:
    """a where condition is true, else b, with broadcasting."""
    if not hasattr(condition, "dtype") or condition.dtype != np.bool_:
        got = getattr(condition, "dtype", type(condition).__name__)
        raise TypeError(f"where: the condition must be boolean, got {got}; compare first, as in x > 0")
    return record(where_forward, where_backward, condition, a, b)


def maximum_forward(a: Any, b: Any) -> Pair:
    """y = the larger of a and b; NaN if either is NaN"""
    a, b = operands("maximum", a, b)
    return np.maximum(a, b), (a, b)


def maximum_backward(dy: Any, cache: Any) -> Pair:
    """dy to the larger one, half each where they are equal (and, as in torch, whole to both at NaN)"""
    a, b = cache
    dy = np.where(np.equal(a, b), dy / 2, dy)
    return _share(dy, ~np.less(a, b), a), _share(dy, ~np.less(b, a), b)


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of a and b, element by element; ties share the gradient."""
    return record(maximum_forward, maximum_backward, a, b)


def minimum_forward(a: Any, b: Any) -> Pair:
    """y = the smaller of a and b; NaN if either is NaN"""
    a, b = operands("minimum", a, b)
    return np.minimum(a, b), (a, b)


def minimum_backward(dy: Any, cache: Any) -> Pair:
    """dy to the smaller one, half each where they are equal"""
    a, b = cache
    return maximum_backward(dy, (-a, -b))


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of a and b, element by element; ties share the gradient."""
    return record(minimum_forward, minimum_backward, a, b)


def clamp_forward(x: Any, low: Any, high: Any) -> Pair:
    """y = min(max(x, low), high); a bound may be None"""
    least, most = (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    x, low, high = operands("clamp", x, least if low is None else low, most if high is None else high)
    return np.minimum(np.maximum(x, low), high), (x, low, high)


def clamp_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True)) -> tuple[Any, Any, Any]:
    """dy to x inside the bounds, both included; outside, to the bound that it was cut to"""
    x, low, high = cache
    dx = _share(dy, np.less_equal(low, x) & np.less_equal(x, high), x)
    dlow = _share(dy, np.less(x, low) & np.less(low, high), low) if needs[1] else None
    dhigh = _share(dy, np.less(high, x) | np.less(high, low), high) if needs[2] else None
    return dx, dlow, dhigh


def clamp(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """x, but not below min and not above max: numbers, Tensors or None."""
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    return record(clamp_forward, clamp_backward, x, min, max)
