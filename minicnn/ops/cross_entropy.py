"""Cross-entropy of softmax: how many nats a prediction is away from the truth."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import record
from minicnn.ops.checks import floating
from minicnn.ops.class_labels import flat_classes, reduce_labelled, samples
from minicnn.ops.loss_reduction import reduce_loss
from minicnn.ops.softmax import log_softmax
from minicnn.tensor import Tensor


def cross_entropy_forward(x: Any, labels: Any, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """loss[n] = log(sum over k of exp(x[n, k])) - x[n, labels[n]]. Shapes: x (N, K), labels (N) in 0..K-1 -> (N).

    label_smoothing e: (1 - e) * loss[n] + e * the mean of what the loss would be for each of the K classes.
    """
    k = kernels.of(x)
    losses, probabilities = k.softmax_cross_entropy(x, labels)
    if label_smoothing:
        below = (x - x.max(axis=1, keepdims=True)).mean(axis=1)                      # the largest is 0, and its loss the logarithm's sum
        losses = (1 - label_smoothing) * losses - label_smoothing * (np.log(probabilities.max(axis=1)) + below)
    return losses, (k, probabilities, labels, label_smoothing)


def cross_entropy_backward(dlosses: Any, cache: Any) -> tuple[Any, None]:
    """dx[n, k] = dlosses[n] * (softmax(x[n])[k] - t[n, k]): what was predicted minus what is true.

    t[n, k] = (1 - e) * [k == labels[n]] + e / K, with label_smoothing e.
    """
    k, probabilities, labels, label_smoothing = cache
    dx = k.softmax_cross_entropy_grad(dlosses, probabilities, labels)
    if label_smoothing:
        share = label_smoothing * dlosses[:, None]                                   # (N, 1)
        dx += share * _one_hot(labels, dx.shape[1])
        dx -= share / dx.shape[1]
    return dx, None


def _one_hot(labels: Any, K: int) -> Any:
    """(N) -> (N, K): whether k is labels[n]."""
    return labels[:, None] == np.arange(K, like=labels)


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy between the true classes and softmax(x).

        loss[n] = - sum over k of t[n, k] * weight[k] * log softmax(x[n])[k]

    target: class indices (t is 1 at that class, 0 elsewhere), or probabilities t of x's shape. label_smoothing e: t becomes
    (1 - e) * t + e / K. weight: one a class. ignore_index: samples with this class count neither in the sum nor in the mean.
    reduction: 'mean' (divides by the sum of the weights of the true classes; for probabilities by the number of samples), 'sum', 'none'.

    Shapes: x (N, K), (N, K, d1, ...) or (K); indices (N), (N, d1, ...) or () -> a scalar, or with 'none' the shape of the indices.

    Raises TypeError for integer x or labels of the wrong dtype, ValueError for a label out of range or shapes that do not fit. On another
    device than the CPU a label out of range gives a loss of NaN: to find it, its values would have to be copied.
    """
    floating("cross_entropy", x=input, weight=weight)
    x, labels, shape = flat_classes("cross_entropy", input, target, weight, probabilities=True)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}: must be between 0 and 1")
    if labels.ndim == 2:                                                   # probabilities (M, K)
        return reduce_loss("cross_entropy", _against(labels, x, weight, label_smoothing).reshape(shape), reduction)
    K = x.shape[1]
    of = samples("cross_entropy", target, K, weight, ignore_index)
    if label_smoothing and weight is not None:                             # each class has a weight of its own
        losses = _against(Tensor(_one_hot(of.labels, K), dtype=x.dtype), x, weight, label_smoothing)
    else:
        losses = record(cross_entropy_forward, cross_entropy_backward, x, of.labels, label_smoothing=label_smoothing)
        losses = losses if weight is None else losses * Tensor(of.weights)
    return reduce_labelled("cross_entropy", losses, target, of, reduction)


def _against(t: Tensor, x: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """(M): - sum over k of t * weight * log softmax(x), with smoothed t."""
    t = t * (1 - label_smoothing) + label_smoothing / x.shape[1] if label_smoothing else t
    t = t if weight is None else t * weight
    return -(t * log_softmax(x, 1)).sum(1)
