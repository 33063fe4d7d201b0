"""Reading and writing parts of a tensor: x[...], x[...] = v. A gradient goes back to where the value came from.

What torch and NumPy read differently is read as torch does: an integer beside an index array takes its axis away first.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.kernels import devices
from minicnn.ops.operands import unbroadcast
from minicnn.tensor import Tensor


def plain_index(index: Any) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """Split an index into a basic part (integers, slices, None, ...) and then index arrays, or None: x[index] is x[basic][fancy].

    Tensors and lists become arrays. basic ends in `...`, so that x[basic] is a view even when it is a single value.
    """
    basic: list[Any] = []
    fancy: list[Any] = []
    for i in index if isinstance(index, tuple) else (index,):
        if isinstance(i, Tensor):
            i = i.array
        if isinstance(i, list | range):
            i = np.asarray(i, dtype=None if len(i) else np.int64)
        if hasattr(i, "dtype") and i.ndim == 0 and i.dtype.kind in "iu":
            i = int(i)
        if hasattr(i, "dtype"):
            basic += [slice(None)] * (i.ndim if i.dtype.kind == "b" else 1)
            fancy.append(i)
        else:
            basic.append(i)
            fancy += [] if isinstance(i, int) and not isinstance(i, bool) else [i if i is Ellipsis else slice(None)]
    if not any(i is Ellipsis for i in basic):
        basic.append(Ellipsis)
    return tuple(basic), tuple(fancy) if any(hasattr(i, "dtype") for i in fancy) else None


def getitem_forward(x: Any, index: Any) -> tuple[Any, Any]:
    """y = x[index] for integers, slices, None and `...`: a view"""
    return x[index], (index, x.shape)


def getitem_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy at the index, 0 elsewhere"""
    index, shape = cache
    dx = np.zeros_like(dy, shape=shape)
    dx[index] = dy
    return (dx,)


def gather_forward(x: Any, index: Any) -> tuple[Any, Any]:
    """y = x[index] for index arrays: a copy"""
    return x[index], (index, x.shape)


def gather_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx[index] += dy: a value that was read twice gets the sum of both gradients"""
    index, shape = cache
    dx = np.zeros_like(dy, shape=shape)
    np.add.at(dx, index, dy)
    return (dx,)


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index]: integers, slices (negative steps too), None, Ellipsis, and integer or boolean arrays, lists or Tensors."""
    basic, fancy = _index_of(x.array, index)
    y = record(getitem_forward, getitem_backward, x, index=basic)
    return y if fancy is None else record(gather_forward, gather_backward, y, index=fancy)


def setitem_forward(x: Any, value: Any, index: Any) -> tuple[Any, Any]:
    """y = x with y[index] = value"""
    y = x.copy()
    assign(y, index, value)
    return y, (index, np.shape(value))


def setitem_backward(dy: Any, cache: Any) -> tuple[Any, Any]:
    """dx = dy but 0 at the index, dvalue = dy at the index"""
    index, value_shape = cache
    basic, fancy = _index_of(dy, index)
    dx, dvalue = dy.copy(), dy[basic] if fancy is None else dy[basic][fancy]
    assign(dx, index, 0)
    return dx, unbroadcast(dvalue, value_shape)


def setitem(x: Tensor, index: Any, value: Any) -> Tensor:
    """A copy of x with x[index] = value. (`x[index] = value` itself writes in place where nothing is recorded.)"""
    return record(setitem_forward, setitem_backward, x, value, index=index)


def assign(array: Any, index: Any, value: Any) -> None:
    """array[index] = value, in place."""
    basic, fancy = _index_of(array, index)
    value = devices.beside(value, array)
    if fancy is None:
        array[basic] = value
    else:
        array[basic][fancy] = value


def _index_of(array: Any, index: Any) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """`plain_index`, with index arrays where `array` is: lists of positions are the host's."""
    basic, fancy = plain_index(index)
    if fancy is None or devices.on_host(array):
        return basic, fancy
    return basic, tuple(devices.beside(i, array) if hasattr(i, "dtype") else i for i in fancy)
