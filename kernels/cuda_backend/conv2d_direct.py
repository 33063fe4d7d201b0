"""Rung 0 on CUDA: a thread an output. It teaches how a grid of threads takes the place of the outer loops.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend import geometry
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import contiguous
from minicnn.kernels.window import Window2d

FORWARD = Kernel("conv2d_direct.cu", "conv2d_direct")
GRAD_INPUT = Kernel("conv2d_direct.cu", "conv2d_direct_grad_input")
GRAD_WEIGHT = Kernel("conv2d_direct.cu", "conv2d_direct_grad_weight")
THREADS = 256                    # a block
THREADS_A_WEIGHT = 128           # as many as the kernel has places for sums


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, direct: a thread an output, each product loads its two factors from memory.

        thread (n, f, oh, ow):    y = b[f] + sum over c, kh, kw of x * w

    Grid: N*F*OH*OW threads in blocks of 256. Fast because thousands of threads wait for memory at the same time.
    """
    y = np.empty_like(x, shape=(len(x), len(w), *window.output_size(x.shape[2:])), order="C")
    launch(FORWARD, (blocks(y.size, THREADS),), (THREADS,),
           (contiguous(x), contiguous(w), contiguous(b), y, geometry.conv(x.shape, w.shape, window, groups), int(relu)))
    return y


def conv2d_cost(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """Every product reads its x and its w anew, none is made with padding; every y is written once."""
    outputs = x_shape[0] * w_shape[0] * math.prod(window.output_size(x_shape[2:]))
    macs = x_shape[0] * w_shape[0] * w_shape[1] * window.reads(x_shape[2:])
    return Cost(macs, (2 * macs + outputs) * itemsize, 0)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: a thread an input pixel, which gathers from the outputs that read it. Grid: N*C*H*W threads in blocks of 256."""
    dx = np.empty_like(dy, shape=input_shape, order="C")
    launch(GRAD_INPUT, (blocks(dx.size, THREADS),), (THREADS,),
           (contiguous(dy), contiguous(w), dx, geometry.conv(input_shape, w.shape, window, groups)))
    return dx


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: a block of 128 threads a weight. Grid: F*C/G*KH*KW blocks."""
    dw = np.empty_like(x, shape=weight_shape, order="C")
    launch(GRAD_WEIGHT, (dw.size,), (THREADS_A_WEIGHT,),
           (contiguous(dy), contiguous(x), dw, geometry.conv(x.shape, weight_shape, window, groups)))
    return dw
