"""Every hot loop of the framework as plain nested loops: the definition that all backends are tested against.

Never optimised and never clever: one loop an index, one line a formula. Sums are accumulated in float64 and rounded once, at
the end. A read outside the input is a read of the padding: 0 for convolution and averages, nothing at all for the maximum.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.kernels.window import Size, Window2d

Array = np.ndarray


def conv2d(x: Array, w: Array, b: Array | None, window: Window2d, groups: int = 1) -> Array:
    """Nested loops: one output at a time, one product at a time.

        y[n, f, oh, ow] = b[f] + sum over c, kh, kw of x[n, g*C/G + c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * w[f, c, kh, kw]

    where g = f // (F/G) is the group of filter f. Shapes: x (N, C, H, W), w (F, C/G, KH, KW), b (F) or None -> y (N, F, OH, OW).
    """
    N, F, CG = len(x), len(w), w.shape[1]
    y = np.zeros((N, F, *window.output_size(x.shape[2:])))
    for n, f, oh, ow in np.ndindex(y.shape):
        total = 0.0 if b is None else float(b[f])
        first = f // (F // groups) * CG                                # the first input channel of this filter's group
        for kh, kw, h, ww in _reads(window, oh, ow, x.shape[2:]):
            for c in range(CG):
                total += float(x[n, first + c, h, ww]) * float(w[f, c, kh, kw])
        y[n, f, oh, ow] = total
    return y.astype(x.dtype)


def conv2d_grad_input(dy: Array, w: Array, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dx: every product x * w of the forward loop passes dy * w back to the x it read, and a pixel adds up what it gets.

    Shapes: dy (N, F, OH, OW), w (F, C/G, KH, KW) -> dx (N, C, H, W).
    """
    dx, F, CG = np.zeros(input_shape), len(w), w.shape[1]
    for n, f, oh, ow in np.ndindex(dy.shape):
        first = f // (F // groups) * CG
        for kh, kw, h, ww in _reads(window, oh, ow, input_shape[2:]):
            for c in range(CG):
                dx[n, first + c, h, ww] += float(dy[n, f, oh, ow]) * float(w[f, c, kh, kw])
    return dx.astype(dy.dtype)


def conv2d_grad_weight(dy: Array, x: Array, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dw: every product x * w of the forward loop passes dy * x back to its weight, summed over all places that share it.

    Shapes: dy (N, F, OH, OW), x (N, C, H, W) -> dw (F, C/G, KH, KW).
    """
    dw, (F, CG) = np.zeros(weight_shape), weight_shape[:2]
    for n, f, oh, ow in np.ndindex(dy.shape):
        first = f // (F // groups) * CG
        for kh, kw, h, ww in _reads(window, oh, ow, x.shape[2:]):
            for c in range(CG):
                dw[f, c, kh, kw] += float(dy[n, f, oh, ow]) * float(x[n, first + c, h, ww])
    return dw.astype(dy.dtype)


def max_pool2d(x: Array, window: Window2d) -> tuple[Array, Array]:
    """y = the largest value under the window; argmax = its flat index h*W + w in the input plane.

    The first maximum in row-major order wins; a NaN wins over every number, and the last NaN over earlier ones, as in torch;
    padding counts as -inf and can never win: a window that sees nothing else gives -inf and argmax -1.
    Shapes: x (N, C, H, W) -> y (N, C, OH, OW), argmax int64 of the same shape.
    """
    N, C, H, W = x.shape
    y = np.full((N, C, *window.output_size((H, W))), -np.inf, x.dtype)
    argmax = np.full(y.shape, -1, np.int64)
    for n, c, oh, ow in np.ndindex(y.shape):
        for _, _, h, w in _reads(window, oh, ow, (H, W)):
            value = x[n, c, h, w]
            if argmax[n, c, oh, ow] < 0 or value > y[n, c, oh, ow] or np.isnan(value):
                y[n, c, oh, ow], argmax[n, c, oh, ow] = value, h * W + w
    return y, argmax


def max_pool2d_grad(dy: Array, argmax: Array, input_shape: tuple[int, ...], window: Window2d) -> Array:
    """dx: the winner of each window gets its whole dy; a pixel that won several windows adds them up; argmax -1 passes nothing.

    Shapes: dy and argmax (N, C, OH, OW) -> dx (N, C, H, W).
    """
    dx, W = np.zeros(input_shape), input_shape[3]
    for n, c, oh, ow in np.ndindex(dy.shape):
        winner = int(argmax[n, c, oh, ow])
        if winner >= 0:
            dx[n, c, winner // W, winner % W] += float(dy[n, c, oh, ow])
    return dx.astype(dy.dtype)


def avg_pool2d(x: Array, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> Array:
    """y = (sum of the values under the window) / divisor: `divisor_override`, or the cells the window covers, see `_divisor`.

    Shapes: x (N, C, H, W) -> y (N, C, OH, OW).
    """
    y = np.zeros((*x.shape[:2], *window.output_size(x.shape[2:])))
    for n, c, oh, ow in np.ndindex(y.shape):
        total = sum(float(x[n, c, h, w]) for _, _, h, w in _reads(window, oh, ow, x.shape[2:]))
        y[n, c, oh, ow] = total / _divisor(window, oh, ow, x.shape[2:], count_include_pad, divisor_override)
    return y.astype(x.dtype)


def avg_pool2d_grad(dy: Array, input_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True,
                    divisor_override: int | None = None) -> Array:
    """dx: each output shares its dy equally among the pixels it averaged. Shapes: dy (N, C, OH, OW) -> dx (N, C, H, W)."""
    dx = np.zeros(input_shape)
    for n, c, oh, ow in np.ndindex(dy.shape):
        share = float(dy[n, c, oh, ow]) / _divisor(window, oh, ow, input_shape[2:], count_include_pad, divisor_override)
        for _, _, h, w in _reads(window, oh, ow, input_shape[2:]):
            dx[n, c, h, w] += share
    return dx.astype(dy.dtype)


def im2col(x: Array, window: Window2d) -> Array:
    """cols[n, c, kh, kw, oh, ow] = what output (oh, ow) reads at kernel offset (kh, kw); 0 in the padding."""
    OH, OW = window.output_size(x.shape[2:])
    cols = np.zeros((*x.shape[:2], *window.kernel, OH, OW), x.dtype)
    for oh, ow in np.ndindex(OH, OW):
        for kh, kw, h, w in _reads(window, oh, ow, x.shape[2:]):
            cols[:, :, kh, kw, oh, ow] = x[:, :, h, w]
    return cols


def col2im(cols: Array, input_size: Size, window: Window2d) -> Array:
    """The adjoint of im2col: every column value is added to the pixel it was copied from. -> (N, C, H, W)"""
    x = np.zeros((*cols.shape[:2], *input_size))
    for oh, ow in np.ndindex(cols.shape[4:]):
        for kh, kw, h, w in _reads(window, oh, ow, input_size):
            x[:, :, h, w] += cols[:, :, kh, kw, oh, ow]
    return x.astype(cols.dtype)


def _reads(window: Window2d, oh: int, ow: int, input_size: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """The (kh, kw, h, w) that output (oh, ow) reads inside the input, in row-major order."""
    (SH, SW), (DH, DW), (PT, _, PL, _) = window.stride, window.dilation, window.padding
    for kh, kw in np.ndindex(*window.kernel):
        h, w = oh * SH + kh * DH - PT, ow * SW + kw * DW - PL
        if 0 <= h < input_size[0] and 0 <= w < input_size[1]:
            yield kh, kw, h, w


def _divisor(window: Window2d, oh: int, ow: int, input_size: tuple[int, ...], count_include_pad: bool,
             divisor_override: int | None) -> float:
    """Taps of the window inside the input, or inside input and padding; what ceil_mode hangs over the end never counts."""
    if divisor_override is not None:
        return divisor_override
    (H, W), (PT, PB, PL, PR) = input_size, window.padding if count_include_pad else (0, 0, 0, 0)
    count = 0
    for kh, kw in np.ndindex(*window.kernel):
        h = oh * window.stride[0] + kh * window.dilation[0] - window.padding[0]
        w = ow * window.stride[1] + kw * window.dilation[1] - window.padding[2]
        count += -PT <= h < H + PB and -PL <= w < W + PR
    return float(count) if count else np.nan                          # an average over nothing
