"""Rows of the image on all threads, filters side by side in vector registers: the loops of `plain_loops.py` in another order.

    for every row (n, oh), on whichever thread is free:
        y[n, oh, :, :] = b
        for kh, kw, c, ow:
            for f:    y[n, oh, ow, f] += x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * w[kh, kw, c, f]

Two things make it faster. Rows of the output depend on nothing but the inputs, so threads share them out. And the innermost loop runs over
filters: each f is a sum of its own, so that the compiler may make the next eight or sixteen of them at once, one in each lane of a vector
register (weights are turned to (G, KH, KW, C/G, F/G), so that those of neighbouring filters are neighbours in memory).

What still bounds it: a multiply-add reads its sum from memory and writes it back, two loads and a store for one useful instruction.

No thread adds to what another one adds to, and the batch is cut into parts whose number depends on nothing but N, so the result is the
same for any number of threads.
"""
from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import channels_last
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.plain_loops import Padding, nhwc, reordered
from minicnn.kernels.window import Size, Window2d

Array = np.ndarray
PARTS = 16      # of the batch, at most: each has a dw of its own while they are made


def conv2d(x: Array, w: Array, b: Array | None, window: Window2d, groups: int = 1, relu: bool = False) -> Array:
    """Parallel loops: rows on all threads, and the sums of neighbouring filters side by side in vector registers.

    Shapes: x (N, C, H, W), w (F, C/G, KH, KW), b (F) or None -> y (N, F, OH, OW); relu: y = max(y, 0).
    """
    N, F, (OH, OW) = len(x), len(w), window.output_size(x.shape[2:])
    y = channels_last(N, F, OH, OW, x.dtype)
    bias = np.zeros(F, x.dtype) if b is None else b.copy()
    _forward(nhwc(x), _by_group(w, groups, (0, 3, 4, 2, 1)), bias, y.transpose(0, 2, 3, 1), window.stride, window.dilation, window.padding,
             relu, workers(y.size * math.prod(w.shape[1:])))
    return y


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Every product reads w and y and writes y, and a group's F/G of them read one x; none is made with padding. x comes in NCHW order, so
    x and w are copied first."""
    F, CG = w_shape[:2]
    outputs = x_shape[0] * F * math.prod(window.output_size(x_shape[2:]))
    macs = x_shape[0] * F * CG * window.reads(x_shape[2:])
    copied = reordered(x_shape) + math.prod(w_shape)
    return Cost(macs, (3 * macs + macs // (F // groups) + outputs + 2 * copied) * itemsize, (copied + F) * itemsize)


def conv2d_grad_input(dy: Array, w: Array, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dx: a row of it gathers from the rows of dy whose windows saw it, C/G channels at a time.

        dx[n, h, w, c] = sum over kh, kw, f, with oh*SH + kh*DH - PT = h and ow*SW + kw*DW - PL = w, of dy[n, oh, ow, f] * w[f, kh, kw, c]
    """
    N, C, H, W = input_shape
    dx = channels_last(N, C, H, W, dy.dtype)
    _backward(nhwc(dy), _by_group(w, groups, (0, 3, 4, 1, 2)), dx.transpose(0, 2, 3, 1), window.stride, window.dilation, window.padding,
              workers(dy.size * math.prod(w.shape[1:])))
    return dx


