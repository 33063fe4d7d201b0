"""The fully connected layer and its gradients: three matrix products. Shapes: x (M, I), w (O, I), b (O), y (M, O)."""
from __future__ import annotations

from typing import Any


def linear(x: Any, w: Any, b: Any) -> Any:
    """y = x @ w.T + b        (M, I) @ (I, O) -> (M, O); b may be None."""
    y = x @ w.T
    if b is not None:
        y += b
    return y


def linear_grad_input(dy: Any, w: Any) -> Any:
    """dx = dy @ w: what each input did to every output        (M, O) @ (O, I) -> (M, I)"""
    return dy @ w


def linear_grad_weight(dy: Any, x: Any) -> Any:
    """dw = dy.T @ x: each input, weighted by the dy it caused, summed over the rows        (O, M) @ (M, I) -> (O, I)"""
    return dy.T @ x


def channel_sum(dy: Any) -> Any:
    """db = dy summed over all axes but axis 1: what a bias, added to every value of its channel, gets back.

    Shapes: dy (N, C, H, W) of a convolution, (N, C) of a linear layer -> (C).
    """
    return dy.sum(axis=(0, *range(2, dy.ndim)))
