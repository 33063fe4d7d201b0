"""Layers that run as one: what a Sequential does with a Conv2d or a BatchNorm2d and the layers after it.

    Conv2d, ReLU                  max(y, 0) is taken where y is made: the same values and the same gradients, with a pass over y less
    BatchNorm2d, ReLU             likewise
    ..., MaxPool2d(2)             after these two in training: the largest of four is taken where they are made, nothing of their size is
                                  written, and backward finds the winners anew. Sums for the gradients round in another order
    Conv2d, BatchNorm2d [, ReLU]  in eval mode under no_grad(): y * scale + shift needs no pass either, for it is a convolution itself, with
                                  weights w * scale and the bias b * scale + shift. What comes out differs by rounding.

Only layers that nobody watches or has changed are fused: of these very classes, without hooks and without a forward of their own. Their
parameters stay theirs: the folded weights are computed at every call, which costs little beside the convolution.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.autograd import is_grad_enabled, quietly
from minicnn.nn.activation import ReLU
from minicnn.nn.conv import Conv2d
from minicnn.nn.module import Module
from minicnn.nn.normalization import BatchNorm2d
from minicnn.nn.pooling import MaxPool2d
from minicnn.tensor import Tensor


def run(modules: Sequence[Module], x: Any) -> Any:
    """modules[-1](...modules[1](modules[0](x))), in fewer steps where that is possible."""
    i = 0
    while i < len(modules):
        fused = None
        if _is_plain(modules[i], Conv2d):
            fused = _fused(modules[i], modules[i + 1:i + 3], x)
        elif i + 1 < len(modules) and _is_plain(modules[i + 1], ReLU) and _is_plain(modules[i], BatchNorm2d):
            pool = i + 2 < len(modules) and _is_pooled(modules[i], modules[i + 2], x)
            fused = modules[i].normalize(ops.batch_norm_pool if pool else ops.batch_norm_relu, x), 3 if pool else 2
        x, used = fused or (modules[i](x), 1)
        i += used
    return x


def _fused(conv: Any, after: Sequence[Module], x: Any) -> tuple[Any, int] | None:
    """The output of conv and of those of the (at most two) layers after it that can run with it, and how many layers that were."""
    norm = after[0] if after and _is_foldable(after[0], conv, x) else None
    rest = after[1:] if norm else after
    relu = bool(rest) and _is_plain(rest[0], ReLU)
    if not norm and not relu:
        return None
    weight, bias = _folded(conv, norm) if norm else (conv.weight, conv.bias)
    return conv.convolve(ops.conv2d_relu if relu else ops.conv2d, x, weight, bias), 1 + bool(norm) + relu


def _is_plain(module: Any, cls: type[Module]) -> bool:
    return type(module) is cls and not module._forward_hooks and not module._forward_pre_hooks and "forward" not in module.__dict__


def _is_pooled(norm: Any, pool: Any, x: Any) -> bool:
    """Whether norm, of the batch's own statistics, a ReLU and pool, with windows of 2 x 2 side by side, can be one operation."""
    if not norm.training or not _is_plain(pool, MaxPool2d) or pool.return_indices or pool.ceil_mode:
        return False
    options = (pool.kernel_size, 2), (pool.stride, 2), (pool.padding, 0), (pool.dilation, 1)
    plain = all(given in (value, (value, value), [value, value]) for given, value in options)
    return plain and isinstance(x, Tensor) and x.ndim == 4 and min(x.shape[2:]) >= 2


def _is_foldable(norm: Any, conv: Any, x: Any) -> bool:
    """Whether norm is a batch norm with constant statistics whose result nobody differentiates, and would not refuse what conv gives it."""
    if not _is_plain(norm, BatchNorm2d) or norm.training or norm.running_mean is None or norm.running_var is None or is_grad_enabled():
        return False
    vectors = (conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    fits = all(t is None or (t.shape == (norm.num_features,) and t.dtype == conv.weight.dtype) for t in vectors)
    return fits and conv.weight.shape[0] == norm.num_features and isinstance(x, Tensor) and x.ndim == 4


@quietly
def _folded(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does what conv and then norm do."""
    scale = 1 / np.sqrt(norm.running_var.array + norm.eps)
    if norm.weight is not None:
        scale *= norm.weight.array
    shift = (-norm.running_mean.array if conv.bias is None else conv.bias.array - norm.running_mean.array) * scale
    if norm.bias is not None:
        shift += norm.bias.array
    return Tensor(conv.weight.array * scale[:, None, None, None]), Tensor(shift)
