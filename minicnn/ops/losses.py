"""Losses on Tensors, each composed of simpler operations: their gradients follow from those."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.activation import logsigmoid
from minicnn.ops.checks import a_tensor, floating
from minicnn.ops.class_labels import flat_classes, reduce_labelled, samples
from minicnn.ops.loss_reduction import reduce_loss
from minicnn.tensor import Tensor


def nll_loss_forward(x: Any, labels: Any) -> tuple[Any, Any]:
    """loss[n] = -x[n, labels[n]]. Shapes: x (N, K), labels (N) -> (N)."""
    return -np.take_along_axis(x, labels[:, None], axis=1)[:, 0], (x.shape, labels)


def nll_loss_backward(dlosses: Any, cache: Any) -> tuple[Any, None]:
    """dx[n, k] = -dlosses[n] where k = labels[n], else 0."""
    shape, labels = cache
    dx = np.zeros_like(dlosses, shape=shape)
    np.put_along_axis(dx, labels[:, None], -dlosses[:, None], axis=1)
    return dx, None


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of the true classes: loss[n] = -weight[target[n]] * x[n, target[n]], x being log-probabilities.

    cross_entropy is this after log_softmax; shapes, weight, ignore_index, reduction and errors are the same as there.
    """
    floating("nll_loss", x=input, weight=weight)
    x, _, _ = flat_classes("nll_loss", input, target, weight)
    of = samples("nll_loss", target, x.shape[1], weight, ignore_index)
    losses = record(nll_loss_forward, nll_loss_backward, x, of.labels)
    losses = losses if weight is None else losses * Tensor(of.weights)
    return reduce_labelled("nll_loss", losses, target, of, reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x - target)², of equal shapes; reduction: 'mean', 'sum' or 'none'."""
    d = _difference("mse_loss", input, target)
    return reduce_loss("mse_loss", d * d, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|x - target|, of equal shapes; reduction: 'mean', 'sum' or 'none'."""
    return reduce_loss("l1_loss", _difference("l1_loss", input, target).abs(), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d = |x - target|: d²/(2*beta) where d < beta, else d - beta/2 (Girshick, 2015). Shapes equal; reduction: 'mean', 'sum' or 'none'."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}: must be at least 0")
    d = _difference("smooth_l1_loss", input, target).abs()
    losses = d if beta == 0 else (d * d * (0.5 / beta)).where(d < beta, d - 0.5 * beta)
    return reduce_loss("smooth_l1_loss", losses, reduction)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """-weight * (pos_weight * t * log s(x) + (1 - t) * log(1 - s(x))), s the sigmoid; 1 - s(x) = s(-x), so nothing is rounded to log(0).

    Shapes: x and target t equal; weight and pos_weight broadcast to them. reduction: 'mean', 'sum' or 'none'.
    """
    op = "binary_cross_entropy_with_logits"
    _equal_shapes(op, input, target)
    floating(op, x=input, target=target, weight=weight, pos_weight=pos_weight)
    positive = target if pos_weight is None else target * pos_weight
    losses = -(positive * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduce_loss(op, losses if weight is None else losses * weight, reduction)


def _difference(op: str, x: Tensor, target: Tensor) -> Tensor:
    _equal_shapes(op, x, target)
    floating(op, x=x, target=target)
    return x - target


def _equal_shapes(op: str, x: Tensor, target: Tensor) -> None:
    a_tensor(op, "x", x)
    a_tensor(op, "target", target)
    if x.shape != target.shape:
        raise ValueError(f"{op}: x has shape {x.shape}, target {target.shape}: they must be equal, broadcasting would mix samples")
