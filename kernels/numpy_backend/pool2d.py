"""Max and average pooling as running maxima and sums over the kernel offsets. Shapes: x (N, C, H, W) -> y (N, C, OH, OW)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.kernels.window import Window2d


def max_pool2d(x: Any, window: Window2d) -> tuple[Any, Any]:
    """y = the largest value under each window; argmax = its flat index h*W + w in the input plane, as torch numbers it.

    The first maximum in row-major order wins, NaN wins over numbers; the padding is -inf and never wins: a window that sees
    nothing else gives -inf and argmax -1. Fast because each of the KH*KW steps compares whole strided slices.

    >>> max_pool2d(np.arange(16.).reshape(1, 1, 4, 4), Window2d(kernel=(2, 2), stride=(2, 2)))[0][0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    size = x.shape[2:]
    output, (KH, KW) = window.output_size(size), window.kernel
    padded, index = window.pad(x, -np.inf), _plane_index(x, window, size)
    y = np.full_like(x, -np.inf, shape=(*x.shape[:2], *output), order="C")
    argmax = np.empty_like(y, dtype=np.int64)
    argmax[:] = _first_tap(x, window, size)                            # stays where every value is -inf
    for kh in range(KH):
        for kw in range(KW):
            taps = window.taps(kh, kw, output)
            value = padded[taps]
            better = (value > y) | np.isnan(value)
            np.copyto(y, value, where=better)
            np.copyto(argmax, index[taps], where=better)
    return y, argmax


def max_pool2d_grad(dy: Any, argmax: Any, input_shape: tuple[int, ...], window: Window2d) -> Any:
    """dx: each window hands its dy to its winner, and a pixel that won several windows adds them up.

    Gathers instead of scattering: at each kernel offset, the windows whose winner sits at that offset.
    Shapes: dy (N, C, OH, OW) -> (N, C, H, W).
    """
    output, (KH, KW), size = dy.shape[2:], window.kernel, input_shape[2:]
    index = _plane_index(dy, window, size)
    padded = np.zeros_like(dy, shape=(*input_shape[:2], *window.padded_size(size)), order="C")
    for kh in range(KH):
        for kw in range(KW):
            taps = window.taps(kh, kw, output)
            padded[taps] += np.where(argmax == index[taps], dy, 0)     # dy * mask would make NaN of 0 * inf
    return window.crop(padded, size)


def avg_pool2d(x: Any, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """y = (sum under the window) / divisor: `divisor_override`, or how many cells the window covers.

    count_include_pad: padding counts as cells of value 0; what a ceil_mode window hangs over the padding's end never counts.
    """
    output, (KH, KW) = window.output_size(x.shape[2:]), window.kernel
    padded = window.pad(x)
    y = np.zeros_like(x, shape=(*x.shape[:2], *output), order="C")
    for kh in range(KH):
        for kw in range(KW):
            y += padded[window.taps(kh, kw, output)]
    return y / _divisor(y, x.shape[2:], window, count_include_pad, divisor_override)


def avg_pool2d_grad(dy: Any, input_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True,
                    divisor_override: int | None = None) -> Any:
    """dx: each output shares dy / divisor with every pixel it averaged. Shapes: dy (N, C, OH, OW) -> (N, C, H, W)."""
    output, (KH, KW), size = dy.shape[2:], window.kernel, input_shape[2:]
    share = dy / _divisor(dy, size, window, count_include_pad, divisor_override)
    padded = np.zeros_like(dy, shape=(*input_shape[:2], *window.padded_size(size)), order="C")
    for kh in range(KH):
        for kw in range(KW):
            padded[window.taps(kh, kw, output)] += share
    return window.crop(padded, size)


def _plane_index(like: Any, window: Window2d, size: Sequence[int]) -> Any:
    """(padded H, padded W): the flat index h*W + w of every input pixel, -1 in the padding."""
    H, W = size
    return window.pad(np.arange(H * W, like=like).reshape(H, W), -1)


def _first_tap(like: Any, window: Window2d, size: Sequence[int]) -> Any:
    """(OH, OW): the flat index of the first input pixel each window sees, -1 if it sees none."""
    h, w = (_first_inside(like, window, size, axis) for axis in (0, 1))
    return np.where((h[:, None] < 0) | (w < 0), -1, h[:, None] * size[1] + w)


def _first_inside(like: Any, window: Window2d, size: Sequence[int], axis: int) -> Any:
    """(O,): on one axis, the coordinate of the first tap i*s + j*d - p0 of window i that lies in 0..n-1, or -1."""
    s, d, k, p0 = window.stride[axis], window.dilation[axis], window.kernel[axis], window.padding[2 * axis]
    start = np.arange(window.output_size(size)[axis], like=like) * s - p0
    j = np.maximum(0, -(start // d))                                   # ceil(-start / d): the taps in the padding before it
    position = start + j * d
    return np.where((j < k) & (position < size[axis]), position, -1)


def _divisor(like: Any, size: Sequence[int], window: Window2d, count_include_pad: bool, divisor_override: int | None) -> Any:
    """(OH, OW), or the override: the cells each window covers, rows times columns; NaN where it covers none."""
    if divisor_override is not None:
        return divisor_override
    sides = window.padding if count_include_pad else (0, 0, 0, 0)
    counts = []
    for axis in (0, 1):
        s, d, p0 = window.stride[axis], window.dilation[axis], window.padding[2 * axis]
        taps, outputs = (np.arange(n, like=like) for n in (window.kernel[axis], window.output_size(size)[axis]))
        position = outputs[:, None] * s + taps * d - p0                                                                 # (O, K)
        before, after = sides[2 * axis:2 * axis + 2]
        counts.append(((position >= -before) & (position < size[axis] + after)).sum(axis=1))
    cells = counts[0][:, None] * counts[1]
    return np.where(cells > 0, cells, np.nan).astype(like.dtype)

