"""The matrix product: vectors, matrices, and stacks of matrices that broadcast."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import fresh, record
from minicnn.ops.operands import broadcast_shape, unbroadcast
from minicnn.tensor import Tensor


def matmul_forward(a: Any, b: Any) -> tuple[Any, Any]:
    """y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]"""
    return a @ b, (a, b)


@fresh
def matmul_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True)) -> tuple[Any, Any]:
    """da = dy @ b.T, db = a.T @ dy, summed over the stacks that broadcasting repeated."""
    a, b = cache
    row, column = a.ndim == 1, b.ndim == 1                     # a vector is a row on the left and a column on the right
    dy = dy[..., None] if column else dy
    dy = dy[..., None, :] if row else dy
    A, B = a[None] if row else a, b[:, None] if column else b
    da = unbroadcast(dy @ B.swapaxes(-1, -2), A.shape).reshape(a.shape) if needs[0] else None
    if not needs[1]:
        return da, None
    if B.ndim == 2:                                            # one matrix for all: a single product over all rows of the stack
        db = np.tensordot(A, dy, (range(A.ndim - 1), range(A.ndim - 1)))
    else:
        db = unbroadcast(A.swapaxes(-1, -2) @ dy, B.shape)
    return da, db.reshape(b.shape)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product of the last two axes: torch.matmul.

    Shapes: (..., M, K) @ (..., K, N) -> (..., M, N); a vector (K) counts as (1, K) on the left and (K, 1) on the right, and that axis
    is taken away again.

    Raises ValueError for sizes that do not fit, TypeError for dtypes that differ.
    """
    for name, t in (("a", a), ("b", b)):
        if not hasattr(t, "dtype"):
            raise TypeError(f"matmul: {name} must be a Tensor or an array, got {type(t).__name__}")
        if t.ndim == 0:
            raise ValueError(f"matmul: {name} is a single number (shape ()); multiply numbers with *")
    if a.dtype != b.dtype:
        raise TypeError(f"matmul: dtypes differ: a is {a.dtype}, b is {b.dtype}; convert with .float() or .double()")
    K, rows = a.shape[-1], b.shape[0] if b.ndim == 1 else b.shape[-2]
    if rows != K:
        raise ValueError(f"matmul: a has {K} columns (shape {a.shape}), b has {rows} rows (shape {b.shape}); they must agree")
    broadcast_shape("matmul: stacks of matrices", a.shape[:-2], b.shape[:-2])
    return record(matmul_forward, matmul_backward, a, b)
