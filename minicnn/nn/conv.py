"""Convolution layers: a weight, a bias, and how the window moves."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minicnn.kernels.window import Padding, Window2d, pair
from minicnn.nn import functional as F
from minicnn.nn import init
from minicnn.nn.arguments import divisible, empty, one_of, sizes
from minicnn.nn.module import Module
from minicnn.nn.parameter import Parameter
from minicnn.tensor import Tensor

PADDING_MODES = ("zeros", "reflect", "replicate")


class _Conv2d(Module):
    """What both convolutions share. weight_channels: the first two axes of the weight."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Sequence[int], stride: int | Sequence[int], padding: Padding,
                 dilation: int | Sequence[int], groups: int, bias: bool, padding_mode: str, output_padding: int | Sequence[int],
                 weight_channels: tuple[int, int], dtype: Any) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = pair(kernel_size, "kernel_size", least=1), pair(stride, "stride", least=1)
        self.dilation, self.output_padding = pair(dilation, "dilation", least=1), pair(output_padding, "output_padding", least=0)
        self.padding: Any = padding if isinstance(padding, str) else tuple(padding) if isinstance(padding, Sequence) else (padding, padding)
        self.padding_mode = padding_mode
        self.weight = Parameter(empty(*weight_channels, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, both uniform in ±1/√fan_in."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))          # gain √(2/(1 + 5)) = √(1/3), so the bound is 1/√fan_in
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": (0, 0), "dilation": (1, 1), "output_padding": (0, 0), "groups": 1}
        text += "".join(f", {name}={getattr(self, name)}" for name, default in defaults.items() if getattr(self, name) != default)
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class Conv2d(_Conv2d):
    """Cross-correlate images with learned filters.

        y[n, f, oh, ow] = bias[f] + sum over c, kh, kw of x[n, g*C/G + c, oh*SH + kh*DH - PT, ow*SW + kw*DW - PL] * weight[f, c, kh, kw]

    with G groups and g = f // (F/G) the group of filter f.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, F, OH, OW) or (F, OH, OW), where C is in_channels, F out_channels and
    OH = floor((H + top + bottom - DH*(KH - 1) - 1) / SH) + 1, OW alike. weight (F, C/G, KH, KW), bias (F).

    stride, dilation: int or pair. padding: int, pair, four sides (top, bottom, left, right), 'valid' (none) or 'same' (OH = ceil(H/SH)).
    groups: channels and filters are split into that many parts that do not see each other; groups = C is a depthwise convolution.
    padding_mode: what the padding holds: 'zeros', 'reflect' or 'replicate'.

    Initial weight and bias: uniform in ±1/√fan_in, fan_in = C/G·KH·KW. Raises ValueError for sizes below 1 and groups that do not divide.

    >>> Conv2d(3, 16, 3, stride=2, padding='same')
    Conv2d(3, 16, kernel_size=(3, 3), stride=(2, 2), padding=same)
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                 padding: Padding = 0, dilation: int | Sequence[int] = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 *, dtype: Any = None) -> None:
        sizes("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        divisible("Conv2d", "groups", groups, in_channels=in_channels, out_channels=out_channels)
        one_of("Conv2d", "padding_mode", padding_mode, PADDING_MODES)
        Window2d.of(kernel_size, stride, padding, dilation, input_size=(1, 1) if padding == "same" else None, op="Conv2d")   # its errors
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, 0,
                         (out_channels, in_channels // groups), dtype)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(F.conv2d, x, self.weight, self.bias)

    def convolve(self, conv2d: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """conv2d(x, weight, bias) with this layer's window: what forward and the fused layers of `minicnn.nn.fusion` share."""
        padding = self.padding
        if self.padding_mode != "zeros":
            window = Window2d.of(self.kernel_size, self.stride, padding, self.dilation, input_size=x.shape[-2:], op="Conv2d")
            top, bottom, left, right = window.padding
            x, padding = F.pad(x, (left, right, top, bottom), mode=self.padding_mode), 0
        return conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)


class ConvTranspose2d(_Conv2d):
    """The adjoint of Conv2d: it spreads every input pixel over the window that a Conv2d of the same geometry would have read it from.

        y[n, f, h*SH + kh*DH - PH, w*SW + kw*DW - PW] += x[n, c, h, w] * weight[c, f, kh, kw], then + bias[f]

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, F, OH, OW) with OH = (H - 1)*SH - 2*PH + DH*(KH - 1) + OPH + 1, OW alike; OP is
    output_padding, which chooses among the sizes a strided Conv2d maps to the same H. weight (C, F/G, KH, KW), bias (F).

    Initial weight and bias: uniform in ±1/√(F/G·KH·KW). Raises ValueError for sizes below 1, groups that do not divide, and any
    padding_mode but 'zeros'.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int | Sequence[int], stride: int | Sequence[int] = 1,
                 padding: int | Sequence[int] = 0, output_padding: int | Sequence[int] = 0, groups: int = 1, bias: bool = True,
                 dilation: int | Sequence[int] = 1, padding_mode: str = "zeros", *, dtype: Any = None) -> None:
        sizes("ConvTranspose2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        divisible("ConvTranspose2d", "groups", groups, in_channels=in_channels, out_channels=out_channels)
        one_of("ConvTranspose2d", "padding_mode", padding_mode, ("zeros",))
        super().__init__(in_channels, out_channels, kernel_size, stride, pair(padding, "padding", least=0), dilation, groups, bias,
                         padding_mode, output_padding, (in_channels, out_channels // groups), dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)
