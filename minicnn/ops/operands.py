"""What the operands of an elementwise operation become: one dtype and one shape, by torch's rules, and how a gradient finds back."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.tensor import DEFAULT_DTYPE, Tensor

Operand = Tensor | np.ndarray | float          # a float stands for every Python or NumPy number; numbers and arrays are constants

_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2}
_NUMBERS = {bool: np.dtype(bool), int: np.dtype(np.int64), float: DEFAULT_DTYPE}


def result_dtype(*operands: Any) -> np.dtype:
    """The dtype of an operation on these: the widest of the highest kind, where bool < integer < float.

    Numbers are weak, 0-d arrays less so: within that kind they only count where there is no array with axes. So float32 stays float32
    when it meets 2.5 or a 0-d float64, and integers that meet 2.5 become float32.
    """
    ranked = [_rank(x) for x in operands]
    highest = max(rank for rank, _ in ranked)
    return np.result_type(*(dtype for rank, dtype in ranked if rank == highest))


def _rank(x: Any) -> tuple[tuple[int, int], np.dtype]:
    """((kind, how strong), dtype)"""
    dtype, strength = (_NUMBERS[type(x)], 0) if type(x) in _NUMBERS else (x.dtype, 1 + (x.ndim > 0))
    return (_KINDS[dtype.kind], strength), dtype


def operands(op: str, *values: Any, floating: bool = False) -> list[Any]:
    """The arrays among `values` in their common dtype; Python numbers stay numbers, which NumPy treats as weak too.

    floating: integers become float32. Raises ValueError if the shapes do not broadcast, TypeError for what is neither array nor number.
    """
    first = values[0]
    alike = all(isinstance(v, np.ndarray) and v.shape == first.shape and v.dtype == first.dtype for v in values)
    if alike and (first.dtype.kind == "f" or not floating):    # nothing to do
        return list(values)
    values = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
    for v in values:
        if not hasattr(v, "dtype") and type(v) not in _NUMBERS:
            raise TypeError(f"{op}: expected Tensors, arrays or numbers, got {type(v).__name__}")
    broadcast_shape(op, *(np.shape(v) for v in values))
    dtype = result_dtype(*values)
    if floating and dtype.kind != "f":
        dtype = DEFAULT_DTYPE
    only_numbers = all(type(v) in _NUMBERS for v in values)
    return [np.asarray(v, dtype) if only_numbers else v if type(v) in _NUMBERS else v.astype(dtype, copy=False) for v in values]


def broadcast_shape(op: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all `shapes` stretch to. Raises ValueError that names the axis where they cannot."""
    if all(s == shapes[0] for s in shapes):
        return tuple(shapes[0])
    for i in range(-1, -1 - max(map(len, shapes)), -1):
        sizes = {s[i] for s in shapes if len(s) >= -i} - {1}
        if len(sizes) > 1:
            given = [s[i] for s in shapes if len(s) >= -i]
            raise ValueError(f"{op}: shapes {' and '.join(str(tuple(s)) for s in shapes)} do not broadcast: axis {i} has sizes "
                             f"{' and '.join(map(str, given))}; they must be equal, or 1")
    return np.broadcast_shapes(*shapes)


def unbroadcast(gradient: Any, shape: Sequence[int]) -> Any:
    """Sum a gradient over the axes that broadcasting added or stretched: what was used many times gets the sum of its gradients.

    Shapes: gradient (5, 2, 3), shape (2, 1) -> (2, 1)
    """
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    stretched = (added + i for i, n in enumerate(shape) if n == 1 != gradient.shape[added + i])
    return gradient.sum(axis=(*range(added), *stretched)).reshape(shape)
