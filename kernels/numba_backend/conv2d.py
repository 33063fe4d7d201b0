"""Convolution and its two gradients on register tiles. The arithmetic is in `sliding_sum` and `weight_gradient`, the cutting in `plan`;
3 x 3 kernels on many channels and pixels take fewer products, in `winograd`."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.border import add_border
from minicnn.kernels.numba_backend.depthwise import depthwise_cut, depthwise_weight_gradient
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.max_pool2d import max_pool2d
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import workers
from minicnn.kernels.numba_backend.plan import channel_tile, is_depthwise
from minicnn.kernels.numba_backend.recipe import SLACK, recipe
from minicnn.kernels.numba_backend.weight_gradient import weight_gradient
from minicnn.kernels.numba_backend.weight_plan import weight_plan
from minicnn.kernels.numba_backend.winograd import suits, winograd, winograd_grad_input, winograd_grad_weight
from minicnn.kernels.window import Window2d


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """Register tiles: 14 pixels x 32 filters summed in vector registers, straight from the channels-last image."""
    if not x.size or x.dtype not in COMPILED:
        return numpy_backend.conv2d(x, w, b, window, groups, relu)
    if suits(x.shape, w.shape[0], window, groups, x.itemsize):
        return winograd(x, w, b, window, relu)
    return recipe(False, x.shape, w.shape, window, groups, x.dtype)(dense(x), w, b, relu)


def conv2d_algorithm(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int, itemsize: int) -> str:
    """What conv2d and its gradients do for these shapes, in a few words."""
    fewer = suits(tuple(x_shape), w_shape[0], window, groups, itemsize)
    return "Winograd F(2x2, 3x3) on register tiles" if fewer else "Register tiles"


def prepare_conv2d(w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False, pool: tuple[int, int] = (1, 1)) -> Any:
    """conv2d as a function of x, for weights that do not change any more: they are packed once for every shape of x.

    pool: the largest of every (height, width) outputs is kept, as by a max pool with windows side by side.
    """
    if pool != (1, 1) and is_depthwise(w.shape[1] * groups, w.shape, groups):
        alone, largest = prepare_conv2d(w, b, window, groups, relu), Window2d.of(pool, pool)
        return lambda x: max_pool2d(alone(x), largest)[0]
    prepared: dict[Any, Any] = {}

    def convolve(x: Any) -> Any:
        found = prepared.get((x.shape, x.dtype))
        if found is None:
            if not x.size or x.dtype not in COMPILED:
                return numpy_backend.prepare_conv2d(w, b, window, groups, relu, pool)(x)
            r = recipe(False, x.shape, w.shape, window, groups, x.dtype, pool)
            found = prepared[x.shape, x.dtype] = r.run, r.pack(w), r.bias(b)
        run, packed, bias = found
        return run(dense(x), packed, bias, relu)
    return convolve


def conv2d_grad_input(dy: Any, w: Any, input_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dx: a convolution of dy with the kernel flipped and its channels exchanged, in one phase a position within the stride."""
    if not dy.size or dy.dtype not in COMPILED:
        return numpy_backend.conv2d_grad_input(dy, w, input_shape, window, groups)
    if suits(tuple(input_shape), w.shape[0], window, groups, dy.itemsize):
        return winograd_grad_input(dy, w, input_shape, window)
    return recipe(True, tuple(input_shape), w.shape, window, groups, dy.dtype)(dense(dy), w)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: tuple[int, ...], window: Window2d, groups: int = 1) -> Any:
    """dw: sums over pixels in register tiles of 14 channels x 32 filters, in chunks of the batch that are added in order."""
    if not x.size or x.dtype not in COMPILED:
        return numpy_backend.conv2d_grad_weight(dy, x, weight_shape, window, groups)
    if suits(x.shape, weight_shape[0], window, groups, x.itemsize):
        return winograd_grad_weight(dy, x, window)
    (F, CG, KH, KW), dtype = weight_shape, x.dtype
    dw, image, gradient = empty((F, CG, KH, KW), dtype), dense(x), dense(dy)
    if is_depthwise(x.shape[1], (F, CG, KH, KW), groups):
        cut, tile = depthwise_cut(x.shape, window, x.itemsize), channel_tile(groups, x.itemsize)
        threads = workers(dy.size * KH * KW)
        if groups % tile.columns:                              # a vector of the last channels ends past the array
            gradient = np.concatenate([gradient, np.zeros(SLACK, dtype)])
        rows = int((cut[0]["band"] - 1) * cut[0]["SH"] + (KH - 1) * cut[0]["DH"] + 1)
        scratch = empty((threads * rows * int(cut[0]["width"]) * groups + SLACK,), dtype)
        sums = empty((int(cut[0]["chunks"]) * KH * KW * (groups + tile.columns) + SLACK,), dtype)
        kernel = depthwise_weight_gradient(dtype, tile, KW, window.stride[1], window.dilation[1])
        kernel(image, gradient, sums, scratch, cut, np.ones(1, dtype), dw.reshape(-1), threads)
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
