"""Convolution as KH*KW shifted images, each mixed by one 1x1 slice of the weights, and added up: no columns in memory.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.window import Window2d


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """Shift and add: one small matrix product over channels per kernel offset.

        y = b + sum over kh, kw of w[:, :, kh, kw] @ (x seen through that offset)        (F/G, C/G) @ (C/G, P) -> (F/G, P)

    Fast because each of the KH*KW steps is a whole-array operation; slower than im2col because y passes through memory KH*KW
    times. relu: max(y, 0) instead of y.
    """
    N, F, (OH, OW) = len(x), len(w), window.output_size(x.shape[2:])
    padded, (KH, KW) = window.pad(x), window.kernel
    y = np.zeros_like(x, shape=(N, groups, F // groups, OH * OW), order="C")
    for kh in range(KH):
        for kw in range(KW):
            seen = padded[window.taps(kh, kw, (OH, OW))].reshape(N, groups, -1, OH * OW)     # (N, G, C/G, P)
            y += w[:, :, kh, kw].reshape(groups, F // groups, -1) @ seen
    y = y.reshape(N, F, OH, OW)
    y = y if b is None else y + b[:, None, None]
    return np.maximum(y, 0, out=y) if relu else y


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Per kernel offset: what x shows there is copied and read, the product is written and read, and y is read and written.

    Not copied when its rows follow each other in memory at one distance: then the reshape is free.
    """
    (N, C), (F, CG, KH, KW) = x_shape[:2], w_shape
    (OH, OW), (HP, WP), (SH, SW) = window.output_size(x_shape[2:]), window.padded_size(x_shape[2:]), window.stride
    image, seen, y = N * C * math.prod(x_shape[2:]), N * C * OH * OW, N * F * OH * OW
    padded = N * C * HP * WP if tuple(x_shape[2:]) != (HP, WP) else 0
    copied = seen if OH > 1 and OW > 1 and SH * WP != SW * OW else 0
    moved = KH * KW * (seen + 2 * copied + 4 * y) + y + (image + padded if padded else 0)     # + y: filled with zeros first
    return Cost(y * CG * KH * KW, moved * itemsize, (padded + copied + y) * itemsize)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dw[:, :, kh, kw] = sum over n of dy[n] @ (x[n] seen through that offset).T        (F/G, P) @ (P, C/G) -> (F/G, C/G)"""
    N, F, OH, OW = dy.shape
    padded, (KH, KW) = window.pad(x), window.kernel
    dyg = dy.reshape(N, groups, F // groups, OH * OW)
    dw = np.empty_like(x, shape=weight_shape, order="C")
    for kh in range(KH):
        for kw in range(KW):
            seen = padded[window.taps(kh, kw, (OH, OW))].reshape(N, groups, -1, OH * OW)     # (N, G, C/G, P)
            dw[:, :, kh, kw] = (dyg @ seen.swapaxes(2, 3)).sum(axis=0).reshape(weight_shape[:2])
    return dw


def conv2d_grad_input(dy: Any, w: Any, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dx: shift back and add, (x seen through that offset) += w[:, :, kh, kw].T @ dy        (C/G, F/G) @ (F/G, P) -> (C/G, P)"""
    N, C, *size = input_shape
    F, OH, OW = dy.shape[1:]
    dyg, (KH, KW) = dy.reshape(N, groups, F // groups, OH * OW), window.kernel
    padded = np.zeros_like(dy, shape=(N, C, *window.padded_size(size)), order="C")
    for kh in range(KH):
        for kw in range(KW):
            back = w[:, :, kh, kw].reshape(groups, F // groups, -1).swapaxes(1, 2) @ dyg     # (N, G, C/G, P)
            padded[window.taps(kh, kw, (OH, OW))] += back.reshape(N, C, OH, OW)
    return window.crop(padded, size)
