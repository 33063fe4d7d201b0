"""Rung 1 on CUDA: copy the patches, and leave the product to NVIDIA's library (cuBLAS, through CuPy).

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW); CKK = C/G*KH*KW, P = OH*OW.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.im2col import col2im, im2col
from minicnn.kernels.cuda_backend.layout import contiguous
from minicnn.kernels.window import Window2d

WORKSPACE = 256 << 20            # bytes of columns alive at a time


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, im2col: a kernel copies the patches, cuBLAS multiplies.

        y[n, g] = w[g] @ cols[n, g]        (F/G, CKK) @ (CKK, P) -> (F/G, P)

    Fast because cuBLAS is; what it costs is to write the columns, KH*KW times as large as the image, and to read them again.
    """
    N, F, (OH, OW) = len(x), len(w), window.output_size(x.shape[2:])
    y = np.empty_like(x, shape=(N, groups, F // groups, OH * OW), order="C")
    wg = contiguous(w).reshape(groups, F // groups, -1)                  # (G, F/G, CKK)
    for block in _blocks(x.shape, window, x.itemsize):
        y[block] = np.matmul(wg, _group(im2col(x[block], window), groups))
    y = y.reshape(N, F, OH, OW)
    if b is not None:
        y += b[:, None, None]
    return np.maximum(y, 0, out=y) if relu else y


def conv2d_cost(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """x is read KH*KW times to write the columns once; the product reads them, writes y, and y is copied to its place."""
    N, F, P, CKK = x_shape[0], w_shape[0], math.prod(window.output_size(x_shape[2:])), math.prod(w_shape[1:])
    columns, images = groups * CKK * P, next(_blocks(x_shape, window, itemsize)).stop
    return Cost(N * F * P * CKK, N * (3 * columns + 3 * F * P) * itemsize, min(N, images) * (columns + F * P) * itemsize)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: spread each output's gradient over the patch it saw, then gather the overlaps.

        dx[n] = col2im(w[g].T @ dy[n, g])        (CKK, F/G) @ (F/G, P) -> (CKK, P)
    """
    N, C, *size = input_shape
    F, OH, OW = dy.shape[1:]
    wt = contiguous(w).reshape(groups, F // groups, -1).swapaxes(1, 2)   # (G, CKK, F/G)
    dyg = contiguous(dy).reshape(N, groups, F // groups, OH * OW)        # (N, G, F/G, P)
    dx = np.empty_like(dy, shape=input_shape, order="C")
    for block in _blocks(input_shape, window, dy.itemsize):
        dx[block] = col2im(np.matmul(wt, dyg[block]).reshape(-1, C, *window.kernel, OH, OW), size, window)
    return dx


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: each patch times the gradient it caused, summed over images and positions.

        dw[g] = sum over n of dy[n, g] @ cols[n, g].T        (F/G, P) @ (P, CKK) -> (F/G, CKK)
    """
    N, F = len(x), weight_shape[0]
    dyg = contiguous(dy).reshape(N, groups, F // groups, math.prod(dy.shape[2:]))                                # (N, G, F/G, P)
    dw = np.zeros_like(x, shape=(groups, F // groups, math.prod(weight_shape[1:])), order="C")
    for block in _blocks(x.shape, window, x.itemsize):
        dw += np.matmul(dyg[block], _group(im2col(x[block], window), groups).swapaxes(2, 3)).sum(axis=0)
    return dw.reshape(weight_shape)


def _group(cols: Any, groups: int) -> Any:
    """(B, C, KH, KW, OH, OW) -> (B, G, C/G*KH*KW, OH*OW): a free reshape, the axes already lie in this order."""
    B, C, KH, KW, OH, OW = cols.shape
    return cols.reshape(B, groups, C // groups * KH * KW, OH * OW)


def _blocks(input_shape: Shape, window: Window2d, itemsize: int) -> Iterator[slice]:
    """Slices of the batch whose columns fill WORKSPACE, one image at least."""
    N, C, *size = input_shape
    B = max(1, WORKSPACE // max(1, C * math.prod(window.kernel) * math.prod(window.output_size(size)) * itemsize))
    return (slice(n, n + B) for n in range(0, max(N, 1), B))
