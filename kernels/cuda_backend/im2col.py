"""im2col and its adjoint col2im: the two copies that turn a convolution into a matrix product and back.

The column array keeps its six axes, (N, C, KH, KW, OH, OW): they stay named, and lie so that a free reshape gives the matrix
(N, C*KH*KW, OH*OW).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, contiguous, divisors, window_fields
from minicnn.kernels.window import Window2d

IM2COL = Kernel("im2col.cu", "im2col")
COL2IM = Kernel("im2col.cu", "col2im")
THREADS = 256                    # a block


def im2col(x: Any, window: Window2d) -> Any:
    """cols[n, c, kh, kw, oh, ow] = what output (oh, ow) reads at kernel offset (kh, kw); 0 in the padding.

    Shapes: x (N, C, H, W) -> (N, C, KH, KW, OH, OW). Grid: N*C*OH*OW threads in blocks of 256, a thread a patch.
    """
    if x.dtype not in COMPILED:
        return numpy_backend.im2col(x, window)
    N, C, *size = x.shape
    OH, OW = window.output_size(size)
    cols = np.empty_like(x, shape=(N, C, *window.kernel, OH, OW), order="C")
    launch(IM2COL, (blocks(N * C * OH * OW, THREADS),), (THREADS,),
           (contiguous(x), cols, window_fields(N * C, size, window), divisors((OH, OW), window)))
    return cols


def col2im(cols: Any, input_size: Sequence[int], window: Window2d) -> Any:
    """The adjoint of im2col: each pixel is the sum of the column values that were copied from it.

    Shapes: cols (N, C, KH, KW, OH, OW), input_size (H, W) -> (N, C, H, W). Grid: N*C*H*W threads in blocks of 256, a thread a pixel.
    """
    if cols.dtype not in COMPILED:
        return numpy_backend.col2im(cols, input_size, window)
    N, C = cols.shape[:2]
    x = np.empty_like(cols, shape=(N, C, *input_size), order="C")
    launch(COL2IM, (blocks(x.size, THREADS),), (THREADS,),
           (contiguous(cols), x, window_fields(N * C, input_size, window), divisors(input_size, window)))
    return x
