"""Rung 2 on CUDA: what a block has loaded into shared memory, all its threads use.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

from typing import Any

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.implicit_gemm import ImplicitGemm
from minicnn.kernels.window import Window2d

KERNELS = ImplicitGemm("conv2d_tiled", tile=16, block=(16, 16))


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, tiled: 16 x 16 threads share what they load (implicit GEMM).

        for 16 k at a time:
            load 16 rows of weights and 16 patches into shared memory
            thread (m, p):    sum += weights[m, k] * patches[k, p]    for these k

    Grid: a block for 16 filters and 16 outputs. Fast because each value from global memory is used 16 times; patches are never stored.
    """
    return KERNELS.forward(x, w, b, window, groups, relu)


def conv2d_cost(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """See `ImplicitGemm.cost`."""
    return KERNELS.cost(x_shape, w_shape, window, groups, itemsize)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: the same product; a row is a channel, a column a pixel, the sum over filters and offsets gathers what the pixel caused."""
    return KERNELS.grad_input(dy, w, input_shape, window, groups)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: the same product; a row is a filter, a column one of its weights, the sum over images and outputs is split among blocks."""
    return KERNELS.grad_weight(dy, x, weight_shape, window, groups)
