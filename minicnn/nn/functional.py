"""torch.nn.functional's names and arguments. The mathematics is in `minicnn.ops`; here is only what torch's calling convention adds.

`inplace=True` gives the result to the input tensor too, as in torch; it saves no memory here.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.ops import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    batch_norm,
    binary_cross_entropy_with_logits,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    fold,
    gelu,
    group_norm,
    interpolate,
    l1_loss,
    layer_norm,
    linear,
    log_softmax,
    logsigmoid,
    max_pool2d,
    mse_loss,
    nll_loss,
    pad,
    sigmoid,
    smooth_l1_loss,
    softmax,
    tanh,
    unfold,
)
from minicnn.ops.checks import label_range
from minicnn.tensor import Tensor

__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "conv2d",
    "conv_transpose2d", "cross_entropy", "dropout", "dropout2d", "elu", "fold", "gelu", "group_norm", "hardswish", "interpolate", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool2d", "mse_loss", "nll_loss", "normalize", "one_hot", "pad",
    "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "tanh", "unfold",
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


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """y[..., k] = 1 where k is the label, else 0. Shapes: labels (...) -> int64 (..., K); num_classes -1: K is the largest label + 1.

    Raises TypeError for labels that are not integers, ValueError for one out of range.
    """
    labels = tensor.array
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: labels must be integers, got {labels.dtype}: convert them with .long()")
    if num_classes < 0 and not labels.size:
        raise ValueError("one_hot: no labels to find the number of classes from: give num_classes")
    K = num_classes if num_classes >= 0 else int(labels.max().item()) + 1
    label_range("one_hot", labels, K)
    return Tensor((labels[..., None] == np.arange(K, like=labels)).astype(np.int64))


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm, eps), with norm = (sum of |x|^p along dim)^(1/p): every row gets length 1, a row of zeros stays 0."""
    smallest = max(eps**p, float(np.finfo(input.dtype).tiny))          # of the sum: the root of 0 has no slope
    total = (input * input if p == 2 else input.abs() ** p).sum(dim, keepdim=True).clamp(min=smallest)
    return input / (total.sqrt() if p == 2 else total ** (1 / p))
