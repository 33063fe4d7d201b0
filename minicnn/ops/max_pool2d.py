"""Max pooling on Tensors: the largest value under each window."""
from __future__ import annotations

from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, record
from minicnn.kernels.window import Padding, Window2d
from minicnn.ops.checks import batched, floating
from minicnn.ops.pool_window import Sizes, pool_window
from minicnn.tensor import Tensor


def max_pool2d_forward(x: Any, window: Window2d) -> tuple[Any, Any]:
    """y[n, c, oh, ow] = max over kh, kw of x[n, c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL]

    Returns (y, argmax), each (N, C, OH, OW), and the cache. argmax is the winner's flat index h*W + w: all that backward needs.
    """
    k = kernels.of(x)
    y, argmax = k.max_pool2d(x, window)
    return (y, argmax), (k, argmax, x.shape, window)


@fresh
def max_pool2d_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx: each window hands its dy to its winner; a pixel that won several windows adds them up."""
    k, argmax, input_shape, window = cache
    return (k.max_pool2d_grad(dy, argmax, input_shape, window),)


def max_pool2d(input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """The largest value under each window; the first one in row-major order where several are equal. NaN counts as the largest.

        y[n, c, oh, ow] = max over kh, kw of x[n, c, oh*SH + kh*DH - PH, ow*SW + kw*DW - PW]

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) with OH = floor((H + 2*PH - DH*(KH - 1) - 1) / SH) + 1 (ceil with ceil_mode;
    the last window is dropped again if it would start beyond the input and its left padding), and OW alike.
    stride: kernel_size if None. padding: -inf, at most half the window. return_indices: return (y, indices) with the winners' flat
    indices h*W + w.

    Raises TypeError for integer input, ValueError for too much padding or no output, each with the numbers.
    """
    floating("max_pool2d", x=input)
    x, unbatch = batched("max_pool2d", input, 3, "(C, H, W)")
    window = pool_window("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y, indices = unbatch(record(max_pool2d_forward, max_pool2d_backward, x, window=window))
    return (y, indices.long()) if return_indices else y
