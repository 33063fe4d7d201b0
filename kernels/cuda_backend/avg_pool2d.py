"""Average pooling: a thread an output, and in the gradient a thread a pixel. Shapes: x (N, C, H, W) -> y (N, C, OH, OW)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, contiguous, divisors, window_fields
from minicnn.kernels.window import Window2d

FORWARD = Kernel("avg_pool2d.cu", "avg_pool2d")
GRADIENT = Kernel("avg_pool2d.cu", "avg_pool2d_grad")
THREADS = 256                    # a block


def avg_pool2d(x: Any, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """y = (sum under the window) / divisor: `divisor_override`, or how many cells the window covers.

    count_include_pad: padding counts as cells of value 0; what a ceil_mode window hangs over the padding's end never counts.
    Grid: N*C*OH*OW threads in blocks of 256.
    """
    if x.dtype not in COMPILED:
        return numpy_backend.avg_pool2d(x, window, count_include_pad, divisor_override)
    N, C, *size = x.shape
    y = np.empty_like(x, shape=(N, C, *window.output_size(size)), order="C")
    launch(FORWARD, (blocks(y.size, THREADS),), (THREADS,),
           (contiguous(x), y, window_fields(N * C, size, window), divisors(y.shape[2:], window),
            divisor_override or _common(size, window, count_include_pad), int(count_include_pad)))
    return y


def avg_pool2d_grad(dy: Any, input_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True,
                    divisor_override: int | None = None) -> Any:
    """dx: each output shares dy / divisor with every pixel it averaged.

    Shapes: dy (N, C, OH, OW) -> dx (N, C, H, W). Grid: N*C*H*W threads in blocks of 256.
    """
    if dy.dtype not in COMPILED:
        return numpy_backend.avg_pool2d_grad(dy, input_shape, window, count_include_pad, divisor_override)
    N, C, *size = input_shape
    dx = np.empty_like(dy, shape=input_shape, order="C")
    launch(GRADIENT, (blocks(dx.size, THREADS),), (THREADS,),
           (contiguous(dy), dx, window_fields(N * C, size, window), divisors(size, window),
            divisor_override or _common(size, window, count_include_pad), int(count_include_pad)))
    return dx


def _common(size: Sequence[int], window: Window2d, count_include_pad: bool) -> int:
    """The cells of a window, if all cover as many; else 0, and the kernel counts them."""
    (H, W), (PT, PB, PL, PR), (KH, KW) = size, window.padding, window.kernel
    everywhere = window.padded_size(size) == (H + PT + PB, W + PL + PR) and (count_include_pad or window.padding == (0, 0, 0, 0))
    return KH * KW if everywhere else 0