def conv2d_grad_weight(dy: Array, x: Array, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Array:
    """dw: what each part of the batch adds to it, in an array of its own; then their sum, the first part first.

        dw[kh, kw, c, f] = sum over n, oh, ow of x[n, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL, c] * dy[n, oh, ow, f]
    """
    F, CG, KH, KW = weight_shape
    parts = np.zeros((min(len(x), PARTS), groups, KH, KW, CG, F // groups), dy.dtype)
    _weights(nhwc(dy), nhwc(x), parts, window.stride, window.dilation, window.padding, workers(dy.size * CG * KH * KW))
    return np.ascontiguousarray(parts.sum(axis=0).transpose(0, 4, 3, 1, 2)).reshape(weight_shape)


def _by_group(w: Array, groups: int, order: tuple[int, ...]) -> Array:
    """(F, C/G, KH, KW) -> (G, F/G, C/G, KH, KW) -> its axes in another order."""
    return w.reshape(groups, -1, *w.shape[1:]).transpose(order).copy()


@jit()
def _forward(x: Array, w: Array, b: Array, y: Array, stride: Size, dilation: Size, padding: Padding, relu: bool, threads: int) -> None:
    parallel_for(_forward_row, y.shape[0] * y.shape[1], threads, (x, w, b, y, stride, dilation, padding, relu))


@jit()
def _forward_row(i: int, worker: int, x: Array, w: Array, b: Array, y: Array, stride: Size, dilation: Size, padding: Padding,
                 relu: bool) -> None:
    (_, H, W, _), (G, KH, KW, CG, FG), (_, OH, OW, F) = x.shape, w.shape, y.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    n, oh = i // OH, i % OH
    for ow in range(OW):
        for f in range(F):
            y[n, oh, ow, f] = b[f]
    for kh in range(KH):
        h = oh * SH + kh * DH - PT
        if 0 <= h < H:
            for kw in range(KW):
                first, count = _inside(kw * DW - PL, SW, OW, W)
                seen, sums = x[n, h, first * SW + kw * DW - PL:], y[n, oh, first:]
                for g in range(G):
                    _mix(seen, SW, g * CG, w[g, kh, kw], sums, 1, g * FG, count)
    if relu:
        for ow in range(OW):
            for f in range(F):
                if y[n, oh, ow, f] <= 0:                               # not true of NaN
                    y[n, oh, ow, f] = 0


@jit()
def _inside(offset: int, stride: int, outputs: int, size: int) -> tuple[int, int]:
    """(the first output o, how many) with 0 <= o * stride + offset < size."""
    first = max(0, -(offset // stride))
    return first, min(outputs, (size - 1 - offset) // stride + 1) - first


@jit()
def _mix(x: Array, x_step: int, c0: int, w: Array, y: Array, y_step: int, f0: int, count: int) -> None:
    """y[p * y_step, f0 + f] += x[p * x_step, c0 + c] * w[c, f] for p < count and all c and f. Neighbouring p add to different sums, so no
    addition waits for the one before it."""
    for c in range(len(w)):
        weights = w[c]
        for p in range(count):
            value, sums = x[p * x_step, c0 + c], y[p * y_step, f0:f0 + weights.size]
            for f in range(weights.size):
                sums[f] += value * weights[f]


@jit()
def _backward(dy: Array, w: Array, dx: Array, stride: Size, dilation: Size, padding: Padding, threads: int) -> None:
    parallel_for(_backward_row, dx.shape[0] * dx.shape[1], threads, (dy, w, dx, stride, dilation, padding))


@jit()
def _backward_row(i: int, worker: int, dy: Array, w: Array, dx: Array, stride: Size, dilation: Size, padding: Padding) -> None:
    (_, H, W, C), (G, KH, KW, FG, CG), (_, OH, OW, _) = dx.shape, w.shape, dy.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    n, h = i // H, i % H
    for ww in range(W):
        for c in range(C):
            dx[n, h, ww, c] = 0
    for kh in range(KH):
        down = h + PT - kh * DH                                        # = oh*SH for the output that saw row h through kh, if there is one
        if down % SH == 0 and 0 <= down // SH < OH:
            for kw in range(KW):
                first, count = _inside(kw * DW - PL, SW, OW, W)
                gradients, sums = dy[n, down // SH, first:], dx[n, h, first * SW + kw * DW - PL:]
                for g in range(G):
                    _mix(gradients, 1, g * FG, w[g, kh, kw], sums, SW, g * CG, count)


@jit()
def _weights(dy: Array, x: Array, parts: Array, stride: Size, dilation: Size, padding: Padding, threads: int) -> None:
    parallel_for(_weights_of_part, len(parts) * parts.shape[2], threads, (dy, x, parts, stride, dilation, padding))


@jit()
def _weights_of_part(i: int, worker: int, dy: Array, x: Array, parts: Array, stride: Size, dilation: Size, padding: Padding) -> None:
    """One row kh of the kernel, for one part of the batch."""
    (_, H, W, _), (P, G, KH, KW, CG, FG), (N, OH, OW, _) = x.shape, parts.shape, dy.shape
    (SH, SW), (DH, DW), (PT, _, PL, _) = stride, dilation, padding
    part, kh = i // KH, i % KH
    for n in range(part * N // P, (part + 1) * N // P):
        for oh in range(OH):
            h = oh * SH + kh * DH - PT
            if 0 <= h < H:
                for kw in range(KW):
                    first, count = _inside(kw * DW - PL, SW, OW, W)
                    for ow in range(first, first + count):
                        ww = ow * SW + kw * DW - PL
                        for g in range(G):
                            c, f = g * CG, g * FG
                            _add_products(x[n, h, ww, c:c + CG], dy[n, oh, ow, f:f + FG], parts[part, g, kh, kw])


@jit()
def _add_products(x: Array, dy: Array, dw: Array) -> None:
    """dw[c, f] += x[c] * dy[f] for all c and f."""
    for c in range(x.size):
        value = x[c]
        for f in range(dy.size):
            dw[c, f] += value * dy[f]
