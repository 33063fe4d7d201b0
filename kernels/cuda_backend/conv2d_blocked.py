"""Rung 3 on CUDA: what a thread has loaded into registers, it uses for several outputs.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

from typing import Any

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.implicit_gemm import ImplicitGemm
from minicnn.kernels.window import Window2d

KERNELS = ImplicitGemm("conv2d_blocked", tile=64, block=(256,))


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, register-blocked: each thread makes 4 x 4 outputs of a 64 x 64 tile (implicit GEMM).

        for 16 k at a time:
            load 64 rows of weights and 64 patches into shared memory
            thread:    for each k: 4 weights and 4 values into registers, 16 products

    Grid: a block of 256 threads for 64 filters and 64 outputs. Fast because a product needs half a load from shared memory instead of two.
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
