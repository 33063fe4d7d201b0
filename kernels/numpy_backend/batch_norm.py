"""Batch normalisation: y = gamma * (x - mean) / sqrt(var + eps) + beta, with one mean and variance a channel.

Shapes: x (N, C, H, W); gamma, beta, mean, var (C).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels.numpy_backend.activation import relu as rectified
from minicnn.kernels.numpy_backend.activation import relu_grad

AXES = (0, 2, 3)    # all but the channel


def batch_norm_statistics(x: Any) -> tuple[Any, Any]:
    """mean and (biased) variance of each channel, (C) and (C), in two passes: E[x²] − E[x]² would cancel."""
    mean = x.mean(axis=AXES)
    return mean, np.square(x - _channel(mean)).mean(axis=AXES)


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, relu: bool = False) -> Any:
    """y = (x - mean) * scale + beta with scale = gamma / sqrt(var + eps), by channel; gamma and beta may be None (1 and 0).

    relu: max(y, 0).
    """
    scale = _inverse_std(var, eps) if gamma is None else gamma * _inverse_std(var, eps)
    y = (x - _channel(mean)) * _channel(scale)
    y = y if beta is None else y + _channel(beta)
    return rectified(y) if relu else y


def batch_norm_grad(dy: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, beta: Any = None,
                    relu: bool = False, inplace: bool = False) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta. With x_hat = (x - mean) / sqrt(var + eps) and M = N*H*W values a channel:

        dbeta  = sum of dy
        dgamma = sum of dy * x_hat
        dx     = gamma / sqrt(var + eps) * dy                                         (running statistics were given)
        dx     = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)      (mean and var come from x itself)

    The two subtracted terms are what dy did to the batch's mean and variance (Ioffe and Szegedy, 2015).
    relu: dy is that of max(y, 0), so it counts only where y, computed anew with beta, is positive. inplace: dx may be written over dy;
    here it never is.
    """
    if relu:
        dy = relu_grad(dy, batch_norm(x, gamma, beta, mean, var, eps))
    inverse_std = _inverse_std(var, eps)
    x_hat = (x - _channel(mean)) * _channel(inverse_std)
    dbeta, dgamma = dy.sum(axis=AXES), (dy * x_hat).sum(axis=AXES)
    if batch_statistics:
        M = x.shape[0] * x.shape[2] * x.shape[3]
        dx = dy - _channel(dbeta / M) - x_hat * _channel(dgamma / M)
    else:
        dx = dy
    return dx * _channel(inverse_std if gamma is None else gamma * inverse_std), dgamma, dbeta


def _inverse_std(var: Any, eps: float) -> Any:
    return 1 / np.sqrt(var + eps)


def _channel(values: Any) -> Any:
    """(C) -> (C, 1, 1), which broadcasts over (N, C, H, W)."""
    return values[:, None, None]
