"""All that a convolution, or its input gradient, needs beside numbers: the plan, the compiled kernels and sizes, found once a shape."""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minicnn.kernels.numba_backend.depthwise import depthwise, depthwise_rows
from minicnn.kernels.numba_backend.fresh_sum import fresh_sum
from minicnn.kernels.numba_backend.memory import LINE, empty
from minicnn.kernels.numba_backend.pack import pack
from minicnn.kernels.numba_backend.parallel import workers
from minicnn.kernels.numba_backend.plan import MOST_TAPS, channel_tile, is_depthwise, plan
from minicnn.kernels.numba_backend.pooled_sum import pooled_sum
from minicnn.kernels.numba_backend.sliding_sum import sliding_sum
from minicnn.kernels.window import Window2d

PIXELS_PER_WEIGHT = 1 / 32   # fewer outputs than that: packing takes as long as the sum
SLACK = 64                   # numbers after an array that tiles may read, and not use, past its end


@functools.lru_cache(4096)
def recipe(backward: bool, x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int, dtype: Any,
           pool: tuple[int, int] = (1, 1)) -> Recipe:
    """For x of x_shape (N, C, H, W) and w of w_shape (F, C/G, KH, KW): of y, or, backward, of dx."""
    return Recipe(backward, x_shape, w_shape, window, groups, dtype, pool)


class Recipe:
    """Of one shape. What is read comes flat and channels-last; what is made is channels-last too."""

    def __init__(self, backward: bool, x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int, dtype: Any,
                 pool: tuple[int, int]) -> None:
        (F, CG, KH, KW), size = w_shape, x_shape[2:] if backward else window.output_size(x_shape[2:])
        self.dtype, self.groups, self.pool = dtype, groups, pool
        self.plan = p = plan(backward, x_shape, w_shape, window, groups, dtype.itemsize, pool[0])
        outputs, per_group, taps = CG * groups if backward else F, F // groups, KH * KW
        self.made = x_shape[0], size[0] // pool[0], size[1] // pool[1], outputs          # (N, OH, OW, F)
        self.numbers, self.no_bias = math.prod(self.made), np.zeros(outputs + SLACK, dtype)
        self.scratch = p.scratch if pool == (1, 1) else p.scratch + int(p.phases[0]["band"] * p.phases[0]["OW"]) * outputs
        self.tile = channel_tile(groups, dtype.itemsize) if is_depthwise(x_shape[1], w_shape, groups) else None
        if self.tile:
            self.kernel = _depthwise(backward, p, self.tile, window, dtype)
            return
        self.kernel = (sliding_sum if pool == (1, 1) else pooled_sum)(dtype, p.rows, p.full, p.rest, p.slide)
        axes = (per_group, CG * taps, taps) if backward else (1, 0, CG * taps)           # the input gradient's filters are channels
        self.cut = groups, p.blocks, p.full.columns, p.rest.columns, per_group * CG * taps, *axes        # as `pack` wants it
        self.tasks, self.of_block = groups * p.blocks, p.full.columns * taps * (per_group if backward else CG)
        self.few = pool == (1, 1) and self.numbers < PIXELS_PER_WEIGHT * math.prod(w_shape) * outputs
        self.in_one = plan(backward, x_shape, w_shape, window, groups, dtype.itemsize, 1, 1) if self.few else p

    def __call__(self, read: Any, w: Any, b: Any = None, relu: bool = False) -> Any:
        """With weights that have not been packed."""
        threads = workers(self.plan.macs // 4)
        if self.tile or not self.few:
            return self.run(read, self.pack(w), self.bias(b), relu)
        pieces = threads // math.gcd(self.tasks, threads)
        p = self.plan if pieces > 1 else self.in_one                         # with bands to share out, or without
        line = LINE // self.dtype.itemsize                                   # vectors of weights must not lie across two lines
        padded = -(-p.scratch // line) * line
        share = -(-(padded + self.of_block + SLACK) // line) * line
        y, scratch = empty((self.numbers,), self.dtype), empty((threads * share,), self.dtype)
        places = np.full(threads * (len(p.order) + 1), -1)
        fresh_sum(self.dtype, p.rows, p.full, p.rest, p.slide)(
            read, self.made[0], np.ascontiguousarray(w).reshape(-1), p.order, places, self.cut, self.bias(b), y, scratch, padded, p.starts,
            p.phases, p.tasks, pieces, relu, threads)
        return y.reshape(self.made).transpose(0, 3, 1, 2)

    def bias(self, b: Any) -> Any:
        """b with SLACK numbers after it; zeros for None."""
        if b is None:
            return self.no_bias
        bias = np.zeros_like(self.no_bias)
        bias[:len(b)] = b
        return bias

    def pack(self, w: Any) -> Any:
        """w in the order in which tiles read it."""
        p = self.plan
        if self.tile:                                                        # [tap][channel]
            packed = np.zeros((len(p.taps), -(-self.groups // self.tile.columns) * self.tile.columns), self.dtype)
            packed[:, :self.groups] = w[:, 0, p.taps[:, 0], p.taps[:, 1]].T
            return packed.reshape(-1)
        packed, places = empty((p.packed,), self.dtype), empty((self.tasks * len(p.order),), np.int64)
        pack(self.dtype)(np.ascontiguousarray(w).reshape(-1), packed, p.order, places, p.phases, self.cut, workers(p.packed // 8))
        return packed

    def run(self, read: Any, packed: Any, bias: Any, relu: bool) -> Any:
        """With what `pack` and `bias` made."""
        p, threads = self.plan, workers(self.plan.macs // 4)
        y, scratch = empty((self.numbers,), self.dtype), empty((threads * self.scratch + SLACK,), self.dtype)
        if self.pool == (1, 1):
            self.kernel(read, self.made[0], packed, bias, y, scratch, p.starts, p.phases, p.tasks, relu, threads)
        else:
            self.kernel(read, packed, bias, y, scratch, p.scratch, p.starts, p.phases, p.tasks, relu, *self.pool, threads)
        return y.reshape(self.made).transpose(0, 3, 1, 2)


def _depthwise(backward: bool, p: Any, tile: Any, window: Window2d, dtype: Any) -> Any:
    taps, stride, dilation = window.kernel[1], 1 if backward else window.stride[1], window.dilation[1]
    if taps > MOST_TAPS or (backward and window.stride != (1, 1)):           # a phase has some of the kernel's taps
        taps = stride = dilation = 1
    return depthwise(dtype, depthwise_rows(tuple(p.phases["OW"].tolist()), tile, taps), tile, taps, stride, dilation)
