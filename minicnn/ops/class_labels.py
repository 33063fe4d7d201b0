"""What cross_entropy and nll_loss share: inputs of any shape as rows of classes, labels checked, ignored samples and class weights."""
from __future__ import annotations

from typing import Any

import numpy as np

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


def sample_weights(op: str, target: Tensor, classes: int, weight: Tensor | None, ignore_index: int) -> tuple[Any, Any, Any]:
    """Labels (M), 0 for ignored ones, so that they can be an index; the class weight of each sample, 0 if ignored, or None if all classes
    count 1; and which samples are kept, in target's shape, or None if all are.
    """
    label_range(op, target.array, classes, ignore_index)
    kept = target.array != ignore_index
    if kept.all():
        labels = target.array.reshape(-1).copy()
        return labels, None if weight is None else weight.array[labels], None
    labels = np.where(kept, target.array, 0).reshape(-1)
    return labels, None if weight is None else np.where(kept.reshape(-1), weight.array[labels], 0), kept


def reduce_labelled(op: str, losses: Tensor, target: Tensor, weights: Any, kept: Any, reduction: str) -> Tensor:
    """Losses (M), weighted already, to the shape of target or to one number. 'mean' divides by the sum of `weights`, or how many are kept:
    NaN if nothing counts, as in torch. Ignored losses become 0 even where they are NaN.
    """
    losses = losses if target.ndim == 1 else losses.reshape(target.shape)
    if kept is not None:
        losses = losses.where(Tensor(kept), 0.0)
    if reduction == "mean" and (weights is not None or kept is not None):
        return losses.sum() / (float((kept if weights is None else weights).sum()) or np.nan)
    return reduce_loss(op, losses, reduction)
