"""Rung 4 on CUDA: keep the multipliers busy. Index arithmetic moves into a table, loads are 16 bytes and arrive during the products.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW). For float32; float64 is computed by rung 3.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend import conv2d_blocked, gather, geometry
from minicnn.kernels.cuda_backend.gather import Gather
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.implicit_gemm import ImplicitGemm, sum_parts
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch, padded
from minicnn.kernels.cuda_backend.layout import contiguous
from minicnn.kernels.window import Window2d

FILE = "conv2d_pipelined.cu"
PACK, TABULATE = Kernel(FILE, "pack_weights"), Kernel(FILE, "tabulate")
PRODUCT, GRAD_WEIGHT = Kernel(FILE, "conv2d_pipelined"), Kernel(FILE, "conv2d_pipelined_grad_weight")
TILE, DEPTH, THREADS = 128, 8, 256
PACK_BLOCK = (32, 8)
TAP = 4                          # ints of a table's entry


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA, pipelined: 8 x 8 outputs a thread of a 128 x 128 tile, taps from a table, the next tile loads during the products.

        for 8 k at a time:
            begin to load the next 8 rows of weights and patches
            thread:    for each k: 8 weights and 8 values into registers, 64 products
            put what has arrived into the other half of shared memory

    Grid: a block of 256 threads for 128 filters and 128 outputs. Fast because nearly every instruction is a multiply-add.
    """
    if x.dtype != np.float32:
        return conv2d_blocked.conv2d(x, w, b, window, groups, relu)
    y = np.empty_like(x, shape=(len(x), len(w), *window.output_size(x.shape[2:])), order="C")
    _product(x, w, b, y, gather.forward(x.shape, w.shape, window, groups), relu)
    return y


def conv2d_cost(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1, itemsize: int = 4) -> Cost:
    """As rung 3, with larger tiles; the weights are written once more, in whole tiles, and with them the table."""
    cost = ImplicitGemm("", TILE, ()).cost(x_shape, w_shape, window, groups, itemsize)
    K, M = padded(math.prod(w_shape[1:]), DEPTH), padded(w_shape[0] // groups, TILE)
    packed = groups * K * M * itemsize + K * TAP * 4
    return Cost(cost.macs, cost.bytes_moved + packed + math.prod(w_shape) * itemsize, packed)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: the same kernel reads dy instead of x. With a stride it takes SH*SW launches, each for the pixels that the same taps reach."""
    if dy.dtype != np.float32:
        return conv2d_blocked.conv2d_grad_input(dy, w, input_shape, window, groups)
    dx = np.empty_like(dy, shape=input_shape, order="C")
    return gather.gradient(dx, w.shape, window, groups, lambda part: _product(dy, w, None, dx, part, False))


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: tiles of 128 filters x 128 of a filter's weights; the sum over images and outputs is split among blocks."""
    if x.dtype != np.float32:
        return conv2d_blocked.conv2d_grad_weight(dy, x, weight_shape, window, groups)
    F, columns, (OH, OW) = weight_shape[0], math.prod(weight_shape[1:]), dy.shape[2:]
    table = _table(x, gather.forward(x.shape, weight_shape, window, groups), padded(columns, TILE))
    splits = ImplicitGemm("", TILE, ()).splits(F, columns, dy.size // F, groups)
    parts = np.empty_like(x, shape=(splits, *weight_shape), order="C")
    launch(GRAD_WEIGHT, (blocks(columns, TILE), blocks(F // groups, TILE), groups * splits), (THREADS,),
           (contiguous(dy), contiguous(x), table, parts, geometry.conv(x.shape, weight_shape, window, groups),
            gather.divisors(OH, OW), F // groups, columns, splits))
    return sum_parts(parts)


def _product(source: Any, w: Any, bias: Any, result: Any, g: Gather, relu: bool) -> None:
    rows, channels = g["result_channels"] // g["G"], g["source_channels"] // g["G"]
    K, M = padded(channels * g["taps_h"] * g["taps_w"], DEPTH), padded(rows, TILE)
    weights = np.empty_like(w, shape=(g["G"], K, M), order="C")
    launch(PACK, (blocks(K, PACK_BLOCK[0]), M // PACK_BLOCK[0], g["G"]), PACK_BLOCK, (contiguous(w), weights, g, K, M))
    launch(PRODUCT, (blocks(g["N"] * g["rows"] * g["columns"], TILE), M // TILE, g["G"]), (THREADS,),
           (weights, _table(source, g, K), contiguous(source), contiguous(bias), result, g, K, M, int(relu)))


def _table(like: Any, g: Gather, K: int) -> Any:
    """(K, 4) ints: for every k how far it reads from an output's own place, in elements, then dh, dw and nothing: see gather.cuh."""
    table = np.empty_like(like, shape=(K, TAP), dtype=np.int32, order="C")
    launch(TABULATE, (blocks(K, THREADS),), (THREADS,), (table, g, K))
    return table
