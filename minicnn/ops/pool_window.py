"""What max and average pooling share: the window they slide, by torch's rules."""
from __future__ import annotations

from collections.abc import Sequence

from minicnn.kernels.window import Padding, Window2d

Sizes = int | Sequence[int]


def pool_window(op: str, input_size: Sequence[int], kernel_size: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes = 1,
                ceil_mode: bool = False) -> Window2d:
    """The window of a pooling: stride None means kernel_size (no overlap), and padding may be at most half the kernel, so that
    (without dilation) every window sees an input pixel. Raises ValueError for more padding than that, and what `Window2d.of` raises.
    """
    stride = kernel_size if stride is None or stride == () else stride
    window = Window2d.of(kernel_size, stride, padding, dilation, ceil_mode, input_size, op)
    for axis, name in enumerate(("height", "width") if any(window.padding) else ()):
        side, k = max(window.padding[2 * axis:2 * axis + 2]), window.kernel[axis]
        if side > k // 2:
            raise ValueError(f"{op}: padding {side} is more than half of the kernel's {name} {k}: it may be at most {k // 2}")
    return window
