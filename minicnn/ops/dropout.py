"""Dropout: in training, set random values to 0, so that no unit can rely on another one."""
from __future__ import annotations

from typing import Any

from minicnn.autograd import record
from minicnn.ops.checks import floating
from minicnn.ops.random import spared
from minicnn.tensor import Tensor


def dropout_forward(x: Any, mask: Any) -> tuple[Any, Any]:
    """y = x * mask. mask: 0 or 1/(1 - p), of x's shape or broadcasting to it."""
    return x * mask, mask


def dropout_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * mask: what was set to 0 gets no gradient."""
    return (dy * cache,)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Set each value to 0 with probability p, and multiply the others by 1/(1 - p), so that the mean stays (Srivastava and others, 2014).

    Without training, and with p = 0, y is x itself. The mask is drawn from `minicnn.random.generator()`; on another device than the CPU it
    is made there, from one number of the generator's: see `minicnn.ops.random.spared`. Raises ValueError for p outside 0..1.
    """
    return _drop("dropout", input, p, training, input.shape)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout of whole channels: neighbouring pixels say the same, so dropping single ones takes nothing away (Tompson and others, 2015).

    Shapes: x (N, C, H, W), or (N, C, L) -> the same.
    """
    if input.ndim not in (3, 4):
        raise ValueError(f"dropout2d: x must be (N, C, H, W) or (N, C, L), got {input.ndim} axes (shape {input.shape})")
    return _drop("dropout2d", input, p, training, (*input.shape[:2], *(1 for _ in input.shape[2:])))


def _drop(op: str, x: Tensor, p: float, training: bool, mask_shape: tuple[int, ...]) -> Tensor:
    floating(op, x=x)
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: p is {p}: a probability must be between 0 and 1")
    if not training or p == 0:
        return x
    mask = spared(p, mask_shape, x.array).astype(x.dtype)
    return record(dropout_forward, dropout_backward, x, mask=mask / (1 - p) if p < 1 else mask)
