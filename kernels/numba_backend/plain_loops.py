"""The nested loops of `reference.py` as machine code, on one thread.

Several hundred times as fast as in Python, because an index costs an addition and a product one instruction, where Python looks up types,
makes objects and counts references. The innermost loop runs over channels, and channels lie side by side in memory: arrays are
channels-last here, so every cache line that is loaded is used whole.

What still bounds it: one thread, and in the forward pass one sum at a time. An addition takes about four cycles, and the next one waits
for it; eight or sixteen sums side by side in a vector register would keep the processor busy, but the compiler must not make them out of
one, since floats added in another order give another result. The two gradients add to C/G different sums in their innermost loop, so
there it can; what bounds them is that each sum is read from memory and written back for every product.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW). In the loops x (N, H, W, C), w (F, KH, KW, C/G), y (N, OH, OW, F).
"""
from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import channels_last
from minicnn.kernels.window import Size, Window2d

Array = np.ndarray
Padding = tuple[int, int, int, int]


def conv2d(x: Array, w: Array, b: Array | None, window: Window2d, groups: int = 1, relu: bool = False) -> Array:
    """Compiled loops: one output at a time, one product at a time, in machine code.

        for n, oh, ow, f:
            total = b[f]
            for kh, kw inside the image, c:
                total += x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, g*C/G + c] * w[f, kh, kw, c]
            y[n, oh, ow, f] = total

    Fast because the processor is told directly what to do; relu: y = max(y, 0).
    """
    OH, OW = window.output_size(x.shape[2:])
    y = channels_last(len(x), len(w), OH, OW, x.dtype)
    bias = np.zeros(len(w), x.dtype) if b is None else b.copy()
    _forward(nhwc(x), nhwc(w, fresh=True), bias, y.transpose(0, 2, 3, 1), window.stride, window.dilation, window.padding, groups, relu)
    return y


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Every product reads its x and its w anew, none is made with padding; every y is written once. x comes in NCHW order, so x and w
    are copied to channels-last first."""
    outputs = x_shape[0] * w_shape[0] * math.prod(window.output_size(x_shape[2:]))
    macs = x_shape[0] * w_shape[0] * w_shape[1] * window.reads(x_shape[2:])
    copied = reordered(x_shape) + math.prod(w_shape)
    return Cost(macs, (2 * macs + outputs + 2 * copied) * itemsize, (copied + w_shape[0]) * itemsize)


def conv2d_grad_input(dy: Array, w: Array, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dx: every product x * w of the forward loops passes dy * w back to the x it read.

        for n, oh, ow, f, kh, kw, c:    dx[n, h, w, g*C/G + c] += dy[n, oh, ow, f] * w[f, kh, kw, c]
    """
    N, C, H, W = input_shape
    dx = channels_last(N, C, H, W, dy.dtype)
    dx[:] = 0
    _backward(nhwc(dy), nhwc(w, fresh=True), dx.transpose(0, 2, 3, 1), window.stride, window.dilation, window.padding, groups)
    return dx


def conv2d_grad_weight(dy: Array, x: Array, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dw: every product x * w of the forward loops passes dy * x back to its weight.

        for n, oh, ow, f, kh, kw, c:    dw[f, kh, kw, c] += dy[n, oh, ow, f] * x[n, h, w, g*C/G + c]
    """
    F, CG, KH, KW = weight_shape
    dw = np.zeros((F, KH, KW, CG), dy.dtype)
    _weights(nhwc(dy), nhwc(x), dw, window.stride, window.dilation, window.padding, groups)
    return np.ascontiguousarray(dw.transpose(0, 3, 1, 2))


def nhwc(x: Array, fresh: bool = False) -> Array:
    """(N, C, H, W) -> (N, H, W, C) in C order and writeable, so that a loop over it is compiled for one type. Copies only what is not so
    already, or everything if `fresh`."""
    x = x.transpose(0, 2, 3, 1)
    return x.copy() if fresh else np.require(x, requirements=("C", "W"))


def reordered(shape: tuple[int, ...]) -> int:
    """The numbers that `nhwc` copies of an array in NCHW order: all, unless there is one channel or one pixel."""
    return math.prod(shape) if shape[1] > 1 and math.prod(shape[2:]) > 1 else 0


@jit()
def _forward(x: Array, w: Array, b: Array, y: Array, stride: Size, dilation: Size, padding: Padding, groups: int, relu: bool) -> None:
    (_, H, W, _), (F, KH, KW, CG), (N, OH, OW, _) = x.shape, w.shape, y.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for f in range(F):
                    first = f // (F // groups) * CG                    # the first input channel of this filter's group
                    total = b[f]
                    for kh in range(KH):
                        h = oh * SH + kh * DH - PT
                        if 0 <= h < H:
                            for kw in range(KW):
                                ww = ow * SW + kw * DW - PL
                                if 0 <= ww < W:
                                    channels, weights = x[n, h, ww, first:first + CG], w[f, kh, kw]
                                    for c in range(CG):
                                        total += channels[c] * weights[c]
                    y[n, oh, ow, f] = total
                    if relu and total <= 0:                            # not true of NaN
                        y[n, oh, ow, f] = 0


@jit()
def _backward(dy: Array, w: Array, dx: Array, stride: Size, dilation: Size, padding: Padding, groups: int) -> None:
    (_, H, W, _), (F, KH, KW, CG), (N, OH, OW, _) = dx.shape, w.shape, dy.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for f in range(F):
                    first = f // (F // groups) * CG
                    for kh in range(KH):
                        h = oh * SH + kh * DH - PT
                        if 0 <= h < H:
                            for kw in range(KW):
                                ww = ow * SW + kw * DW - PL
                                if 0 <= ww < W:
                                    gradient, channels, weights = dy[n, oh, ow, f], dx[n, h, ww, first:first + CG], w[f, kh, kw]
                                    for c in range(CG):
                                        channels[c] += gradient * weights[c]


@jit()
def _weights(dy: Array, x: Array, dw: Array, stride: Size, dilation: Size, padding: Padding, groups: int) -> None:
    (_, H, W, _), (F, KH, KW, CG), (N, OH, OW, _) = x.shape, dw.shape, dy.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for f in range(F):
                    first = f // (F // groups) * CG
                    for kh in range(KH):
                        h = oh * SH + kh * DH - PT
                        if 0 <= h < H:
                            for kw in range(KW):
                                ww = ow * SW + kw * DW - PL
                                if 0 <= ww < W:
                                    gradient, channels, weights = dy[n, oh, ow, f], x[n, h, ww, first:first + CG], dw[f, kh, kw]
                                    for c in range(CG):
                                        weights[c] += gradient * channels[c]
