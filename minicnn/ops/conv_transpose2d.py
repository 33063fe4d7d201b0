"""Transposed convolution on Tensors: conv2d run backwards, to make small images large."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, record
from minicnn.kernels.window import Window2d, pair
from minicnn.ops.checks import batched, floating
from minicnn.ops.pad import pad
from minicnn.tensor import Tensor


def conv_transpose2d_forward(x: Any, w: Any, b: Any, window: Window2d, output_size: Sequence[int], groups: int = 1) -> tuple[Any, Any]:
    """y = the gradient that conv2d with these weights would give its input, if x were the gradient of its output; plus b.

    Each input pixel spreads x * w over the patch of the output that its window covers, and overlaps add up.
    Shapes: x (N, C, H, W), w (C, F/G, KH, KW), b (F) or None -> (N, F, OH, OW), output_size = (OH, OW), which the window maps to (H, W).
    """
    k = kernels.of(x)
    y = k.conv2d_grad_input(x, w, (len(x), w.shape[1] * groups, *output_size), window, groups)
    return y if b is None else y + b[:, None, None], (k, x, w, b is not None, window, groups)


@fresh
def conv_transpose2d_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True)) -> tuple[Any, Any, Any]:
    """conv2d with input and output in each other's roles:

        dx: conv2d of dy
        dw: the weight gradient of conv2d, with dy as its input and x as the gradient of its output
        db: dy, summed over images and positions
    """
    k, x, w, has_bias, window, groups = cache
    dx = k.conv2d(dy, w, None, window, groups) if needs[0] else None
    dw = k.conv2d_grad_weight(x, dy, w.shape, window, groups) if needs[1] else None
    db = k.channel_sum(dy) if has_bias and needs[2] else None
    return dx, dw, db


def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
                     padding: int | Sequence[int] = 0, output_padding: int | Sequence[int] = 0, groups: int = 1,
                     dilation: int | Sequence[int] = 1) -> Tensor:
    """The adjoint of conv2d: its forward pass is conv2d's gradient of the input, and the other way round.

        y[n, f, h*SH + kh*DH - PH, w*SW + kw*DW - PW] += x[n, c, h, w] * weight[c, f, kh, kw]        for all n, c, f, h, w, kh, kw

    Shapes: x (N, C, H, W) or (C, H, W), weight (C, F/G, KH, KW), bias (F) -> (N, F, OH, OW) with
    OH = (H - 1)*SH - 2*PH + DH*(KH - 1) + OPH + 1, and OW alike.
    padding: what conv2d would have added, so here it takes rows away. output_padding (OPH, OPW): rows added at the end, to choose among
    the output sizes that conv2d with a stride maps to the same (H, W); below the stride or the dilation.

    Raises TypeError for integer input or mixed dtypes, ValueError for shapes that do not fit, each with the numbers.
    """
    floating("conv_transpose2d", x=input, w=weight, b=bias)
    x, unbatch = batched("conv_transpose2d", input, 3, "(C, H, W)")
    if isinstance(padding, str):
        raise ValueError(f"conv_transpose2d: padding is {padding!r}: give it in numbers")
    if weight.ndim != 4:
        raise ValueError(f"conv_transpose2d: w must be (C, F/groups, KH, KW), got shape {weight.shape}")
    (C, FG), F = weight.shape[:2], weight.shape[1] * groups
    if x.shape[1] != C:
        raise ValueError(f"conv_transpose2d: x has {x.shape[1]} channels (shape {x.shape}), w expects {C} (shape {weight.shape})")
    if groups < 1 or C % groups:
        raise ValueError(f"conv_transpose2d: groups = {groups} must divide the input channels C = {C}")
    if bias is not None and bias.shape != (F,):
        filters = f"{F}" if groups == 1 else f"{FG} * groups {groups} = {F}"
        raise ValueError(f"conv_transpose2d: b has shape {bias.shape}, w has {filters} filters (shape {weight.shape}), so b must be ({F},)")
    window = Window2d.of(weight.shape[2:], stride, padding, dilation, op="conv_transpose2d")
    extra = pair(output_padding, "output_padding", least=0)
    output_size = _output_size(x.shape[2:], window, extra)
    # Rows that no input reaches, where output_padding is a stride or more: as if x went on with zeros.
    beyond = [e // s for e, s in zip(extra, window.stride, strict=True)]
    x = pad(x, (0, beyond[1], 0, beyond[0])) if any(beyond) else x
    return unbatch(record(conv_transpose2d_forward, conv_transpose2d_backward, x, weight, bias, window=window, output_size=output_size,
                          groups=groups))


def _output_size(input_size: Sequence[int], window: Window2d, output_padding: Sequence[int]) -> list[int]:
    """(H, W) -> (OH, OW): (n - 1)*s - p0 - p1 + d*(k - 1) + extra + 1 on each axis."""
    sizes = []
    for axis, name in enumerate(("height", "width")):
        n, s, d, k, extra = (v[axis] for v in (input_size, window.stride, window.dilation, window.kernel, output_padding))
        p0, p1 = window.padding[2 * axis:2 * axis + 2]
        if extra >= max(s, d):
            raise ValueError(f"conv_transpose2d: output_padding {extra} ({name}) must be smaller than the stride {s} or the dilation {d}")
        size = (n - 1) * s - p0 - p1 + d * (k - 1) + extra + 1
        if size < 1:
            raise ValueError(f"conv_transpose2d: no output: {name} (n - 1)*stride - padding + dilation*(kernel - 1) + output_padding + 1 = "
                             f"({n} - 1)*{s} - {p0} - {p1} + {d}*({k} - 1) + {extra} + 1 = {size}; use less padding")
        sizes.append(size)
    return sizes
