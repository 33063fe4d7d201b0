"""torch.nn.functional's names and arguments. The mathematics is in `minicnn.ops`; here is only what torch's calling convention adds.

`inplace=True` gives the result to the input tensor too, as in torch; it saves no memory here.
"""
from __future__ import annotations

from typing import Any

from minicnn import ops
from minicnn.ops import (
    avg_pool2d,
    batch_norm,
    conv2d,
    cross_entropy,
    gelu,
    linear,
    log_softmax,
    max_pool2d,
    softmax,
)
from minicnn.tensor import Tensor

__all__ = [
    "avg_pool2d", "batch_norm", "conv2d", "cross_entropy", "dropout", "dropout2d", "elu", "gelu", "hardswish", "leaky_relu", "linear",
    "log_softmax", "max_pool2d", "relu", "silu", "softmax",
]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0): `minicnn.ops.relu`."""
    return _result(ops.relu(input), input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x: `minicnn.ops.leaky_relu`."""
    return _result(ops.leaky_relu(input, negative_slope), input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1): `minicnn.ops.elu`."""
    return _result(ops.elu(input, alpha), input, inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + exp(-x)): `minicnn.ops.silu`."""
    return _result(ops.silu(input), input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * min(max(x + 3, 0), 6) / 6: `minicnn.ops.hardswish`."""
    return _result(ops.hardswish(input), input, inplace)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set values to 0 with probability p and scale up the others: `minicnn.ops.dropout`."""
    return _result(ops.dropout(input, p, training), input, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set whole channels to 0 with probability p and scale up the others: `minicnn.ops.dropout2d`."""
    return _result(ops.dropout2d(input, p, training), input, inplace)


def _result(y: Tensor, x: Tensor, inplace: bool) -> Any:
    return x._become(y) if inplace and y is not x else y
