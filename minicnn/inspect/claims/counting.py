"""What the claims count: weights and output values of layers that are built, though not always filled or run."""
from __future__ import annotations

import math

import numpy as np

from minicnn import nn
from minicnn.inspect.recorder import example_input, record
from minicnn.kernels.window import Window2d
from minicnn.tensor import Tensor


class Linear(nn.Linear):
    """One zero that passes for all weights, so billions of them take neither time nor memory: to be counted, not to be run."""

    def __init__(self, in_features: int, out_features: int) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(Tensor(np.broadcast_to(np.float32(0), (out_features, in_features))))
        self.bias = nn.Parameter(Tensor(np.broadcast_to(np.float32(0), (out_features,))))


def parameters(module: nn.Module) -> int:
    """Weights and biases."""
    return sum(p.numel() for p in module.parameters())


def weights(module: nn.Module) -> int:
    """Parameters without biases."""
    return sum(p.numel() for name, p in module.named_parameters() if not name.endswith("bias"))


def biases(module: nn.Module) -> int:
    return parameters(module) - weights(module)


def taps(conv: nn.Conv2d) -> int:
    """How many input values one output value is a sum over: C/G·KH·KW."""
    return conv.weight[0].numel()


def positions(conv: nn.Conv2d, image: tuple[int, int]) -> int:
    """Pixels of each output channel, for an image of that size."""
    return math.prod(Window2d.of(conv.kernel_size, conv.stride, conv.padding, conv.dilation).output_size(image))


def unshared(conv: nn.Conv2d, image: tuple[int, int]) -> int:
    """Weights of the locally connected layer: every output value has taps of its own, those on padding included."""
    return conv.out_channels * positions(conv, image) * taps(conv)


def output_shape(module: nn.Module, *input_shape: int) -> tuple[int, ...]:
    """(C, H, W) of what it gives for one image, by running it."""
    return record(module, example_input(input_shape)).output.shape[1:]
