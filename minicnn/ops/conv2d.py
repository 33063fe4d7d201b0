"""Convolution on Tensors: the forward pass, its three gradients, and the line that records them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, record
from minicnn.kernels.window import Padding, Window2d
from minicnn.ops.checks import batched, floating
from minicnn.tensor import Tensor


def conv2d_forward(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1) -> tuple[Any, Any]:
    """y[n, f, oh, ow] = b[f] + sum over c, kh, kw of x[n, c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * w[f, c, kh, kw]

    Returns y (N, F, OH, OW) and the cache that conv2d_backward needs.
    """
    k = kernels.of(x)
    return k.conv2d(x, w, b, window, groups), (k, x, w, b is not None, window, groups)


@fresh
def conv2d_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True)) -> tuple[Any, Any, Any]:
    """The three gradients of a scalar loss L, given dy = dL/dy. `needs` says which are wanted; the others are None.

        dx: each output spread dy over the patch it saw      (a convolution with the kernel flipped)
        dw: each patch, weighted by the dy it caused          (a convolution of x with dy)
        db: dy, summed over images and positions
    """
    k, x, w, has_bias, window, groups = cache
    dx = k.conv2d_grad_input(dy, w, x.shape, window, groups) if needs[0] else None
    dw = k.conv2d_grad_weight(dy, x, w.shape, window, groups) if needs[1] else None
    db = k.channel_sum(dy) if has_bias and needs[2] else None
    return dx, dw, db


def conv2d_relu_forward(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1) -> tuple[Any, Any]:
    """y = max(conv2d(x), 0), made in one pass. The cache is conv2d's and y, which tells where the gate was open."""
    k = kernels.of(x)
    y = k.conv2d(x, w, b, window, groups, True)
    return y, (y, (k, x, w, b is not None, window, groups))


@fresh
def conv2d_relu_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True), inplace: bool = False) -> tuple[Any, Any, Any]:
    """conv2d's gradients, for the dy that comes through the gate: dy where y > 0, else 0. After that y is forgotten."""
    y, of_conv2d = cache
    del cache
    dy = of_conv2d[0].relu_grad(dy, y, inplace)
    del y
    return conv2d_backward(dy, of_conv2d, needs)


def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1, padding: Padding = 0,
           dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """Cross-correlate the images x with the filters `weight`: torch.nn.functional.conv2d.

        y[n, f, oh, ow] = bias[f] + sum over c, kh, kw of x[n, g*C/G + c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * weight[f, c, kh, kw]

    with g = f // (F/G) the group of filter f. The kernel is not flipped: what this field calls convolution is a cross-correlation.

    Shapes: x (N, C, H, W) or (C, H, W), weight (F, C/G, KH, KW), bias (F) -> (N, F, OH, OW) with
    OH = floor((H + top + bottom - DH*(KH - 1) - 1) / SH) + 1, and OW alike.
    padding: int, pair, four sides (top, bottom, left, right), 'valid' or 'same': see `Window2d.of`.

    Raises TypeError for integer input or mixed dtypes, ValueError for shapes that do not fit, each with the numbers.
    """
    return _recorded(conv2d_forward, conv2d_backward, input, weight, bias, stride, padding, dilation, groups)


def conv2d_relu(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1, padding: Padding = 0,
                dilation: int | Sequence[int] = 1, groups: int = 1) -> Tensor:
    """relu(conv2d(x)): the same values and gradients, with one pass over y less in each direction. Errors speak of conv2d."""
    return _recorded(conv2d_relu_forward, conv2d_relu_backward, input, weight, bias, stride, padding, dilation, groups)


def _recorded(forward: Any, backward: Any, input: Tensor, weight: Tensor, bias: Tensor | None, stride: int | Sequence[int],
              padding: Padding, dilation: int | Sequence[int], groups: int) -> Tensor:
    floating("conv2d", x=input, w=weight, b=bias)
    x, unbatch = batched("conv2d", input, 3, "(C, H, W)")
    if weight.ndim != 4:
        raise ValueError(f"conv2d: w must be (F, C/groups, KH, KW), got shape {weight.shape}")
    (_, C, H, W), (F, CG, KH, KW) = x.shape, weight.shape
    if groups < 1 or C % groups or F % groups:
        raise ValueError(f"conv2d: groups = {groups} must divide the input channels C = {C} and the filters F = {F}")
    if CG * groups != C:
        expected = f"{CG}" if groups == 1 else f"{CG} * groups {groups} = {CG * groups}"
        raise ValueError(f"conv2d: x has {C} channels (shape {x.shape}), w expects {expected} (shape {weight.shape})")
    if bias is not None and bias.shape != (F,):
        raise ValueError(f"conv2d: b has shape {bias.shape}, w has {F} filters (shape {weight.shape}), so b must be ({F},)")
    window = Window2d.of((KH, KW), stride, padding, dilation, input_size=(H, W), op="conv2d")
    return unbatch(record(forward, backward, x, weight, bias, window=window, groups=groups))
