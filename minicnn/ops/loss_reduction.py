"""From the loss of each sample to one number."""
from __future__ import annotations

from minicnn.tensor import Tensor


def reduce_loss(op: str, losses: Tensor, reduction: str) -> Tensor:
    """'none': the losses as they are; 'mean' or 'sum' of all of them. Raises ValueError for anything else."""
    if reduction == "none":
        return losses
    if reduction in ("mean", "sum"):
        return losses.mean() if reduction == "mean" else losses.sum()
    raise ValueError(f"{op}: reduction is {reduction!r}: must be 'none', 'mean' or 'sum'")
