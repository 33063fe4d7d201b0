"""Adaptive pooling on Tensors: the output size is given, and the windows follow from it.

Each axis of size n is cut into O bins, bin i from floor(i*n/O) to ceil((i + 1)*n/O); they overlap where O does not divide n. Rows and
columns are independent: first every row is reduced to its O bins, then every column.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import record
from minicnn.kernels.window import Window2d
from minicnn.ops.checks import batched, floating
from minicnn.tensor import Tensor

OutputSize = int | None | Sequence[int | None]


def bins(n: int, outputs: int) -> list[tuple[int, int]]:
    """First and one-past-last position of each bin.

    >>> bins(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * n // outputs, -(-(i + 1) * n // outputs)) for i in range(outputs)]


def adaptive_avg_pool2d_forward(x: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
    """y[n, c, i, j] = mean of x[n, c, rows of bin i, columns of bin j]. Shapes: (N, C, H, W) -> (N, C, OH, OW).

    Bins of one size, which do not overlap, are the windows of an average pooling.
    """
    (H, W), (OH, OW) = x.shape[2:], output_size
    if H % OH == 0 and W % OW == 0:
        k, window = kernels.of(x), Window2d.of((H // OH, W // OW), (H // OH, W // OW))
        return k.avg_pool2d(x, window), (k, x.shape, window)
    sums = _bin_sums(_bin_sums(x, OW).swapaxes(2, 3), OH).swapaxes(2, 3)
    return sums / _cells(x, (H, W), output_size), (None, x.shape, None)


def adaptive_avg_pool2d_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx: every bin shares its dy equally among its pixels."""
    k, input_shape, window = cache
    if window is not None:
        return (k.avg_pool2d_grad(dy, input_shape, window),)
    size = input_shape[2:]
    share = dy / _cells(dy, size, dy.shape[2:])
    return (_spread(_spread(share, size[1]).swapaxes(2, 3), size[0]).swapaxes(2, 3),)


def adaptive_max_pool2d_forward(x: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
    """y[n, c, i, j] = max of x[n, c, rows of bin i, columns of bin j], and its flat index h*W + w: the first one in row-major order.

    The largest of each row of a bin, then the largest of those.
    """
    w = _bin_argmax(x, output_size[1])                                                 # (N, C, H, OW)
    row_max = np.take_along_axis(x, w, axis=3)
    h = _bin_argmax(row_max.swapaxes(2, 3), output_size[0]).swapaxes(2, 3)             # (N, C, OH, OW)
    y = np.take_along_axis(row_max, h, axis=2)
    argmax = h * x.shape[3] + np.take_along_axis(w, h, axis=2)
    return (y, argmax), (argmax, x.shape)


def adaptive_max_pool2d_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx: every bin hands its dy to its winner; a pixel that won several bins adds them up."""
    argmax, input_shape = cache
    planes, bins = input_shape[0] * input_shape[1], dy.shape[2] * dy.shape[3]
    dx = np.zeros_like(dy, shape=(planes, input_shape[2] * input_shape[3]))
    np.add.at(dx, (np.arange(planes, like=dy)[:, None], argmax.reshape(planes, bins)), dy.reshape(planes, bins))
    return (dx.reshape(input_shape),)


def _bin_sums(x: Any, outputs: int) -> Any:
    """(..., n) -> (..., O)"""
    return np.stack([x[..., start:end].sum(axis=-1) for start, end in bins(x.shape[-1], outputs)], axis=-1)


def _bin_argmax(x: Any, outputs: int) -> Any:
    """(..., n) -> (..., O): the position of the first largest value of each bin."""
    return np.stack([start + x[..., start:end].argmax(axis=-1) for start, end in bins(x.shape[-1], outputs)], axis=-1)


def _spread(dy: Any, n: int) -> Any:
    """(..., O) -> (..., n): every position adds up the bins it is in; the adjoint of _bin_sums."""
    dx = np.zeros_like(dy, shape=(*dy.shape[:-1], n))
    for i, (start, end) in enumerate(bins(n, dy.shape[-1])):
        dx[..., start:end] += dy[..., i:i + 1]
    return dx


def _cells(like: Any, size: Sequence[int], output_size: Sequence[int]) -> Any:
    """(OH, OW): the pixels in each bin."""
    rows, columns = (((i + 1) * n + O - 1) // O - i * n // O                           # ceil((i + 1)*n / O) - floor(i*n / O)
                     for n, O in zip(size, output_size, strict=True) for i in (np.arange(O, like=like),))
    return (rows[:, None] * columns).astype(like.dtype)


def adaptive_avg_pool2d(input: Tensor, output_size: OutputSize) -> Tensor:
    """The mean of each of OH x OW bins: output i averages the rows floor(i*H/OH) up to ceil((i + 1)*H/OH), columns alike.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW). output_size: int, or a pair; None keeps the size of that axis.
    (1, 1) is global average pooling (Lin and others, 2014).

    Raises TypeError for integer input, ValueError for a size below 1.
    """
    floating("adaptive_avg_pool2d", x=input)
    x, unbatch = batched("adaptive_avg_pool2d", input, 3, "(C, H, W)")
    size = _output_size("adaptive_avg_pool2d", output_size, x)
    return unbatch(record(adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward, x, output_size=size))


def adaptive_max_pool2d(input: Tensor, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest value of each of OH x OW bins, the first one where several are equal: see `adaptive_avg_pool2d`.

    return_indices: return (y, indices) with the winners' flat indices h*W + w.
    """
    floating("adaptive_max_pool2d", x=input)
    x, unbatch = batched("adaptive_max_pool2d", input, 3, "(C, H, W)")
    size = _output_size("adaptive_max_pool2d", output_size, x)
    y, indices = unbatch(record(adaptive_max_pool2d_forward, adaptive_max_pool2d_backward, x, output_size=size))
    return (y, indices) if return_indices else y


def _output_size(op: str, output_size: OutputSize, x: Tensor) -> tuple[int, ...]:
    wanted = tuple(output_size) if isinstance(output_size, Sequence) else (output_size, output_size)
    if len(wanted) != 2:
        raise ValueError(f"{op}: output_size is {output_size}: give one number, or two (height, width); None keeps a size")
    size = tuple(n if o is None else int(o) for n, o in zip(x.shape[2:], wanted, strict=True))
    if min(size) < 1 or min(x.shape[2:]) < 1:
        raise ValueError(f"{op}: cannot make output_size {output_size} from shape {x.shape}: every size must be at least 1")
    return size
