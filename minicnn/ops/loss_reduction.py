"""From the loss of each sample to one number."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.tensor import Tensor


def reduce_loss(op: str, losses: Tensor, reduction: str) -> Tensor:
    """'none': the losses as they are; 'mean' or 'sum' of all of them. Raises ValueError for anything else."""
    if reduction == "none":
        return losses
    if reduction in ("mean", "sum"):
        return losses.mean() if reduction == "mean" else losses.sum()
    raise ValueError(f"{op}: reduction is {reduction!r}: must be 'none', 'mean' or 'sum'")


def reduce_weighted(op: str, losses: Tensor, kept: Any, weights: Any, reduction: str, shape: tuple[int, ...]) -> Tensor:
    """Losses (M), weighted already: 0 where not `kept`; 'mean' divides by the sum of `weights`. NaN if nothing was kept, as in torch."""
    if not kept.all():
        losses = losses.where(Tensor(kept), 0.0)
    if reduction != "mean":
        return reduce_loss(op, losses.reshape(shape), reduction)
    return losses.sum() / (float(weights.sum()) or np.nan)
