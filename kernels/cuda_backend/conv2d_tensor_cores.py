"""Rung 5 on CUDA: tensor cores, which multiply whole tiles of numbers rounded to TF32. For those who allow it: see `allow_tf32`.

TF32 keeps 10 bits of a float's fraction, so a product's relative error is up to 2^-10 instead of 2^-24; sums are kept in float32. Whole
numbers up to 2,048 are exact.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW). For float32; float64 is computed by rung 3.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend import conv2d_blocked, gather
from minicnn.kernels.cuda_backend.gather import Gather
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.implicit_gemm import ImplicitGemm, sum_parts
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch, padded
from minicnn.kernels.cuda_backend.layout import contiguous
from minicnn.kernels.window import Window2d

FILE = "conv2d_tensor_cores.cu"
PACK_IMAGES, PACK_WEIGHTS, TABULATE = (Kernel(FILE, name) for name in ("pack_channels_last", "pack_weights", "tabulate"))
PRODUCT, GRAD_WEIGHT = Kernel(FILE, "conv2d_tensor_cores"), Kernel(FILE, "conv2d_tensor_cores_grad_weight")
TILE, DEPTH, THREADS = 128, 16, 256
SHARED = 3 * 2 * TILE * DEPTH * 4    # bytes: three stages of two tiles
CHUNK, TAP = 4, 4                # channels of a copy; ints of a table's entry


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, tensor cores: warps multiply 16 x 8 by 8 x 8 in one instruction, with factors rounded to TF32.

        round x and w to TF32, four channels side by side
        for 16 k at a time:
            begin to copy the tiles of the step after the next into shared memory
            warp:    for each 8 k: 4 x 4 products of 16 x 8 x 8

    Grid: a block of 8 warps for 128 filters and 128 outputs. Fast because one instruction makes 1,024 products.
    """
    if x.dtype != np.float32:
        return conv2d_blocked.conv2d(x, w, b, window, groups, relu)
    y = np.empty_like(x, shape=(len(x), len(w), *window.output_size(x.shape[2:])), order="C")
    _product(_channels_last(x, groups), w, b, y, gather.forward(x.shape, w.shape, window, groups), relu)
    return y


def conv2d_cost(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """As rung 4; x is written once more and read from there, with channels padded to whole chunks."""
    cost = ImplicitGemm("", TILE, ()).cost(x_shape, w_shape, window, groups, itemsize)
    C = padded(w_shape[1], CHUNK)
    K, M = padded(C * math.prod(w_shape[2:]), DEPTH), padded(w_shape[0] // groups, TILE)
    images, weights = x_shape[0] * groups * C * math.prod(x_shape[2:]), groups * K * M
    return Cost(cost.macs // w_shape[1] * C, cost.bytes_moved + (math.prod(x_shape) + images + weights) * itemsize,
                (images + weights + K) * itemsize)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: the same kernel reads dy instead of x. With a stride it takes SH*SW launches, each for the pixels that the same taps reach."""
    if dy.dtype != np.float32:
        return conv2d_blocked.conv2d_grad_input(dy, w, input_shape, window, groups)
    dx = np.empty_like(dy, shape=input_shape, order="C")
    packed = _channels_last(dy, groups)
    return gather.gradient(dx, w.shape, window, groups, lambda part: _product(packed, w, None, dx, part, False))


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: tiles of 128 filters x 128 of a filter's weights; the sum over images and outputs is split among blocks."""
    if x.dtype != np.float32:
        return conv2d_blocked.conv2d_grad_weight(dy, x, weight_shape, window, groups)
    F, g = weight_shape[0], gather.forward(x.shape, weight_shape, window, groups)
    images, gradients = _channels_last(x, groups), _channels_last(dy, groups)
    C, M, (OH, OW) = images.shape[2] // groups, gradients.shape[2] // groups, dy.shape[2:]
    K = C * math.prod(window.kernel)
    splits = ImplicitGemm("", TILE, ()).splits(F, K, dy.size // F, groups)
    parts = np.empty_like(x, shape=(splits, *weight_shape), order="C")
    launch(GRAD_WEIGHT, (blocks(K, TILE), blocks(F // groups, TILE), groups * splits), (THREADS,),
           (gradients, images, _table(x, g, padded(K, TILE), C), parts, g, gather.divisors(OH, OW), K, M, C, splits))
    return sum_parts(parts)


def _channels_last(x: Any, groups: int) -> Any:
    """x (N, C, H, W) -> (N, H*W, G*C'), rounded to TF32: C' channels a group, padded to whole chunks."""
    N, channels, plane = len(x), x.shape[1] // groups, math.prod(x.shape[2:])
    C = padded(channels, CHUNK)
    packed = np.empty_like(x, shape=(N, plane, groups * C), order="C")
    launch(PACK_IMAGES, (blocks(plane, 32), blocks(groups * C, 32), N), (32, 8), (contiguous(x), packed, channels, C, groups, plane))
    return packed


def _product(source: Any, w: Any, bias: Any, result: Any, g: Gather, relu: bool) -> None:
    rows, C = g["result_channels"] // g["G"], source.shape[2] // g["G"]
    K, M = padded(C * g["taps_h"] * g["taps_w"], DEPTH), padded(rows, TILE)
    weights = np.empty_like(w, shape=(g["G"], M, K), order="C")
    launch(PACK_WEIGHTS, (blocks(K, TILE), M, g["G"]), (TILE,), (contiguous(w), weights, g, K, M, C))
    launch(PRODUCT, (blocks(g["N"] * g["rows"] * g["columns"], TILE), M // TILE, g["G"]), (THREADS,),
           (weights, _table(source, g, K, C), source, contiguous(bias), result, g, K, M, C, int(relu)), SHARED)


def _table(like: Any, g: Gather, K: int, C: int) -> Any:
    """(K/4, 4) ints: for every four k how far from an output's own place they read, in elements, then dh, dw and nothing: gather.cuh."""
    table = np.empty_like(like, shape=(K // CHUNK, TAP), dtype=np.int32, order="C")
    launch(TABULATE, (blocks(len(table), THREADS),), (THREADS,), (table, g, K, C))
    return table
