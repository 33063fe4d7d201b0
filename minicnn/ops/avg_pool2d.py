"""Average pooling on Tensors: the mean under each window."""
from __future__ import annotations

from typing import Any

from minicnn import kernels
from minicnn.autograd import record
from minicnn.kernels.window import Padding, Window2d
from minicnn.ops.checks import batched, floating
from minicnn.ops.pool_window import Sizes, pool_window
from minicnn.tensor import Tensor


def avg_pool2d_forward(x: Any, window: Window2d, count_include_pad: bool = True, divisor_override: int | None = None) -> tuple[Any, Any]:
    """y[n, c, oh, ow] = (sum over kh, kw of x[n, c, oh*SH + kh - PT, ow*SW + kw - PL]) / divisor. (N, C, H, W) -> (N, C, OH, OW)"""
    k = kernels.of(x)
    return k.avg_pool2d(x, window, count_include_pad, divisor_override), (k, x.shape, window, count_include_pad, divisor_override)


def avg_pool2d_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx: each window shares dy / divisor with every pixel it averaged."""
    k, input_shape, window, count_include_pad, divisor_override = cache
    return (k.avg_pool2d_grad(dy, input_shape, window, count_include_pad, divisor_override),)


def avg_pool2d(input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
    """The mean under each window.

        y[n, c, oh, ow] = (sum over kh, kw of x[n, c, oh*SH + kh - PH, ow*SW + kw - PW]) / divisor

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) with OH = floor((H + 2*PH - KH) / SH) + 1 (ceil with ceil_mode), and OW alike.
    stride: kernel_size if None. padding: zeros, at most half the window. divisor: the cells under the window, those in the padding
    too (count_include_pad) or not; or `divisor_override`.

    Raises TypeError for integer input, ValueError for too much padding, no output or a divisor of 0, each with the numbers.
    """
    floating("avg_pool2d", x=input)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override is 0: must be another number, or None for the size of the window")
    x, unbatch = batched("avg_pool2d", input, 3, "(C, H, W)")
    window = pool_window("avg_pool2d", x.shape[2:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    return unbatch(record(avg_pool2d_forward, avg_pool2d_backward, x, window=window, count_include_pad=count_include_pad,
                          divisor_override=divisor_override))
