"""Which axes an operation works on: torch's `dim` as non-negative numbers."""
from __future__ import annotations

import operator
from collections.abc import Sequence

Axis = int | Sequence[int] | None


def one_axis(op: str, dim: int, shape: Sequence[int], extra: int = 0) -> int:
    """dim in 0..ndim-1; negative ones count from the end. `extra` = 1 where a new axis is put in. Raises IndexError."""
    try:
        dim = operator.index(dim)
    except TypeError:
        raise TypeError(f"{op}: dim must be an integer, got {dim!r}") from None
    ndim = max(len(shape) + extra, 1)                          # a single number lets 0 and -1 pass, as in torch
    if not -ndim <= dim < ndim:
        raise IndexError(f"{op}: dim {dim} is out of range for shape {tuple(shape)}: it must be in {-ndim}..{ndim - 1}")
    return dim % ndim


def many_axes(op: str, dim: Axis, shape: Sequence[int]) -> tuple[int, ...]:
    """dim as a tuple of axes without repetition; None and () mean all axes."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(len(shape)))
    dims = tuple(one_axis(op, d, shape) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    if len(set(dims)) < len(dims):
        raise ValueError(f"{op}: dim {dim} names an axis twice (shape {tuple(shape)})")
    return dims if shape else ()
