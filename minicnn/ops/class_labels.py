"""What cross_entropy and nll_loss share: inputs of any shape as rows of classes, labels checked, ignored samples and class weights."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minicnn.kernels import devices
from minicnn.ops.checks import a_tensor, label_range
from minicnn.ops.loss_reduction import reduce_loss
from minicnn.tensor import Tensor

Shape = tuple[int, ...]


def flat_classes(op: str, x: Tensor, target: Tensor, weight: Tensor | None, probabilities: bool = False) -> tuple[Tensor, Tensor, Shape]:
    """x (N, K, d1, ...) -> (M, K) and target (N, d1, ...) -> (M), or probabilities like x; M = N*d1*... Also the shape of the losses."""
    a_tensor(op, "target", target)
    if x.ndim < 1:
        raise ValueError(f"{op}: x must be (N, K), (N, K, d1, ...) or (K), got shape {x.shape}")
    axis = 0 if x.ndim == 1 else 1
    K, shape = x.shape[axis], x.shape[:axis] + x.shape[axis + 1:]
    if K == 0:
        raise ValueError(f"{op}: x has no classes (shape {x.shape}): axis {axis} is empty")
    if weight is not None and weight.shape != (K,):
        raise ValueError(f"{op}: x has {K} classes (shape {x.shape}), so weight must be ({K},), got {weight.shape}")
    if target.shape == x.shape and probabilities:
        if target.dtype.kind != "f":
            raise TypeError(f"{op}: target has x's shape {x.shape}, so it must hold probabilities (floats), but it is {target.dtype}")
        return _rows(x), _rows(target), shape
    if target.shape != shape:
        or_probabilities = f" or probabilities {x.shape}" if probabilities else ""
        raise ValueError(f"{op}: x has shape {x.shape}, so target must be class indices {shape}{or_probabilities}, got {target.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: class indices must be integers, target is {target.dtype}: convert it with .long()")
    return _rows(x), target if target.ndim == 1 else target.reshape(-1), shape


def _rows(x: Tensor) -> Tensor:
    """(N, K, d1, ...) -> (M, K): the class axis goes last, all others into one."""
    if x.ndim > 2:
        x = x.permute(0, *range(2, x.ndim), 1)
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


class Samples(NamedTuple):
    """labels (M): 0 for those that do not count, so that they can be an index. weights (M): of each one's class, 0 if it does not count,
    or None if all classes count 1. kept: which samples count, in target's shape, or None if all do. rest: the loss of the others, 0, or NaN
    for a label out of range.
    """
    labels: Any
    weights: Any
    kept: Any
    rest: Any


def samples(op: str, target: Tensor, classes: int, weight: Tensor | None, ignore_index: int) -> Samples:
    """Which samples count, and how much. Raises ValueError for a label that is out of range.

    On another device than the CPU nobody looks at the labels: one out of range gives a loss of NaN instead.
    """
    labels = target.array
    label_range(op, labels, classes, ignore_index)
    counted = labels != ignore_index
    if devices.on_host(labels) and counted.all():
        flat = labels.reshape(-1).copy()
        return Samples(flat, None if weight is None else weight.array[flat], None, None)
    kept, rest = (counted, 0.0) if devices.on_host(labels) else (counted & (labels >= 0) & (labels < classes),
                                                                 np.where(counted, np.nan, 0.0))
    flat = np.where(kept, labels, 0).reshape(-1)
    return Samples(flat, None if weight is None else np.where(kept.reshape(-1), weight.array[flat], 0), kept, rest)


def reduce_labelled(op: str, losses: Tensor, target: Tensor, of: Samples, reduction: str) -> Tensor:
    """Losses (M), weighted already, to the shape of target or to one number. 'mean' divides by the sum of the weights, or how many are
    kept: NaN if nothing counts, as in torch. Ignored losses become 0 even where they are NaN.
    """
    losses = losses if target.ndim == 1 else losses.reshape(target.shape)
    if of.kept is not None:
        losses = losses.where(Tensor(of.kept), Tensor(of.rest, dtype=losses.dtype))
    if reduction == "mean" and (of.weights is not None or of.kept is not None):
        total = (of.kept if of.weights is None else of.weights).sum()
        return losses.sum() / Tensor(total.astype(losses.dtype))           # 0 / 0 is NaN
    return reduce_loss(op, losses, reduction)
