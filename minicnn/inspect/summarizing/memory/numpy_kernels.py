"""What the functions of numpy_backend allocate, in their order: each line here is a line there, with sizes for values.

A temporary array of 256 KiB or more is written over by the next operation on it, where shapes are equal (NumPy's temporary elision), on
builds of Python whose calls NumPy can look into.
"""
from __future__ import annotations

import functools
import math
import tracemalloc
from itertools import islice
from typing import Any

import numpy as np

from minicnn.inspect.summarizing.memory.ledger import Block, Ghost, Ledger
from minicnn.kernels.numpy_backend.conv2d import _blocks
from minicnn.kernels.window import Window2d

ELIDED = 256 * 1024
BUFFER = np.getbufsize()       # numbers that a sum of strided arrays takes at a time, through a buffer for each strided operand

Shape = tuple[int, ...]


@functools.cache
def elides() -> bool:
    """Whether this NumPy, in this Python, writes over large temporary arrays: found out with one of them."""
    if tracemalloc.is_tracing():
        return False                                           # somebody else's measurement; and most builds do not
    a = np.ones(2 * ELIDED, np.uint8)
    tracemalloc.start()
    b = (a + a) + a
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak < b.nbytes * 3 // 2


class NumPyKernels:
    """The functions of the contract of `minicnn.kernels`, on ghosts."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def new(self, shape: Shape, itemsize: int = 4) -> Ghost:
        return Ghost(Block(self.ledger, math.prod(shape) * itemsize), shape, itemsize)

    def like(self, x: Ghost) -> Ghost:
        return self.new(x.shape, x.itemsize)

    def reshaped(self, x: Ghost, shape: Shape) -> Ghost:
        """A view where memory lies in C order, else a copy."""
        return x.view(shape) if x.is_c else self.new(shape, x.itemsize)

    def _over(self, x: Ghost) -> Ghost:
        """The result of an operation on a temporary of equal shape."""
        return x if x.nbytes >= ELIDED and elides() else self.like(x)

    def _buffers(self, strided: int, size: int, itemsize: int) -> Ghost:
        return self.new((strided, min(size, BUFFER)), itemsize)

    def _padded(self, shape: Shape, window: Window2d, itemsize: int) -> Ghost | None:
        size = window.padded_size(shape[2:])
        return self.new((*shape[:2], *size), itemsize) if size != tuple(shape[2:]) else None

    # elementwise

    def relu(self, x: Ghost) -> Ghost:
        return self.like(x)

    def relu_grad(self, dy: Ghost, y: Ghost, inplace: bool = False) -> Ghost:
        mask = self.new(y.shape, 1)
        del y
        dx = dy if inplace else self.like(dy)
        del mask
        return dx

    def add(self, a: Ghost, b: Ghost, relu: bool = False) -> Ghost:
        y = self.like(a)
        return self.like(y) if relu else y

    # convolution

    def conv2d(self, x: Ghost, w: Ghost, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Ghost:
        size = window.output_size(x.shape[2:])
        y = self.new((x.shape[0], w.shape[0], *size), x.itemsize)
        cols = None
        for B in self._batches(x.shape, window, x.itemsize):
            cols = self._im2col((B, *x.shape[1:]), window, x.itemsize)
        del cols
        return y

    def conv2d_grad_weight(self, dy: Ghost, x: Ghost, shape: Shape, window: Window2d, groups: int = 1) -> Ghost:
        dyg = self.reshaped(dy, (dy.size,))
        dw = self.new(shape, x.itemsize)
        cols = None
        for B in self._batches(x.shape, window, x.itemsize):
            cols = self._im2col((B, *x.shape[1:]), window, x.itemsize)
            product = self.new((B, *shape), x.itemsize)
            total = self.new(shape, x.itemsize)
            del product, total
        del cols, dyg
        return dw

    def conv2d_grad_input(self, dy: Ghost, w: Ghost, shape: Shape, window: Window2d, groups: int = 1) -> Ghost:
        dyg = self.reshaped(dy, (dy.size,))
        dx = self.new(tuple(shape), dy.itemsize)
        (KH, KW), (OH, OW), cols = window.kernel, window.output_size(shape[2:]), None
        for B in self._batches(shape, window, dy.itemsize):
            cols = self.new((B, shape[1], KH, KW, OH, OW), dy.itemsize)
            padded = self.new((B, shape[1], *window.padded_size(shape[2:])), dy.itemsize)
            buffers = self._buffers(3, B * shape[1] * OH * OW, dy.itemsize)
            del padded, buffers
        del cols, dyg
        return dx

    def _batches(self, shape: Shape, window: Window2d, itemsize: int) -> list[int]:
        """The images of the first two blocks: while the second one is made the first is still there, and more there never is."""
        return [min(block.stop, shape[0]) - block.start for block in islice(_blocks(shape, window, itemsize), 2)]

    def _im2col(self, shape: Shape, window: Window2d, itemsize: int) -> Ghost:
        padded = self._padded(shape, window, itemsize)
        cols = self.new((*shape[:2], *window.kernel, *window.output_size(shape[2:])), itemsize)
        del padded
        return cols

    # pooling

    def max_pool2d(self, x: Ghost, window: Window2d) -> tuple[Ghost, Ghost]:
        padded, index = self._padded(x.shape, window, x.itemsize), self.new(window.padded_size(x.shape[2:]), 8)
        shape = (*x.shape[:2], *window.output_size(x.shape[2:]))
        y, argmax = self.new(shape, x.itemsize), self.new(shape, 8)
        better = None
        for _ in range(min(2, math.prod(window.kernel))):      # the second offset's while the first one's are still there
            larger, is_nan = self.new(shape, 1), self.new(shape, 1)
            better = self._over(larger)
            del larger, is_nan
        del padded, index, better
        return y, argmax

    def max_pool2d_grad(self, dy: Ghost, argmax: Ghost, shape: Shape, window: Window2d) -> Ghost:
        size = window.padded_size(shape[2:])
        index, padded = self.new(size, 8), self.new((*shape[:2], *size), dy.itemsize)
        won = self.new(dy.shape, 1)
        given = self.like(dy)
        buffers = self._buffers(2, dy.size, dy.itemsize)
        del won, given, index, buffers
        return self._cropped(padded, shape)

    def avg_pool2d(self, x: Ghost, window: Window2d, count_include_pad: bool = True, divisor_override: Any = None) -> Ghost:
        padded = self._padded(x.shape, window, x.itemsize)
        total = self.new((*x.shape[:2], *window.output_size(x.shape[2:])), x.itemsize)
        buffers = self._buffers(1, total.size, x.itemsize)
        del buffers
        y = self.like(total)
        del padded, total
        return y

    def avg_pool2d_grad(self, dy: Ghost, shape: Shape, window: Window2d, count_include_pad: bool = True,
                        divisor_override: Any = None) -> Ghost:
        share, padded = self.like(dy), self.new((*shape[:2], *window.padded_size(shape[2:])), dy.itemsize)
        buffers = self._buffers(2, dy.size, dy.itemsize)
        del share, buffers
        return self._cropped(padded, shape)

    def _cropped(self, padded: Ghost, shape: Shape) -> Ghost:
        return Ghost(padded.block, tuple(shape), padded.itemsize, gaps=padded.shape != tuple(shape))

    # batch norm

    def batch_norm_statistics(self, x: Ghost) -> tuple[Ghost, Ghost]:
        centred = self.like(x)
        square = self.like(x)
        del centred, square
        return self.new(x.shape[1:2], x.itemsize), self.new(x.shape[1:2], x.itemsize)

    def batch_norm(self, x: Ghost, gamma: Any, beta: Any, relu: bool = False) -> Ghost:
        centred = self.like(x)
        y = self.like(x)
        del centred
        if beta is not None:
            y = self.like(y)
        return self.like(y) if relu else y

    def batch_norm_pool(self, x: Ghost, gamma: Any, beta: Any, window: Window2d) -> Ghost:
        y, argmax = self.max_pool2d(self.batch_norm(x, gamma, beta, True), window)
        del argmax
        return y

    def batch_norm_pool_grad(self, dy: Ghost, x: Ghost, gamma: Any, beta: Any, window: Window2d) -> tuple[Ghost, Ghost, Ghost]:
        _, argmax = self.max_pool2d(self.batch_norm(x, gamma, beta, True), window)
        return self.batch_norm_grad(self.max_pool2d_grad(dy, argmax, x.shape, window), x, gamma, beta, True, True)

    def batch_norm_grad(self, dy: Ghost, x: Ghost, gamma: Any, beta: Any, of_batch: bool, relu: bool,
                        inplace: bool = False) -> tuple[Ghost, Ghost, Ghost]:
        if relu:
            dy = self.relu_grad(dy, self.batch_norm(x, gamma, beta))
        centred = self.like(x)
        x_hat = self.like(x)
        del centred
        product = self.like(x)                                 # dy * x_hat, to be summed
        del product
        dx = dy
        if of_batch:
            first, second = self.like(x), self.like(x)
            dx = self._over(first)
            del first, second
        scaled = self.like(x)
        del x_hat, dx
        return scaled, self.new(x.shape[1:2], x.itemsize), self.new(x.shape[1:2], x.itemsize)

    # rows

    def linear(self, x: Ghost, w: Ghost, b: Any) -> Ghost:
        return self.new((x.shape[0], w.shape[0]), x.itemsize)

    def linear_grad_input(self, dy: Ghost, w: Ghost) -> Ghost:
        return self.new((dy.shape[0], w.shape[1]), dy.itemsize)

    def linear_grad_weight(self, dy: Ghost, x: Ghost) -> Ghost:
        return self.new((dy.shape[1], x.shape[1]), dy.itemsize)

    def channel_sum(self, dy: Ghost) -> Ghost:
        return self.new(dy.shape[1:2], dy.itemsize)

    def softmax_cross_entropy(self, x: Ghost, labels: Any) -> tuple[Ghost, Ghost]:
        shifted, exp = self.like(x), self.like(x)
        losses, probabilities = self.new(x.shape[:1], x.itemsize), self.like(x)
        del shifted, exp
        return losses, probabilities

    def softmax_cross_entropy_grad(self, dlosses: Ghost, probabilities: Ghost, labels: Any) -> Ghost:
        one_hot, difference = self.new(probabilities.shape, 1), self.like(probabilities)
        dx = self.like(probabilities)
        del one_hot, difference
        return dx

    # optimisers

    def sgd_step(self, p: Ghost, momentum: bool, weight_decay: bool) -> None:
        decayed = self._decayed(p) if weight_decay else None
        step = self.like(p)                                    # lr * g, and before it (1 - dampening) * g
        del step, decayed

    def adam_step(self, p: Ghost, weight_decay: bool) -> None:
        decayed = self._decayed(p) if weight_decay else None
        square, scaled = self.like(p), self.like(p)            # a product with a number is a new array
        del square, scaled
        mean, root = self.like(p), self.like(p)
        unbiased = self.like(p)
        del mean, root, unbiased, decayed

    def _decayed(self, p: Ghost) -> Ghost:
        scaled = self.like(p)                                  # weight_decay * p
        g = self._over(scaled)
        del scaled
        return g
