"""What the functions of numba_backend allocate, in their order. Compiled code allocates nothing: all its memory is made in Python first.

Sizes come from the backend's own plans. Most of it is taken from memory that is used again: `Ledger.take`.
"""
from __future__ import annotations

import math
from typing import Any

from minicnn.inspect.summarizing.memory.ledger import Block, Ghost
from minicnn.inspect.summarizing.memory.numpy_kernels import NumPyKernels, Shape
from minicnn.kernels.numba_backend import arithmetic, rows, winograd
from minicnn.kernels.numba_backend.batch_norm_pool import TASKS
from minicnn.kernels.numba_backend.channel_sum import PIXELS
from minicnn.kernels.numba_backend.depthwise import depthwise_cut
from minicnn.kernels.numba_backend.memory import LINE
from minicnn.kernels.numba_backend.parallel import workers
from minicnn.kernels.numba_backend.plan import channel_tile, is_depthwise, plan
from minicnn.kernels.numba_backend.recipe import PIXELS_PER_WEIGHT, SLACK
from minicnn.kernels.numba_backend.simd import registers
from minicnn.kernels.numba_backend.weight_plan import weight_plan
from minicnn.kernels.window import Window2d


class NumbaKernels(NumPyKernels):
    """The same on numba_backend, with register tiles."""

    def empty(self, shape: Shape, itemsize: int = 4, channels_last: bool = False) -> Ghost:
        return Ghost(Block(self.ledger, math.prod(shape) * itemsize, pooled=True), shape, itemsize, channels_last)

    def dense(self, x: Ghost) -> Ghost:
        return x if x.is_last else self.empty(x.shape, x.itemsize, True)

    def c_order(self, x: Ghost) -> Ghost:
        return x if x.is_c else self.like(x)

    # elementwise

    def _elementwise(self, x: Ghost, *others: Ghost) -> Ghost:
        nhwc = len(x.shape) == 4 and not all(a.is_c for a in (x, *others))
        y = self.empty(x.shape, x.itemsize, nhwc)
        copies = [self.dense(a) if nhwc else self.c_order(a) for a in (x, *others)]
        del copies
        return y

    def relu(self, x: Ghost) -> Ghost:
        return self._elementwise(x)

    def relu_grad(self, dy: Ghost, y: Ghost, inplace: bool = False) -> Ghost:
        if not inplace:
            return self._elementwise(dy, y)
        nhwc = len(dy.shape) == 4 and not all(a.is_c for a in (dy, y))
        dx = self.dense(dy) if nhwc else self.c_order(dy)
        gate = self.dense(y) if nhwc else self.c_order(y)
        del gate
        return dx

    def add(self, a: Ghost, b: Ghost, relu: bool = False) -> Ghost:
        if a.size < arithmetic.SMALL:
            y = super().add(a, b, relu)
            y.channels_last = a.channels_last and b.channels_last
            return y
        return self._elementwise(a, b)

    # convolution

    def conv2d(self, x: Ghost, w: Ghost, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Ghost:
        return self._slide(False, x, x.shape, w, b, window, groups)

    def conv2d_grad_input(self, dy: Ghost, w: Ghost, shape: Shape, window: Window2d, groups: int = 1) -> Ghost:
        return self._slide(True, dy, tuple(shape), w, None, window, groups)

    def _slide(self, backward: bool, x: Ghost, x_shape: Shape, w: Ghost, b: Any, window: Window2d, groups: int) -> Ghost:
        """Recipe.__call__, or winograd._run"""
        if winograd.suits(x_shape, w.shape[0], window, groups, x.itemsize):
            return self._winograd(backward, x, x_shape, w, b, window)
        read, n = self.dense(x), x.itemsize
        p = plan(backward, x_shape, w.shape, window, groups, n, 1)
        F, taps = w.shape[0], math.prod(w.shape[2:])
        outputs, size = (x_shape[1], x_shape[2:]) if backward else (F, window.output_size(x_shape[2:]))
        made, threads = (x_shape[0], outputs, *size), workers(p.macs // 4)
        alone, tasks = is_depthwise(x_shape[1], w.shape, groups), groups * p.blocks
        bias = self.new((outputs + SLACK,), n) if b is not None else None
        if not alone and math.prod(made) < PIXELS_PER_WEIGHT * math.prod(w.shape) * outputs:
            if threads // math.gcd(tasks, threads) == 1:
                p = plan(backward, x_shape, w.shape, window, groups, n, 1, 1)
            line, of_block = LINE // n, p.full.columns * taps * (F // groups if backward else w.shape[1])
            share = -(-(-(-p.scratch // line) * line + of_block + SLACK) // line) * line
            y, scratch = self.empty(made, n, True), self.empty((threads * share,), n)
            places = self.new((threads * (len(p.order) + 1),), 8)
            del scratch, places, bias, read
            return y
        if alone:
            columns = channel_tile(groups, n).columns
            packed = self.new((len(p.taps), -(-groups // columns) * columns), n)
        else:
            packed, places = self.empty((p.packed,), n), self.empty((tasks * len(p.order),), 8)
            del places
        y, scratch = self.empty(made, n, True), self.empty((threads * p.scratch + SLACK,), n)
        del packed, scratch, bias, read
        return y

    def _winograd(self, backward: bool, x: Ghost, x_shape: Shape, w: Ghost, b: Any, window: Window2d) -> Ghost:
        (N, C, *size), F, n = x_shape, w.shape[0], x.itemsize
        read, taps, (OH, OW) = self.dense(x), self.empty((9 * C * F,), n), window.output_size(size)
        H, W = size if backward else (OH, OW)
        threads = workers(N * -(-H // 2) * -(-W // 2) * 4 * C * F)
        weights, y = self.empty((winograd.POINTS * C * F + winograd.SLACK,), n), self.empty((N, C if backward else F, H, W), n, True)
        scratch = self.empty((threads * winograd.scratch(C, F, n),), n)
        del read, taps, weights, scratch
        return y

    def conv2d_grad_weight(self, dy: Ghost, x: Ghost, shape: Shape, window: Window2d, groups: int = 1) -> Ghost:
        n = x.itemsize
        if winograd.suits(x.shape, shape[0], window, groups, n):
            return self._winograd_weight(dy, x)
        dw, image, gradient = self.empty(shape, n), self.dense(x), self.dense(dy)
        if is_depthwise(x.shape[1], shape, groups):
            (KH, KW), tile, cut = shape[2:], channel_tile(groups, n), depthwise_cut(x.shape, window, n)[0]
            threads = workers(dy.size * KH * KW)
            if groups % tile.columns:
                gradient = self.new((dy.size + SLACK,), n)
            height = int((cut["band"] - 1) * cut["SH"] + (KH - 1) * cut["DH"] + 1)
            scratch = self.empty((threads * height * int(cut["width"]) * groups + SLACK,), n)
            sums = self.empty((int(cut["chunks"]) * KH * KW * (groups + tile.columns) + SLACK,), n)
            del scratch, sums, image, gradient
            return dw
        p = weight_plan(x.shape, shape, window, groups, n)
        if p.border:
            bordered = self.empty((x.shape[0] * x.shape[2] * p.border[1] * x.shape[1],), n)
            image = bordered
            del bordered
        sums = self.empty((p.sums + SLACK,), n)
        del sums, image, gradient
        return dw

    def _winograd_weight(self, dy: Ghost, x: Ghost) -> Ghost:
        (C, F), n = (x.shape[1], dy.shape[1]), x.itemsize
        taps = self.empty((winograd.sums(C, F, n),), n), self.empty((9 * C * F,), n)
        read, threads = (self.dense(x), self.dense(dy)), workers(dy.shape[0] * -(-dy.shape[2] // 2) * -(-dy.shape[3] // 2) * 4 * C * F)
        scratch = self.empty((threads * winograd.scratch(C, F, n),), n)
        del read, scratch, taps
        return self.empty((F, C, 3, 3), n)

    # pooling

    def max_pool2d(self, x: Ghost, window: Window2d) -> tuple[Ghost, Ghost]:
        shape = (*x.shape[:2], *window.output_size(x.shape[2:]))
        y, argmax = self.empty(shape, x.itemsize, True), self.empty(shape, 4, True)
        read = self.dense(x)
        del read
        return y, argmax

    def max_pool2d_grad(self, dy: Ghost, argmax: Ghost, shape: Shape, window: Window2d) -> Ghost:
        dx = self.empty(tuple(shape), dy.itemsize, True)
        read = self.dense(argmax), self.dense(dy)
        del read
        return dx

    def avg_pool2d(self, x: Ghost, window: Window2d, count_include_pad: bool = True, divisor_override: Any = None) -> Ghost:
        y = self.empty((*x.shape[:2], *window.output_size(x.shape[2:])), x.itemsize, True)
        read = self.dense(x)
        del read
        return y

    def avg_pool2d_grad(self, dy: Ghost, shape: Shape, window: Window2d, count_include_pad: bool = True,
                        divisor_override: Any = None) -> Ghost:
        dx = self.empty(tuple(shape), dy.itemsize, True)
        read = self.dense(dy)
        del read
        return dx

    # batch norm

    def batch_norm_statistics(self, x: Ghost) -> tuple[Ghost, Ghost]:
        C, threads = x.shape[1], workers(x.size)
        L, _, chunks = rows.cut(x.size, C, x.itemsize)
        read, lanes = self.dense(x), self.new((threads, 3, L), x.itemsize)
        sums = self.new((threads + chunks, 3, C), 8)
        del read, lanes, sums
        return self.new((C,), x.itemsize), self.new((C,), x.itemsize)

    def batch_norm(self, x: Ghost, gamma: Any, beta: Any, relu: bool = False) -> Ghost:
        y, read = self.empty(x.shape, x.itemsize, True), self.dense(x)
        lanes = self.new((3, rows.cut(x.size, x.shape[1], x.itemsize)[0]), x.itemsize)
        del read, lanes
        return y

    def batch_norm_grad(self, dy: Ghost, x: Ghost, gamma: Any, beta: Any, of_batch: bool, relu: bool,
                        inplace: bool = False) -> tuple[Ghost, Ghost, Ghost]:
        C, threads = x.shape[1], workers(x.size)
        L, _, chunks = rows.cut(x.size, C, x.itemsize)
        gradient = self.dense(dy)
        dx = gradient if inplace else self.empty(x.shape, x.itemsize, True)
        small, read = (self.new((6, L), x.itemsize), self.new((threads * L + chunks * C, 2), 8)), self.dense(x)
        del small, gradient, read
        return dx, self.new((C,), x.itemsize), self.new((C,), x.itemsize)

    def batch_norm_pool(self, x: Ghost, gamma: Any, beta: Any, window: Window2d) -> Ghost:
        y, read = self.empty((*x.shape[:2], *window.output_size(x.shape[2:])), x.itemsize, True), self.dense(x)
        del read
        return y

    def batch_norm_pool_grad(self, dy: Ghost, x: Ghost, gamma: Any, beta: Any, window: Window2d) -> tuple[Ghost, Ghost, Ghost]:
        C, dx, read = x.shape[1], self.empty(x.shape, x.itemsize, True), (self.dense(dy), self.dense(x))
        small = self.new((6, C), x.itemsize), self.new((TASKS + workers(x.size), 2, C), 8)
        del small, read
        return dx, self.new((C,), x.itemsize), self.new((C,), x.itemsize)

    # rows

    def linear(self, x: Ghost, w: Ghost, b: Any) -> Ghost:
        return self.empty((x.shape[0], w.shape[0]), x.itemsize)

    def linear_grad_input(self, dy: Ghost, w: Ghost) -> Ghost:
        return self._product(dy.shape[0], dy.shape[1], w.shape[1], dy.itemsize)

    def linear_grad_weight(self, dy: Ghost, x: Ghost) -> Ghost:
        return self._product(dy.shape[1], dy.shape[0], x.shape[1], dy.itemsize)

    def _product(self, R: int, K: int, I: int, itemsize: int) -> Ghost:
        size, count = registers()
        lanes = size // itemsize
        wide = (8 if R == 1 and 8 * lanes <= I and count >= 16 else 2) * lanes
        widened = self.new((K, wide), itemsize) if wide > I else None
        out = self.empty((R, I), itemsize)
        del widened
        return out

    def channel_sum(self, dy: Ghost) -> Ghost:
        C = dy.shape[1]
        pixels = self.dense(dy) if len(dy.shape) == 4 else dy
        db, sums = self.new((C,), dy.itemsize), self.empty((-(-(dy.size // C) // PIXELS) * C,), dy.itemsize)
        del pixels, sums
        return db

    def softmax_cross_entropy(self, x: Ghost, labels: Any) -> tuple[Ghost, Ghost]:
        return self.new(x.shape[:1], x.itemsize), self.empty(x.shape, x.itemsize)

    def softmax_cross_entropy_grad(self, dlosses: Ghost, probabilities: Ghost, labels: Any) -> Ghost:
        return self.empty(probabilities.shape, probabilities.itemsize)

    # optimisers work in place

    def sgd_step(self, p: Ghost, momentum: bool, weight_decay: bool) -> None:
        pass

    def adam_step(self, p: Ghost, weight_decay: bool) -> None:
        pass
