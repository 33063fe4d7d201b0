"""The same values in another shape or order: reshape, permute, expand, flip and what is made of them."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.axes import Axis, many_axes, one_axis
from minicnn.ops.operands import unbroadcast
from minicnn.tensor import Tensor

Pair = tuple[Any, Any]


def reshape_forward(x: Any, shape: tuple[int, ...]) -> Pair:
    """y = the values of x in row-major order, in a new shape; a view where memory allows"""
    return x.reshape(shape), x.shape


def reshape_backward(dy: Any, shape: Any) -> tuple[Any]:
    """dx = dy in the old shape"""
    return (dy.reshape(shape),)


def reshape(x: Tensor, shape: int | Sequence[int]) -> Tensor:
    """The same values in another shape; one size may be -1, for what is left. Raises ValueError when the number of values differs."""
    sizes = tuple(map(int, shape)) if isinstance(shape, Sequence) else (int(shape),)
    if min(sizes, default=1) < 0:
        known = math.prod(n for n in sizes if n != -1)
        fits = sizes.count(-1) == 1 and min(sizes) == -1 and known > 0 and x.numel() % known == 0
    else:
        fits = math.prod(sizes) == x.numel()
    if not fits:
        raise ValueError(f"reshape: shape {x.shape} has {x.numel()} values, they do not fit into shape {sizes}")
    return record(reshape_forward, reshape_backward, x, shape=sizes)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the axes start_dim..end_dim into one: (N, C, H, W).flatten(1) -> (N, C*H*W)."""
    start, end = (one_axis("flatten", d, x.shape) for d in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} (shape {x.shape})")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:]))


def squeeze(x: Tensor, dim: Axis = None) -> Tensor:
    """Without the axes of size 1 (of those in dim)."""
    dims = many_axes("squeeze", dim, x.shape)
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if not (i in dims and n == 1)))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1 at position dim."""
    dim = one_axis("unsqueeze", dim, x.shape, extra=1)
    return reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


def permute_forward(x: Any, dims: tuple[int, ...]) -> Pair:
    """Axis i of y is axis dims[i] of x; a view"""
    return x.transpose(dims), dims


def permute_backward(dy: Any, dims: Any) -> tuple[Any]:
    """dx = dy with the axes put back"""
    return (dy.transpose(sorted(range(len(dims)), key=dims.__getitem__)),)


def permute(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The axes in another order: (N, C, H, W).permute(0, 2, 3, 1) -> (N, H, W, C)."""
    order = tuple(one_axis("permute", d, x.shape) for d in dims)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"permute: dims {tuple(dims)} must name each of the {x.ndim} axes of shape {x.shape} once")
    return record(permute_forward, permute_backward, x, dims=order)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    a, b = (one_axis("transpose", d, x.shape) for d in (dim0, dim1))
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = b, a
    return permute(x, order)


def expand_forward(x: Any, shape: tuple[int, ...]) -> Pair:
    """y = x repeated along new axes and axes of size 1; a read-only view, nothing is copied"""
    return np.broadcast_to(x, shape), x.shape


def expand_backward(dy: Any, shape: Any) -> tuple[Any]:
    """dx = the sum of dy over the copies"""
    return (unbroadcast(dy, shape),)


def expand(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x broadcast to a larger shape; -1 keeps a size. Raises ValueError where a size is neither equal nor 1."""
    kept = (1,) * (len(shape) - x.ndim) + x.shape
    sizes = tuple(old if n == -1 and i >= len(shape) - x.ndim else int(n) for i, (n, old) in enumerate(zip(shape, kept, strict=False)))
    if len(kept) != len(shape) or any(n < 0 or old not in (1, n) for n, old in zip(sizes, kept, strict=True)):
        raise ValueError(f"expand: shape {x.shape} does not broadcast to {tuple(shape)}: axes are matched from the right, "
                         "each must be equal or 1, and -1 keeps one that exists")
    return record(expand_forward, expand_backward, x, shape=sizes)


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`expand` under NumPy's name."""
    return expand(x, shape)


def flip_forward(x: Any, dims: tuple[int, ...]) -> Pair:
    """y = x with the order along dims reversed"""
    return np.flip(x, dims), dims


def flip_backward(dy: Any, dims: Any) -> tuple[Any]:
    """dx = dy reversed once more"""
    return (np.flip(dy, dims),)


def flip(x: Tensor, dims: Axis) -> Tensor:
    """The order along the axes dims reversed: flip((2, 3)) turns (N, C, H, W) images by 180 degrees."""
    dims = many_axes("flip", dims, x.shape) if dims not in ((), []) else ()
    return record(flip_forward, flip_backward, x, dims=dims)
