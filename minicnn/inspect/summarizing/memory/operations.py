"""Forward and backward of each operation on ghosts: what minicnn.ops does with the kernels, without numbers.

forward(k, step, inputs, held) -> y, cache        backward(k, step, dy, cache, inplace) -> gradients, in the order of the inputs
"""
from __future__ import annotations

import math
from typing import Any

from minicnn.inspect.summarizing.memory.ledger import Ghost
from minicnn.inspect.summarizing.memory.numpy_kernels import NumPyKernels
from minicnn.inspect.summarizing.memory.tape import Step
from minicnn.kernels.window import Window2d

Gradients = tuple[Ghost | None, ...]


class Operation:
    """One that is not known here: a new array for the result and whatever it saves; in backward one for each gradient and one beside."""

    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        y = inputs[0].view(step.shape) if step.is_view and inputs and inputs[0] is not None else k.new(step.shape, _itemsize(inputs))
        own = [k.new(shape, size) for shape, size in step.own]
        read = [x and (x.shape, x.itemsize) for x in inputs]
        return y, (read, own, [held[i] for i in step.saves if i in held], y if step.keeps_result else None)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        beside = None if step.name in BARE else k.like(dy)
        gradients = tuple(None if e is None or x is None else k.new(*x) for e, x in zip(step.edges, cache[0], strict=True))
        del beside
        return gradients


class Conv2d(Operation):
    def __init__(self, relu: bool) -> None:
        self.relu = relu

    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x, w, b = inputs
        y = k.conv2d(x, w, b, step.options["window"], step.options["groups"], self.relu)
        return y, (y if self.relu else None, x, w, b is not None)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        y, x, w, has_bias = cache
        needs, window, groups = [e is not None for e in step.edges], step.options["window"], step.options["groups"]
        del cache
        if self.relu:
            dy = k.relu_grad(dy, y, inplace)
        del y
        dx = k.conv2d_grad_input(dy, w, x.shape, window, groups) if needs[0] else None
        dw = k.conv2d_grad_weight(dy, x, w.shape, window, groups) if needs[1] else None
        return dx, dw, k.channel_sum(dy) if has_bias and needs[2] else None


