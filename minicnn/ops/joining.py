"""Tensors put together and taken apart: cat, stack, split, chunk."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.axes import one_axis
from minicnn.ops.cast import cast
from minicnn.ops.indexing import getitem
from minicnn.ops.operands import result_dtype
from minicnn.ops.shape import unsqueeze
from minicnn.tensor import Tensor


def cat_forward(*arrays: Any, dim: int = 0) -> tuple[Any, Any]:
    """y = the arrays one after another along the axis dim"""
    return np.concatenate(arrays, axis=dim, dtype=result_dtype(*arrays)), (dim, [a.shape[dim] for a in arrays])


def cat_backward(dy: Any, cache: Any) -> Sequence[Any]:
    """Each array's gradient is its own part of dy"""
    dim, sizes = cache
    return np.split(dy, np.cumsum(sizes)[:-1].tolist(), axis=dim)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after another along an axis that exists.

    Shapes: (2, 3), (4, 3) -> (6, 3). Raises ValueError when another axis differs. An empty list, tensor([]), joins anything, as in torch.
    """
    _first("cat", tensors)
    dtype = result_dtype(*(t.array for t in tensors))
    if any(t.ndim > 1 for t in tensors):
        tensors = [t for t in tensors if t.shape != (0,)]
    first = tensors[0]
    if first.ndim == 0:
        raise ValueError("cat: single numbers (shape ()) have no axis to join along: use stack()")
    dim = one_axis("cat", dim, first.shape)
    for i, t in enumerate(tensors):
        if t.ndim != first.ndim or any(m != n for axis, (m, n) in enumerate(zip(t.shape, first.shape, strict=True)) if axis != dim):
            raise ValueError(f"cat: tensor {i} has shape {t.shape}, tensor 0 has {first.shape}: only axis {dim} may differ")
    return cast(record(cat_forward, cat_backward, *tensors, dim=dim), dtype)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis.

    Shapes: (2, 3), (2, 3), (2, 3), (2, 3) -> (4, 2, 3). Raises ValueError when shapes differ.
    """
    first = _first("stack", tensors)
    for i, t in enumerate(tensors):
        if t.shape != first.shape:
            raise ValueError(f"stack: tensor {i} has shape {t.shape}, tensor 0 has {first.shape}: they must be equal")
    return cat([unsqueeze(t, one_axis("stack", dim, first.shape, extra=1)) for t in tensors], dim)


def _first(op: str, tensors: Sequence[Tensor]) -> Tensor:
    """The first of a sequence that holds at least one Tensor, and nothing else."""
    if isinstance(tensors, Tensor) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(f"{op}: expected a list or tuple of Tensors")
    if not tensors:
        raise ValueError(f"{op}: expected at least one Tensor, the sequence is empty")
    return tensors[0]


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along an axis: each of split_size (the last may be smaller), or of the sizes in a list that add up to the axis."""
    dim = one_axis("split", dim, x.shape)
    if x.ndim == 0:
        raise ValueError("split: a single number (shape ()) has no axis to split")
    n = x.shape[dim]
    if isinstance(split_size, int):
        if split_size < 1:
            raise ValueError(f"split: split_size must be at least 1, got {split_size}")
        sizes = [min(split_size, n - start) for start in range(0, max(n, 1), split_size)]
    else:
        sizes = list(split_size)
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ValueError(f"split: the sizes {sizes} add up to {sum(sizes)}, axis {dim} has {n} (shape {x.shape})")
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    return tuple(getitem(x, (slice(None),) * dim + (slice(start, start + size),)) for start, size in zip(starts, sizes, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts along an axis of n, all of size ceil(n / chunks) but the last."""
    if chunks < 1:
        raise ValueError(f"chunk: chunks must be at least 1, got {chunks}")
    n = x.shape[one_axis("chunk", dim, x.shape)] if x.ndim else 1
    return split(x, -(-n // chunks) or [0] * chunks, dim)
