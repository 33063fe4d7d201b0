"""Cross-entropy of softmax: how many nats a prediction is away from the truth."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import record
from minicnn.ops.checks import floating, label_range
from minicnn.ops.loss_reduction import reduce_loss, reduce_weighted
from minicnn.ops.softmax import log_softmax
from minicnn.tensor import Tensor


def cross_entropy_forward(x: Any, labels: Any) -> tuple[Any, Any]:
    """loss[n] = log(sum over k of exp(x[n, k])) - x[n, labels[n]]. Shapes: x (N, K), labels (N) in 0..K-1 -> (N)."""
    k = kernels.of(x)
    losses, probabilities = k.softmax_cross_entropy(x, labels)
    return losses, (k, probabilities, labels)


def cross_entropy_backward(dlosses: Any, cache: Any) -> tuple[Any, None]:
    """dx[n, k] = dlosses[n] * (softmax(x[n])[k] - [k == labels[n]]): what was predicted minus what is true."""
    k, probabilities, labels = cache
    return k.softmax_cross_entropy_grad(dlosses, probabilities, labels), None


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """The cross-entropy between the true classes and softmax(x).

        loss[n] = - sum over k of t[n, k] * weight[k] * log softmax(x[n])[k]

    target: class indices (t is 1 at that class, 0 elsewhere), or probabilities t of x's shape. label_smoothing e: t becomes
    (1 - e) * t + e / K. weight: one a class. ignore_index: samples with this class count neither in the sum nor in the mean.
    reduction: 'mean' (divides by the sum of the weights of the true classes; for probabilities by the number of samples), 'sum', 'none'.

    Shapes: x (N, K), (N, K, d1, ...) or (K); indices (N), (N, d1, ...) or () -> a scalar, or with 'none' the shape of the indices.

    Raises TypeError for integer x or labels of the wrong dtype, ValueError for a label out of range or shapes that do not fit.
    """
    floating("cross_entropy", x=input, weight=weight)
    x, labels, shape = flat_classes("cross_entropy", input, target, weight, probabilities=True)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}: must be between 0 and 1")
    K = x.shape[1]
    if labels.ndim == 2:                                                   # probabilities (M, K)
        losses = _against(labels, x, weight, label_smoothing)
        return reduce_loss("cross_entropy", losses.reshape(shape), reduction)
    label_range("cross_entropy", target.data, K, ignore_index)
    kept = labels.data != ignore_index
    safe = np.where(kept, labels.data, 0)
    sample_weights = kept.astype(x.dtype) if weight is None else np.where(kept, weight.data[safe], 0)
    if label_smoothing:
        one_hot = Tensor((safe[:, None] == np.arange(K, like=safe)).astype(x.dtype))
        losses = _against(one_hot, x, weight, label_smoothing)
    else:
        losses = record(cross_entropy_forward, cross_entropy_backward, x, safe)
        losses = losses if weight is None else losses * Tensor(sample_weights)
    return reduce_weighted("cross_entropy", losses, kept, sample_weights, reduction, shape)


def _against(t: Tensor, x: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """(M): - sum over k of t * weight * log softmax(x), with smoothed t."""
    t = t * (1 - label_smoothing) + label_smoothing / x.shape[1] if label_smoothing else t
    t = t if weight is None else t * weight
    return -(t * log_softmax(x, 1)).sum(1)


def flat_classes(op: str, x: Tensor, target: Tensor, weight: Tensor | None, probabilities: bool = False) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """x (N, K, d1, ...) -> (M, K) and target (N, d1, ...) -> (M) with M = N*d1*...; probabilities go the way of x. Also the shape of the losses."""
    if x.ndim < 1:
        raise ValueError(f"{op}: x must be (N, K), (N, K, d1, ...) or (K), got shape {x.shape}")
    axis = 0 if x.ndim == 1 else 1
    K, shape = x.shape[axis], x.shape[:axis] + x.shape[axis + 1:]
    if weight is not None and weight.shape != (K,):
        raise ValueError(f"{op}: x has {K} classes (shape {x.shape}), so weight must be ({K},), got {weight.shape}")
    if target.shape == x.shape and probabilities:
        if target.dtype.kind != "f":
            raise TypeError(f"{op}: target has the shape of x, so it holds probabilities and must be floating point, but it is {target.dtype}")
        return _rows(x, axis), _rows(target, axis), shape
    if target.shape != shape:
        or_probabilities = f" or probabilities {x.shape}" if probabilities else ""
        raise ValueError(f"{op}: x has shape {x.shape}, so target must be class indices {shape}{or_probabilities}, got {target.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: class indices must be integers, target is {target.dtype}: convert it with .long()")
    return _rows(x, axis), target.reshape(-1), shape


def _rows(x: Tensor, axis: int) -> Tensor:
    """(N, K, d1, ...) -> (M, K): the class axis goes last, all others into one."""
    if x.ndim > 2:
        x = x.permute(0, *range(2, x.ndim), 1)
    return x.reshape(-1, x.shape[-1])