class ConvTranspose2d(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x, w, b = inputs
        y = k.conv2d_grad_input(x, w, step.shape, step.options["window"], step.options["groups"])
        if b is not None:
            y = Ghost(k.like(y).block, y.shape, y.itemsize, y.channels_last)
        return y, (x, w, b is not None)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        x, w, has_bias = cache
        needs, window, groups = [e is not None for e in step.edges], step.options["window"], step.options["groups"]
        dx = k.conv2d(dy, w, None, window, groups) if needs[0] else None
        dw = k.conv2d_grad_weight(x, dy, w.shape, window, groups) if needs[1] else None
        return dx, dw, k.channel_sum(dy) if has_bias and needs[2] else None


class MaxPool2d(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        y, argmax = k.max_pool2d(inputs[0], step.options["window"])
        return y, (argmax, inputs[0].shape)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return (k.max_pool2d_grad(dy, cache[0], cache[1], step.options["window"]),)


class AvgPool2d(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        return k.avg_pool2d(inputs[0], _window(step, inputs[0].shape)), inputs[0].shape

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return (k.avg_pool2d_grad(dy, cache, _window(step, cache)),)


class BatchNorm(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x, gamma, beta = inputs
        planes = _planes(x)
        statistics = k.batch_norm_statistics(planes)
        y = k.batch_norm(planes, gamma, beta, step.options.get("relu", False))
        return Ghost(y.block, x.shape, y.itemsize, y.channels_last and len(x.shape) == 4), (x, gamma, beta, statistics)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        x, gamma, beta, _ = cache
        of_batch, relu = step.options.get("mean") is None, step.options.get("relu", False)
        dx, dgamma, dbeta = k.batch_norm_grad(_planes(dy), _planes(x), gamma, beta, of_batch, relu, inplace)
        dx = Ghost(dx.block, x.shape, dx.itemsize, dx.channels_last and len(x.shape) == 4)
        return dx, None if gamma is None else dgamma, None if beta is None else dbeta


class BatchNormPool(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x, gamma, beta = inputs
        statistics = k.batch_norm_statistics(x)
        return k.batch_norm_pool(x, gamma, beta, WINDOW), (x, gamma, beta, statistics)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, *_: Any) -> Gradients:
        x, gamma, beta, _statistics = cache
        dx, dgamma, dbeta = k.batch_norm_pool_grad(dy, x, gamma, beta, WINDOW)
        return dx, None if gamma is None else dgamma, None if beta is None else dbeta


class ReLU(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        y = k.relu(inputs[0])
        return y, y

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return (k.relu_grad(dy, cache, inplace),)


class Add(Operation):
    def __init__(self, relu: bool) -> None:
        self.relu = relu

    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        if None in inputs or inputs[0].shape != inputs[1].shape:
            return super().forward(k, step, inputs, held)
        y = k.add(inputs[0], inputs[1], self.relu)
        return y, (y if self.relu else None,)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        if len(cache) > 1:
            return super().backward(k, step, dy, cache, inplace)
        dx = k.relu_grad(dy, cache[0], inplace) if self.relu else dy
        return dx, dx


class Linear(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x, w, b = inputs
        rows = x if len(x.shape) == 2 else k.reshaped(x, (math.prod(x.shape[:-1]), x.shape[-1]))
        return k.linear(rows, w, b).view(step.shape), (rows, w, b is not None, x.shape)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        rows, w, has_bias, shape = cache
        needs = [e is not None for e in step.edges]
        dy = dy if len(dy.shape) == 2 else k.reshaped(dy, (rows.shape[0], w.shape[0]))
        dx = k.linear_grad_input(dy, w).view(shape) if needs[0] else None
        dw = k.linear_grad_weight(dy, rows) if needs[1] else None
        return dx, dw, k.channel_sum(dy) if has_bias and needs[2] else None


class Reshape(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        return k.reshaped(inputs[0], step.shape), inputs[0].shape

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return (k.reshaped(dy, cache),)


class Dropout(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        x = inputs[0]
        shape = next((s for s, _ in step.own), x.shape)
        drawn, spared = k.new(shape, 4), k.new(shape, 1)
        del drawn
        mask = k.new(shape, x.itemsize)
        del spared
        scaled, y = k.new(shape, x.itemsize), k.like(x)
        y.channels_last = x.channels_last and math.prod(shape) != x.size
        del mask
        return y, scaled

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return (k.like(dy),)


class CrossEntropy(Operation):
    def forward(self, k: NumPyKernels, step: Step, inputs: list[Any], held: dict[int, Ghost]) -> tuple[Ghost, Any]:
        return k.softmax_cross_entropy(inputs[0], None)

    def backward(self, k: NumPyKernels, step: Step, dy: Ghost, cache: Any, inplace: bool) -> Gradients:
        return k.softmax_cross_entropy_grad(dy, cache, None), None


def _itemsize(inputs: list[Any]) -> int:
    return next((i.itemsize for i in inputs if i is not None), 4)


def _planes(x: Ghost) -> Ghost:
    return x if len(x.shape) == 4 else Ghost(x.block, (*x.shape[:2], math.prod(x.shape[2:]), 1), x.itemsize, gaps=x.gaps)


def _window(step: Step, x_shape: tuple[int, ...]) -> Window2d:
    """Of an average pooling: that of an adaptive one if its bins are windows side by side."""
    if step.name == "avg_pool2d":
        window: Window2d = step.options["window"]
        return window
    bins = tuple(n // o for n, o in zip(x_shape[2:], step.options["output_size"], strict=True))
    return Window2d.of(bins, bins)


def operation(step: Step, x_shape: tuple[int, ...]) -> Operation:
    """How `step` is simulated."""
    if None in step.inputs[:2 if step.name in ("conv2d", "conv2d_relu", "conv_transpose2d", "linear") else 1]:
        return OTHER                                           # a constant of which nothing is known
    if step.name == "adaptive_avg_pool2d" and any(n % o for n, o in zip(x_shape[2:], step.options["output_size"], strict=True)):
        return OTHER
    return KNOWN.get(step.name, OTHER)


OTHER = Operation()
WINDOW = Window2d.of(2, 2)      # of batch_norm_pool
BARE = ("mul", "sub", "neg", "clone", "permute", "getitem", "sum", "mean", "expand")     # their gradients need nothing beside them
KNOWN: dict[str, Operation] = {
    "conv2d": Conv2d(False), "conv2d_relu": Conv2d(True), "conv_transpose2d": ConvTranspose2d(), "max_pool2d": MaxPool2d(),
    "avg_pool2d": AvgPool2d(), "adaptive_avg_pool2d": AvgPool2d(), "batch_norm": BatchNorm(),
    "batch_norm_pool": BatchNormPool(), "relu": ReLU(), "add": Add(False),
    "add_relu": Add(True), "linear": Linear(), "reshape": Reshape(), "dropout": Dropout(), "cross_entropy": CrossEntropy(),
}
