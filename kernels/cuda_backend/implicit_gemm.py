"""The host's side of the rungs that compute a convolution as matrix products of tiles: matrices.cuh says which matrices.

A rung has three kernels, NAME, NAME_grad_input and NAME_grad_weight; a block makes a tile x tile piece of a product.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.kernels.cost import Cost
from minicnn.kernels.cuda_backend import geometry
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.launcher import MOST_BLOCKS, Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import contiguous
from minicnn.kernels.window import Window2d

SUM_PARTS = Kernel("sum_parts.cu", "sum_parts")
ENOUGH_BLOCKS = 256              # about two for each multiprocessor of a large GPU
LEAST_SHARE = 256                # images x outputs that one block of a weight gradient adds up, at least


@dataclass(frozen=True)
class ImplicitGemm:
    name: str
    tile: int
    block: tuple[int, ...]

    def forward(self, x: Any, w: Any, b: Any, window: Window2d, groups: int, relu: bool) -> Any:
        """y (N, F, OH, OW): a product of F/G x images and outputs for each group."""
        y = np.empty_like(x, shape=(len(x), len(w), *window.output_size(x.shape[2:])), order="C")
        launch(self._kernel(), self._grid(len(w) // groups, y.size // max(len(w), 1), groups), self.block,
               (contiguous(x), contiguous(w), contiguous(b), y, geometry.conv(x.shape, w.shape, window, groups), int(relu)))
        return y

    def grad_input(self, dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int) -> Any:
        """dx (N, C, H, W): a product of C/G x images and pixels for each group."""
        dx = np.empty_like(dy, shape=input_shape, order="C")
        launch(self._kernel("_grad_input"), self._grid(w.shape[1], dx.size // max(dx.shape[1], 1), groups), self.block,
               (contiguous(dy), contiguous(w), dx, geometry.conv(input_shape, w.shape, window, groups)))
        return dx

    def grad_weight(self, dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int) -> Any:
        """dw (F, C/G, KH, KW): a product of F/G x weights of a filter for each group, its long sum split among blocks."""
        F, columns = weight_shape[0], math.prod(weight_shape[1:])
        splits = self.splits(F, columns, dy.size // F, groups)
        parts = np.empty_like(x, shape=(splits, *weight_shape), order="C")
        launch(self._kernel("_grad_weight"), self._grid(F // groups, columns, groups * splits), self.block,
               (contiguous(dy), contiguous(x), parts, geometry.conv(x.shape, weight_shape, window, groups), splits))
        return sum_parts(parts)

    def splits(self, F: int, columns: int, pixels: int, groups: int) -> int:
        """Into how many parts a weight gradient's sum over `pixels` is cut: decided by the shapes alone, so that every run and every GPU
        adds in the same order."""
        tiles = blocks(F // groups, self.tile) * blocks(columns, self.tile) * groups
        return max(1, min(ENOUGH_BLOCKS // tiles, pixels // LEAST_SHARE, MOST_BLOCKS[2] // groups))

    def cost(self, x_shape: Shape, w_shape: Shape, window: Window2d, groups: int, itemsize: int) -> Cost:
        """Every tile x tile outputs read tile rows of one matrix and tile columns of the other; products with padding are made."""
        outputs = x_shape[0] * w_shape[0] * math.prod(window.output_size(x_shape[2:]))
        macs = outputs * math.prod(w_shape[1:])
        return Cost(macs, (2 * macs // self.tile + outputs) * itemsize, 0)

    def _kernel(self, which: str = "") -> Kernel:
        return Kernel(f"{self.name}.cu", self.name + which)

    def _grid(self, M: int, P: int, products: int) -> tuple[int, int, int]:
        return blocks(P, self.tile), blocks(M, self.tile), products


def sum_parts(parts: Any) -> Any:
    """(splits, ...) -> (...): the sum over the first axis, from the first part to the last."""
    if len(parts) == 1:
        return parts[0]
    total = np.empty_like(parts, shape=parts.shape[1:], order="C")
    launch(SUM_PARTS, (blocks(total.size, 256),), (256,), (parts, total, total.size, len(parts)))
    return total
