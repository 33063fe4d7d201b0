"""Pooling layers: the maximum or the mean of every window. They have no parameters."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn.nn import functional as F
from minicnn.nn.module import Module
from minicnn.tensor import Tensor

Pair = int | Sequence[int]
OutputSize = int | None | Sequence[int | None]


class MaxPool2d(Module):
    """The maximum of every window, channel by channel.

        y[n, c, oh, ow] = max over kh, kw of x[n, c, oh*SH + kh*DH - PH, ow*SW + kw*DW - PW]

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) with OH = floor((H + 2*PH - DH*(KH - 1) - 1) / SH) + 1, OW alike; ceil_mode
    rounds up instead, for windows that start inside the input or its left padding.

    stride: None means kernel_size. Padding is -inf. return_indices: also return where the maximum was, as an index into H·W.
    Of equal maxima the first one counts, and gets the gradient; NaN is larger than everything.
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1, return_indices: bool = False,
                 ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
                            return_indices=self.return_indices)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")


class AvgPool2d(Module):
    """The mean of every window, channel by channel.

        y[n, c, oh, ow] = 1/D * sum over kh, kw of x[n, c, oh*SH + kh - PH, ow*SW + kw - PW]

    D is the number of pixels in the window: with the zeros of the padding (count_include_pad=True), without them, or divisor_override.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) with OH = floor((H + 2*PH - KH) / SH) + 1, OW alike; ceil_mode as in MaxPool2d.
    stride: None means kernel_size.
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean over as many windows as the output should have pixels: rows floor(i*H/OH) to ceil((i+1)*H/OH), columns alike.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW) for any H, W. output_size: int, or (OH, OW), where None keeps the input's.
    """

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The maximum over the windows of AdaptiveAvgPool2d. return_indices: as in MaxPool2d."""

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
