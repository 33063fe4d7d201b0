"""Convolution and its two gradients on register tiles. The arithmetic is in `sliding_sum` and `weight_gradient`, the cutting in `plan`."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.border import add_border
from minicnn.kernels.numba_backend.depthwise import MOST_TAPS, depthwise, depthwise_cut, depthwise_rows, depthwise_weight_gradient
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.fresh_sum import fresh_sum
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.max_pool2d import max_pool2d
from minicnn.kernels.numba_backend.memory import LINE, channels_last, empty
from minicnn.kernels.numba_backend.pack import pack
from minicnn.kernels.numba_backend.parallel import workers
from minicnn.kernels.numba_backend.plan import Plan, channel_tile, is_depthwise, plan
from minicnn.kernels.numba_backend.pooled_sum import pooled_sum
from minicnn.kernels.numba_backend.sliding_sum import sliding_sum
from minicnn.kernels.numba_backend.weight_gradient import weight_gradient
from minicnn.kernels.numba_backend.weight_plan import weight_plan
from minicnn.kernels.window import Window2d

FEW_PIXELS = 1 / 32          # of the whole batch, for each number in the weights
SLACK = 64                   # numbers after an array that tiles may read, and not use, past its end


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """Register tiles: 14 pixels x 32 filters summed in vector registers, straight from the channels-last image."""
    if not x.size or x.dtype not in COMPILED or not _few_pixels(x.shape, w.shape, window, groups):
        return prepare_conv2d(w, b, window, groups, relu)(x)
    y = channels_last(len(x), len(w), *window.output_size(x.shape[2:]), x.dtype)
    _fresh_sum(False, x.shape, w, b, window, groups, dense(x), y, relu)
    return y


def prepare_conv2d(w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False, pool: tuple[int, int] = (1, 1)) -> Any:
    """conv2d as a function of x, for weights that do not change any more: they are packed once for every shape of x.

    pool: the largest of every (height, width) outputs is kept, as by a max pool with windows side by side.
    """
    if pool != (1, 1) and is_depthwise(w.shape[1] * groups, w.shape, groups):
        alone, largest = prepare_conv2d(w, b, window, groups, relu), Window2d.of(pool, pool)
        return lambda x: max_pool2d(alone(x), largest)[0]
    shapes: dict[Any, Any] = {}

    def convolve(x: Any) -> Any:
        if not x.size or x.dtype not in COMPILED:
            return numpy_backend.prepare_conv2d(w, b, window, groups, relu, pool)(x)
        if x.shape not in shapes:
            shapes[x.shape] = _Sum(False, x.shape, w, b, window, groups, x.dtype, pool)
        OH, OW = window.output_size(x.shape[2:])
        y = channels_last(len(x), len(w), OH // pool[0], OW // pool[1], x.dtype)
        shapes[x.shape](dense(x), y, relu)
        return y
    return convolve


def conv2d_grad_input(dy: Any, w: Any, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dx: a convolution of dy with the kernel flipped and its channels exchanged, in one phase a position within the stride."""
    if not dy.size or dy.dtype not in COMPILED:
        return numpy_backend.conv2d_grad_input(dy, w, input_shape, window, groups)
    N, C, H, W = input_shape
    dx = channels_last(N, C, H, W, dy.dtype)
    if _few_pixels(tuple(input_shape), w.shape, window, groups):
        _fresh_sum(True, tuple(input_shape), w, None, window, groups, dense(dy), dx)
    else:
        _Sum(True, tuple(input_shape), w, None, window, groups, dy.dtype)(dense(dy), dx, False)
    return dx


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dw: sums over pixels in register tiles of 14 channels x 32 filters, in chunks of the batch that are added in order."""
    if not x.size or x.dtype not in COMPILED:
        return numpy_backend.conv2d_grad_weight(dy, x, weight_shape, window, groups)
    (F, CG, KH, KW), dtype = weight_shape, x.dtype
    dw, one, image, gradient = empty((F, CG, KH, KW), dtype), np.ones(1, dtype), dense(x), dense(dy)
    if is_depthwise(x.shape[1], (F, CG, KH, KW), groups):
        cut, tile = depthwise_cut(x.shape, window, x.itemsize), channel_tile(groups, x.itemsize)
        threads = workers(dy.size * KH * KW)
        if groups % tile.columns:                              # a vector of the last channels ends past the array
            gradient = np.concatenate([gradient, np.zeros(SLACK, dtype)])
        rows = int((cut[0]["band"] - 1) * cut[0]["SH"] + (KH - 1) * cut[0]["DH"] + 1)
        scratch = empty((threads * rows * int(cut[0]["width"]) * groups + SLACK,), dtype)
        sums = empty((int(cut[0]["chunks"]) * KH * KW * (groups + tile.columns) + SLACK,), dtype)
        kernel = depthwise_weight_gradient(dtype, tile, KW, window.stride[1], window.dilation[1])
        kernel(image, gradient, sums, scratch, cut, one, dw.reshape(-1), threads)
        return dw
    p = weight_plan(x.shape, (F, CG, KH, KW), window, groups, x.itemsize)
    threads = workers(p.macs // 4)
    if p.border:
        N, C, H, W = x.shape
        left, width = p.border
        bordered = empty((N * H * width * C,), dtype)
        add_border(dtype)(image, bordered, N, H, W, C, left, width, workers(bordered.size))
        image = bordered
    kernel = weight_gradient(dtype, p.rows, p.full, p.rest, p.partial)
    kernel(image, gradient, empty((p.sums + SLACK,), dtype), p.lists, p.pixels, p.places, p.cut, dw.reshape(-1), threads)
    return dw


class _Sum:
    """The sliding sum for one shape, with its packed weights; called with what it reads, flat and channels-last, and what it makes."""

    def __init__(self, backward: bool, x_shape: tuple[int, ...], w: Any, b: Any, window: Window2d, groups: int, dtype: Any,
                 pool: tuple[int, int] = (1, 1)) -> None:
        F, CG, _, KW = w.shape
        self.pool, self.images = pool, x_shape[0]
        self.plan = p = plan(backward, x_shape, w.shape, window, groups, dtype.itemsize, pool[0])
        self.bias = _bias(b, F + CG * groups, dtype)
        if is_depthwise(x_shape[1], w.shape, groups):
            tile = channel_tile(groups, dtype.itemsize)
            taps, stride, dilation = KW, 1 if backward else window.stride[1], window.dilation[1]
            if KW > MOST_TAPS or (backward and window.stride != (1, 1)):     # a phase has some of the kernel's taps
                taps = stride = dilation = 1
            self.kernel = depthwise(dtype, depthwise_rows(tuple(p.phases["OW"].tolist()), tile, taps), tile, taps, stride, dilation)
            packed = np.zeros((len(p.taps), -(-groups // tile.columns) * tile.columns), dtype)     # [tap][channel]
            packed[:, :groups] = w[:, 0, p.taps[:, 0], p.taps[:, 1]].T
            self.packed = packed.reshape(-1)
        else:
            self.kernel = (sliding_sum if pool == (1, 1) else pooled_sum)(dtype, p.rows, p.full, p.rest)
            self.packed, places = empty((p.packed,), dtype), empty((groups * p.blocks * len(p.order),), np.int64)
            pack(dtype)(np.ascontiguousarray(w).reshape(-1), self.packed, p.order, places, p.phases, _cut(p, backward, w.shape, groups),
                        workers(p.packed // 8))

    def __call__(self, read: Any, y: Any, relu: bool) -> None:
        p, threads, made = self.plan, workers(self.plan.macs // 4), y.transpose(0, 2, 3, 1).reshape(-1)
        if self.pool == (1, 1):
            scratch = empty((threads * p.scratch + SLACK,), y.dtype)
            self.kernel(read, self.images, self.packed, self.bias, made, scratch, p.starts, p.phases, p.tasks, relu, threads)
        else:
            g = p.phases[0]
            scratch = empty((threads * (p.scratch + int(g["band"] * g["OW"]) * y.shape[1]) + SLACK,), y.dtype)
            self.kernel(read, self.packed, self.bias, made, scratch, p.scratch, p.starts, p.phases, p.tasks, relu, *self.pool, threads)


def _few_pixels(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int) -> bool:
    """Whether threads had better pack the weights they use, one block of filters at a time."""
    OH, OW = window.output_size(x_shape[2:])
    return x_shape[0] * OH * OW <= FEW_PIXELS * math.prod(w_shape) and not is_depthwise(x_shape[1], w_shape, groups)


def _fresh_sum(backward: bool, x_shape: tuple[int, ...], w: Any, b: Any, window: Window2d, groups: int, read: Any, y: Any,
               relu: bool = False) -> None:
    """The sliding sum for few pixels, with weights that have not been packed."""
    F, CG, KH, KW = w.shape
    dtype, outputs = y.dtype, CG * groups if backward else F
    p = plan(backward, x_shape, w.shape, window, groups, dtype.itemsize, 1, 1)
    threads, tasks = workers(p.macs // 4), groups * p.blocks
    pieces = threads // math.gcd(tasks, threads)
    if pieces > 1:                                               # bands to share out
        p = plan(backward, x_shape, w.shape, window, groups, dtype.itemsize)
    padded, of_block = _lines(p.scratch, dtype), p.full.columns * KH * KW * (F // groups if backward else CG)
    scratch = empty((threads * _lines(padded + of_block + SLACK, dtype),), dtype)
    places = np.full(threads * (len(p.order) + 1), -1)
    fresh_sum(dtype, p.rows, p.full, p.rest)(
        read, x_shape[0], np.ascontiguousarray(w).reshape(-1), p.order, places, _cut(p, backward, w.shape, groups),
        _bias(b, outputs, dtype), y.transpose(0, 2, 3, 1).reshape(-1), scratch, padded, p.starts, p.phases, p.tasks, pieces, relu, threads)


def _cut(p: Plan, backward: bool, w_shape: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """As `pack` wants it."""
    F, CG, KH, KW = w_shape
    taps, per_group = KH * KW, F // groups
    axes = (per_group, CG * taps, taps) if backward else (1, 0, CG * taps)   # the input gradient's filters are channels
    return groups, p.blocks, p.full.columns, p.rest.columns, per_group * CG * taps, *axes


def _lines(numbers: int, dtype: Any) -> int:
    """Rounded up to whole lines of the cache: a vector that lies across two takes two accesses."""
    line = LINE // dtype.itemsize
    return -(-numbers // line) * line


def _bias(b: Any, outputs: int, dtype: Any) -> Any:
    bias = np.zeros(outputs + SLACK, dtype)
    if b is not None:
        bias[:len(b)] = b
    return bias
