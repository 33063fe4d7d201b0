"""The gradient of a bias: dy summed over all axes but axis 1."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend import channel
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, contiguous

PARTS = Kernel("channel_sum.cu", "channel_parts")
COLUMNS = Kernel("channel_sum.cu", "column_sums")
WARPS, ROWS = 8, 512             # of a block, which sums up that many rows of a matrix


def channel_sum(dy: Any) -> Any:
    """db = dy summed over all axes but axis 1. Shapes: dy (N, C, H, W) of a convolution, (N, C) of a linear layer -> (C).

    Grid: a block for each 4096 values of a channel, which leaves a matrix (parts, C); a block for each 512 rows and 32 columns of that.
    """
    if dy.dtype not in COMPILED:
        return numpy_backend.channel_sum(dy)
    if dy.size == 0:
        return np.zeros_like(dy, shape=(dy.shape[1],), order="C")
    images, dy = channel.images(dy), contiguous(dy)
    if images["HW"] > 1:
        sums = np.empty_like(dy, shape=(images["parts"], images["C"]), order="C")
        launch(PARTS, (sums.size,), (channel.THREADS,), (dy, sums, images))
        dy = sums
    M, C = dy.shape[:2]
    while True:                                                # each round leaves one of ROWS rows
        sums = np.empty_like(dy, shape=(blocks(M, ROWS), C), order="C")
        launch(COLUMNS, (blocks(C, 32), len(sums)), (32, WARPS), (dy, sums, M, C))
        if len(sums) == 1:
            return sums[0]
        dy, M = sums, len(sums)
