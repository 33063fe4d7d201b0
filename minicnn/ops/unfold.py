"""unfold and fold on Tensors: im2col and col2im, the two copies behind every convolution, as operations of their own."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import kernels
from minicnn.autograd import record
from minicnn.kernels.window import Padding, Window2d, pair
from minicnn.ops.checks import batched, floating
from minicnn.tensor import Tensor

Sizes = int | Sequence[int]


def unfold_forward(x: Any, window: Window2d) -> tuple[Any, Any]:
    """cols[n, c*KH*KW + kh*KW + kw, oh*OW + ow] = x[n, c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL], 0 in the padding."""
    cols = kernels.of(x).im2col(x, window)
    N, C, KH, KW, OH, OW = cols.shape
    return cols.reshape(N, C * KH * KW, OH * OW), (x.shape[2:], window)


def unfold_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = fold(dy): a pixel adds up the gradients of its copies."""
    size, window = cache
    return (fold_forward(dy, size, window)[0],)


def fold_forward(cols: Any, output_size: Sequence[int], window: Window2d) -> tuple[Any, Any]:
    """x = every column added to the patch it came from."""
    (N, rows, _), (KH, KW) = cols.shape, window.kernel
    cols = cols.reshape(N, rows // (KH * KW), KH, KW, *window.output_size(output_size))
    return kernels.of(cols).col2im(cols, output_size, window), window


def fold_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dcols = unfold(dy): every copy gets the gradient of its pixel."""
    return (unfold_forward(dy, cache)[0],)


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0, stride: Sizes = 1) -> Tensor:
    """Every patch under the window as a column.

        y[n, c*KH*KW + kh*KW + kw, oh*OW + ow] = x[n, c, oh*SH + kh*DH - PH, ow*SW + kw*DW - PW]

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C*KH*KW, OH*OW) with OH = floor((H + 2*PH - DH*(KH - 1) - 1) / SH) + 1, and OW alike.

    Raises TypeError for integer input, ValueError when no window fits.
    """
    floating("unfold", x=input)
    x, unbatch = batched("unfold", input, 3, "(C, H, W)")
    window = Window2d.of(kernel_size, stride, padding, dilation, input_size=x.shape[2:], op="unfold")
    return unbatch(record(unfold_forward, unfold_backward, x, window=window))


def fold(input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Padding = 0, stride: Sizes = 1) -> Tensor:
    """Every column added to its patch: the adjoint of unfold. Not its inverse, since patches overlap and their values *add up*.

    Shapes: x (N, C*KH*KW, L) or (C*KH*KW, L) -> (N, C, H, W), with (H, W) = output_size and L = OH*OW as unfold makes it from (H, W).

    Raises TypeError for integer input, ValueError for shapes that do not fit, with the numbers.
    """
    floating("fold", x=input)
    x, unbatch = batched("fold", input, 2, "(C*KH*KW, L)")
    H, W = pair(output_size, "output_size", least=1)
    window = Window2d.of(kernel_size, stride, padding, dilation, input_size=(H, W), op="fold")
    (KH, KW), (OH, OW) = window.kernel, window.output_size((H, W))
    if x.shape[1] % (KH * KW):
        raise ValueError(f"fold: x has {x.shape[1]} rows (shape {x.shape}), which must be a multiple of KH*KW = {KH}*{KW} = {KH * KW}")
    if x.shape[2] != OH * OW:
        raise ValueError(f"fold: x has {x.shape[2]} columns (shape {x.shape}), output_size {(H, W)} has {OH}*{OW} = {OH * OW} patches")
    return unbatch(record(fold_forward, fold_backward, x, output_size=(H, W), window=window))
