"""Max pooling: a thread an output, and in the gradient a thread a pixel. Shapes: x (N, C, H, W) -> y and argmax (N, C, OH, OW)."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, contiguous, divisors, window_fields
from minicnn.kernels.window import Window2d

FORWARD = Kernel("max_pool2d.cu", "max_pool2d")
GRADIENT = Kernel("max_pool2d.cu", "max_pool2d_grad")
THREADS = 256                    # a block


def max_pool2d(x: Any, window: Window2d) -> tuple[Any, Any]:
    """y = the largest value under each window; argmax = its flat index h*W + w in the input plane, as int64.

    The first maximum in row-major order wins, NaN wins over numbers; a window that sees only padding gives -inf and argmax -1.
    Grid: N*C*OH*OW threads in blocks of 256.
    """
    if x.dtype not in COMPILED:
        return numpy_backend.max_pool2d(x, window)
    N, C, *size = x.shape
    y = np.empty_like(x, shape=(N, C, *window.output_size(size)), order="C")
    argmax = np.empty_like(y, dtype=np.int64)
    launch(FORWARD, (blocks(y.size, THREADS),), (THREADS,),
           (contiguous(x), y, argmax, window_fields(N * C, size, window), divisors(y.shape[2:], window)))
    return y, argmax


def max_pool2d_grad(dy: Any, argmax: Any, input_shape: tuple[int, ...], window: Window2d) -> Any:
    """dx: each window hands its dy to its winner, and a pixel that won several windows adds them up.

    Shapes: dy and argmax (N, C, OH, OW) -> dx (N, C, H, W). Grid: N*C*H*W threads in blocks of 256.
    """
    if dy.dtype not in COMPILED:
        return numpy_backend.max_pool2d_grad(dy, argmax, input_shape, window)
    N, C, *size = input_shape
    dx = np.empty_like(dy, shape=input_shape, order="C")
    launch(GRADIENT, (blocks(dx.size, THREADS),), (THREADS,),
           (contiguous(dy), contiguous(argmax, np.int64), dx, window_fields(N * C, size, window), divisors(size, window)))
    return dx
