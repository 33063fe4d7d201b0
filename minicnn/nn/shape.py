"""Layers that move values without changing them: other axes, a border, windows as columns."""
from __future__ import annotations

import math
from collections.abc import Sequence

from minicnn.nn import functional as F
from minicnn.nn.module import Module
from minicnn.tensor import Tensor

Pair = int | Sequence[int]


class Flatten(Module):
    """Make one axis of the axes start_dim to end_dim.

    Shapes: x (N, C, H, W) -> (N, C·H·W), with the default start_dim=1, end_dim=-1.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split axis `dim` into several.

    Shapes: x (N, C·H·W) -> (N, C, H, W), with dim=1, unflattened_size=(C, H, W); one of the sizes may be -1.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        dim = range(x.ndim)[self.dim]
        rest = x.shape[dim] // max(math.prod(n for n in self.unflattened_size if n != -1), 1)      # what -1 stands for
        return x.reshape(*x.shape[:dim], *(rest if n == -1 else n for n in self.unflattened_size), *x.shape[dim + 1:])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class ZeroPad2d(Module):
    """Put zeros around images.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C, H + top + bottom, W + left + right).
    padding: int, or (left, right, top, bottom): torch's order here, not Conv2d's.
    """

    def __init__(self, padding: Pair) -> None:
        super().__init__()
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 4:
            raise ValueError(f"ZeroPad2d: padding is {padding!r}: give one int, or four (left, right, top, bottom)")

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding)

    def extra_repr(self) -> str:
        return str(self.padding)


class Unfold(Module):
    """Copy every window of an image into a column: im2col as a layer.

    Shapes: x (N, C, H, W) or (C, H, W) -> (N, C·KH·KW, OH·OW) with OH = floor((H + 2*PH - DH*(KH - 1) - 1) / SH) + 1, OW alike.
    """

    def __init__(self, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Add every column back into the window it came from: the adjoint of Unfold, not its inverse, for where windows overlap it sums.

    Shapes: x (N, C·KH·KW, OH·OW) or without N -> (N, C, H, W), where (H, W) is output_size and OH, OW are Unfold's.
    """

    def __init__(self, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> None:
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")
