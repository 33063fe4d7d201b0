"""Convolution as a matrix product over patches, and its two gradients.

The columns of im2col are KH*KW times as large as the image, so they are made for a block of images at a time, small enough to
stay in the cache until the product has used them.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW); CKK = C/G*KH*KW, P = OH*OW.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.numpy_backend.im2col import col2im, im2col
from minicnn.kernels.window import Window2d

BLOCK_BYTES = 2 << 20    # columns alive at a time: about what two cores keep in their level 2 caches (1 to 8 MiB were measured)


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """im2col + matrix product: y = w * x + b in one product of weights and patches.

        y[n, g] = w[g] @ cols[n, g]        (F/G, CKK) @ (CKK, P) -> (F/G, P)

    Fast because the matrix product is a BLAS call, which reuses every value it loads many times. relu: max(y, 0) instead of y.
    """
    N, F, (OH, OW) = len(x), len(w), window.output_size(x.shape[2:])
    y = np.empty_like(x, shape=(N, groups, F // groups, OH * OW), order="C")
    wg = w.reshape(groups, F // groups, -1)                              # (G, F/G, CKK)
    for block in _blocks(x.shape, window, x.itemsize):
        cols = _group(im2col(x[block], window), groups)                  # (B, G, CKK, P)
        np.matmul(wg, cols, out=y[block])
    y = y.reshape(N, F, OH, OW)
    if b is not None:
        y += b[:, None, None]
    return np.maximum(y, 0, out=y) if relu else y


def conv2d_cost(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """x is read KH*KW times to write the columns once; the product reads them and writes y.

    Workspace: a block of padded images and two of columns, since the next block's are made before the last one's are let go (letting
    go of them first saves that memory, but was 20 % slower: the system takes it back and hands it out anew, page by page).
    """
    (N, C), (F, CG, KH, KW) = x_shape[:2], w_shape
    P, image, padded = math.prod(window.output_size(x_shape[2:])), math.prod(x_shape[2:]), math.prod(window.padded_size(x_shape[2:]))
    cols, pads = C * KH * KW * P, C * padded if padded != image else 0                       # of one image
    moved = N * (3 * cols + F * P + (C * image + pads if pads else 0))
    first, *rest = (min(block.stop, N) - block.start for block in _blocks(x_shape, window, itemsize))
    second = rest[0] if rest else 0
    workspace = max(first * (cols + pads), first * cols + second * (cols + pads))
    return Cost(N * F * P * CG * KH * KW, moved * itemsize, workspace * itemsize)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dw: each patch times the gradient it caused, summed over images and positions.

        dw[g] = sum over n of dy[n, g] @ cols[n, g].T        (F/G, P) @ (P, CKK) -> (F/G, CKK)
    """
    N, F = len(x), weight_shape[0]
    dyg = dy.reshape(N, groups, F // groups, dy.shape[2] * dy.shape[3])  # (N, G, F/G, P)
    dw = np.zeros_like(x, shape=(groups, F // groups, int(np.prod(weight_shape[1:]))), order="C")
    for block in _blocks(x.shape, window, x.itemsize):
        cols = _group(im2col(x[block], window), groups)                  # (B, G, CKK, P)
        dw += (dyg[block] @ cols.swapaxes(2, 3)).sum(axis=0)
    return dw.reshape(weight_shape)


def conv2d_grad_input(dy: Any, w: Any, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dx: spread each output's gradient over the patch it saw, then add up the overlaps.

        dx[n] = col2im(w[g].T @ dy[n, g])        (CKK, F/G) @ (F/G, P) -> (CKK, P)
    """
    N, C, *size = input_shape
    F, OH, OW = dy.shape[1:]
    wt = w.reshape(groups, F // groups, -1).swapaxes(1, 2)               # (G, CKK, F/G)
    dyg = dy.reshape(N, groups, F // groups, OH * OW)                    # (N, G, F/G, P)
    dx = np.empty_like(dy, shape=input_shape, order="C")
    for block in _blocks(input_shape, window, dy.itemsize):
        cols = wt @ dyg[block]                                           # (B, G, CKK, P)
        dx[block] = col2im(cols.reshape(-1, C, *window.kernel, OH, OW), size, window)
    return dx


def _group(cols: Any, groups: int) -> Any:
    """(B, C, KH, KW, OH, OW) -> (B, G, C/G*KH*KW, OH*OW): a free reshape, the axes already lie in this order."""
    B, C, KH, KW, OH, OW = cols.shape
    return cols.reshape(B, groups, C // groups * KH * KW, OH * OW)


def _blocks(input_shape: tuple[int, ...], window: Window2d, itemsize: int) -> Iterator[slice]:
    """Slices of the batch whose columns fill about BLOCK_BYTES, one image at least."""
    N, C, *size = input_shape
    column_bytes = C * int(np.prod(window.kernel)) * int(np.prod(window.output_size(size))) * itemsize
    B = max(1, BLOCK_BYTES // max(column_bytes, 1))
    return (slice(n, n + B) for n in range(0, N, B))
