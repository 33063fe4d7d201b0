"""Keep gradients from growing too large: clipping by norm and by value, with torch's names."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.tensor import Tensor


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> Tensor:
    """Scale all gradients, in place, so that the norm of all of them together is at most max_norm. Returns the norm they had.

        total = (sum over all gradients of |g|^norm_type)^(1 / norm_type),      g <- g * min(1, max_norm / (total + 1e-6))

    norm_type: any p > 0, or inf for the largest |g|. A NaN or infinite norm makes all gradients NaN or 0, as in torch;
    error_if_nonfinite=True raises RuntimeError instead.
    """
    gradients = _gradients(parameters)
    norms = [_norm(g.reshape(-1), norm_type) for g in gradients]
    total = _norm(np.stack(norms), norm_type) if norms else np.float32(0)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: the norm of order {norm_type} of the gradients is {total.item()}, so they cannot be clipped; "
                           "error_if_nonfinite=False scales them all the same")
    scale = np.minimum(1, max_norm / (total.astype(np.float64) + 1e-6))      # it keeps a NaN, and the norm where the gradients are
    for g in gradients:
        g *= scale.astype(g.dtype)
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every single gradient to -clip_value..clip_value, in place."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    return [p.grad.array for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p.grad is not None]


def _norm(values: Any, order: float) -> Any:
    """The norm of a vector, in its own dtype."""
    return np.linalg.norm(values, order) if values.size else values.sum()
