"""The fully connected layer: one matrix product."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, record
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor


def linear_forward(x: Any, w: Any, b: Any) -> tuple[Any, Any]:
    """y = x @ w.T + b. Shapes: x (..., I), w (O, I), b (O) or None -> (..., O); the kernels see all leading axes as one, M rows."""
    k, rows = kernels.of(x), _rows(x)
    y = k.linear(rows, w, b)
    return y if rows is x else y.reshape(*x.shape[:-1], len(w)), (k, x.shape, rows, w, b is not None)


@fresh
def linear_backward(dy: Any, cache: Any, needs: Sequence[bool] = (True, True, True)) -> tuple[Any, Any, Any]:
    """With all leading axes as M rows:

        dx = dy @ w              (M, O) @ (O, I)
        dw = dy.T @ x            (O, M) @ (M, I)
        db = dy, summed over the rows
    """
    k, x_shape, rows, w, has_bias = cache
    dy = _rows(dy)
    dx = k.linear_grad_input(dy, w).reshape(x_shape) if needs[0] else None
    dw = k.linear_grad_weight(dy, rows) if needs[1] else None
    db = k.channel_sum(dy) if has_bias and needs[2] else None
    return dx, dw, db


def _rows(x: Any) -> Any:
    """(..., I) -> (M, I); x itself if it has two axes."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x @ weight.T + bias: every output is a weighted sum of every input.

    Shapes: x (..., I), weight (O, I), bias (O) -> (..., O).

    Raises TypeError for integer input or mixed dtypes, ValueError for shapes that do not fit, each with the numbers.
    """
    floating("linear", x=input, w=weight, b=bias)
    if weight.ndim != 2:
        raise ValueError(f"linear: w must be (out_features, in_features), got shape {weight.shape}")
    O, I = weight.shape
    if input.ndim < 1 or input.shape[-1] != I:
        features = input.shape[-1] if input.ndim else "no"
        hint = "; flatten(1) makes one row of each sample" if input.ndim > 2 else ""
        raise ValueError(f"linear: x has {features} features (shape {input.shape}), w expects {I} (shape {weight.shape}){hint}")
    if bias is not None and bias.shape != (O,):
        raise ValueError(f"linear: b has shape {bias.shape}, w has {O} outputs (shape {weight.shape}), so b must be ({O},)")
    return record(linear_forward, linear_backward, input, weight, bias)
