"""The largest and the smallest: max, min, amax, amin, argmax, argmin. NaN wins over every number."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minicnn.autograd import record
from minicnn.ops.axes import Axis, many_axes, one_axis
from minicnn.ops.reduce import spread
from minicnn.ops.selection import maximum, minimum
from minicnn.tensor import Tensor

Pair = tuple[Any, Any]


class Extremes(NamedTuple):
    """What max(dim) and min(dim) return: the values and where they were."""
    values: Tensor
    indices: Tensor


def _ties(x: Any, y: Any) -> Any:
    """Where x holds the extreme y. Where that is NaN, the NaNs do (and x == y nowhere)."""
    return (x == y) | (x != x)


def amax_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False) -> Pair:
    """y = the largest of x over dims"""
    y = x.max(axis=dims, keepdims=True)
    return (y if keepdim else y.squeeze(dims)), (_ties(x, y), x.shape, dims)


def amax_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy, in equal parts, to every place that holds the extreme"""
    ties, shape, dims = cache
    share = dy / ties.sum(axis=dims, dtype=dy.dtype).reshape(dy.shape)
    return (np.where(ties, spread(share, shape, dims), 0),)


def amin_forward(x: Any, dims: tuple[int, ...], keepdim: bool = False) -> Pair:
    """y = the smallest of x over dims"""
    y = x.min(axis=dims, keepdims=True)
    return (y if keepdim else y.squeeze(dims)), (_ties(x, y), x.shape, dims)


def amax(x: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor:
    """The largest value over dim (an axis, several, or all); ties share the gradient."""
    return record(amax_forward, amax_backward, x, dims=_filled("amax", dim, x.shape), keepdim=keepdim)


def amin(x: Tensor, dim: Axis = None, keepdim: bool = False) -> Tensor:
    """The smallest value over dim (an axis, several, or all); ties share the gradient."""
    return record(amin_forward, amax_backward, x, dims=_filled("amin", dim, x.shape), keepdim=keepdim)


def pick_forward(x: Any, indices: Any, dim: int, keepdim: bool = False) -> Pair:
    """y = the value at `indices` along the axis dim. Shapes: x (A, D, B), indices (A, 1, B) -> (A, B), or (A, 1, B) with keepdim"""
    y = np.take_along_axis(x, indices, dim)
    return (y if keepdim else y.squeeze(dim)), (indices, dim, x.shape)


def pick_backward(dy: Any, cache: Any) -> tuple[Any, None]:
    """dx = dy at the place that was picked, 0 elsewhere"""
    indices, dim, shape = cache
    dx = np.zeros_like(dy, shape=shape)
    np.put_along_axis(dx, indices, dy.reshape(indices.shape), dim)
    return dx, None


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest value. Without dim: of all values, ties share the gradient. With dim: (values, indices), the first of equal ones, which
    gets the whole gradient. With a Tensor: `maximum` of the two."""
    if isinstance(dim, Tensor):
        return maximum(x, dim)
    return amax(x, None, keepdim) if dim is None else _along("max", np.argmax, x, dim, keepdim)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest value: see `max`."""
    if isinstance(dim, Tensor):
        return minimum(x, dim)
    return amin(x, None, keepdim) if dim is None else _along("min", np.argmin, x, dim, keepdim)


def _along(op: str, arg: Any, x: Tensor, dim: int, keepdim: bool) -> Extremes:
    (dim,) = _filled(op, one_axis(op, dim, x.shape), x.shape) or (0,)
    if x.ndim == 0:
        return Extremes(x.clone(), Tensor(np.zeros((), np.int64)))
    indices = arg(x.array, axis=dim, keepdims=True)
    values = record(pick_forward, pick_backward, x, indices, dim=dim, keepdim=keepdim)
    return Extremes(values, Tensor(indices if keepdim else indices.squeeze(dim)))


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the largest value along dim, or in the flattened tensor; the first of equal ones."""
    return _position("argmax", np.argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index (int64) of the smallest value along dim, or in the flattened tensor; the first of equal ones."""
    return _position("argmin", np.argmin, x, dim, keepdim)


def _position(op: str, arg: Any, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    _filled(op, dim, x.shape)
    axis = None if dim is None or x.ndim == 0 else one_axis(op, dim, x.shape)
    return Tensor(arg(x.array, axis=axis, keepdims=keepdim))


def _filled(op: str, dim: Axis, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes, each with at least one value: nothing has no largest value."""
    dims = many_axes(op, dim, shape)
    for d in dims:
        if shape[d] == 0:
            raise ValueError(f"{op}: axis {d} of shape {shape} is empty; there is no value to choose")
    return dims
