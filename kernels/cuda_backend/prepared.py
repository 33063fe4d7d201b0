"""For inference: a layer, and what follows it, as a function of x alone: one kernel after the other, with relu in the first."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicnn.kernels.cuda_backend.conv2d import conv2d
from minicnn.kernels.cuda_backend.elementwise import relu as rectified
from minicnn.kernels.cuda_backend.max_pool2d import max_pool2d
from minicnn.kernels.numpy_backend.linear import linear
from minicnn.kernels.window import Window2d


def prepare_conv2d(w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False,
                   pool: tuple[int, int] = (1, 1)) -> Callable[[Any], Any]:
    """x -> max_pool2d(relu(conv2d(x))) with pooling windows of size `pool` side by side; relu only if it is asked for."""
    def convolve(x: Any) -> Any:
        y = conv2d(x, w, b, window, groups, relu)
        return y if pool == (1, 1) else max_pool2d(y, Window2d.of(pool, pool))[0]
    return convolve


def prepare_linear(w: Any, b: Any, relu: bool = False, image: tuple[int, int, int] | None = None) -> Callable[[Any], Any]:
    """x -> relu(linear(x)); x (M, I), or (M, C, H, W) with image = (C, H, W), which is flattened first."""
    def product(x: Any) -> Any:
        y = linear(x.reshape(len(x), -1), w, b)
        return rectified(y) if relu else y
    return product
