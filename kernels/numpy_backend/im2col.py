"""im2col and its adjoint col2im: the two copies that turn a convolution into a matrix product and back.

The column array keeps its six axes, (N, C, KH, KW, OH, OW): they stay named, and lie so that a free reshape gives the matrix
(N, C*KH*KW, OH*OW). Works for any array module (NumPy, CuPy).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.kernels.window import Window2d


def im2col(x: Any, window: Window2d) -> Any:
    """Copy every patch under the window into a column.

        cols[n, c, kh, kw, oh, ow] = padded[n, c, oh*SH + kh*DH, ow*SW + kw*DW]

    Shapes: x (N, C, H, W) -> (N, C, KH, KW, OH, OW). Fast because it loops over the KH*KW kernel offsets and copies a whole
    strided slice for each, instead of looping over pixels.

    >>> x = np.arange(16.).reshape(1, 1, 4, 4)
    >>> im2col(x, Window2d(kernel=(2, 2), stride=(2, 2)))[0, 0, :, :, 0, 0]      # the top left patch
    array([[0., 1.],
           [4., 5.]])
    """
    padded, (KH, KW) = window.pad(x), window.kernel
    OH, OW = window.output_size(x.shape[2:])
    cols = np.empty_like(x, shape=(*x.shape[:2], KH, KW, OH, OW), order="C")
    for kh in range(KH):
        for kw in range(KW):
            cols[:, :, kh, kw] = padded[window.taps(kh, kw, (OH, OW))]
    return cols


def col2im(cols: Any, input_size: Sequence[int], window: Window2d) -> Any:
    """Send every column back to the pixels it was copied from: the adjoint of im2col.

    It *adds*: a pixel that im2col copied into nine patches has nine ways to change the output, and its gradient is their sum.

    Shapes: cols (N, C, KH, KW, OH, OW), input_size (H, W) -> (N, C, H, W).
    """
    KH, KW, OH, OW = cols.shape[2:]
    padded = np.zeros_like(cols, shape=(*cols.shape[:2], *window.padded_size(input_size)), order="C")
    for kh in range(KH):
        for kw in range(KW):
            padded[window.taps(kh, kw, (OH, OW))] += cols[:, :, kh, kw]
    return window.crop(padded, input_size)
