"""Batch normalisation, ReLU and 2 x 2 max pooling, one after the other on the device."""
from __future__ import annotations

from typing import Any

from minicnn.kernels.cuda_backend.batch_norm import batch_norm, batch_norm_grad
from minicnn.kernels.cuda_backend.max_pool2d import max_pool2d, max_pool2d_grad
from minicnn.kernels.window import Window2d

WINDOW = Window2d.of(2, 2)


def batch_norm_pool(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> Any:
    """max_pool2d(batch_norm(x, ..., relu=True)) with windows of 2 x 2: (N, C, H, W) -> (N, C, H//2, W//2)."""
    return max_pool2d(batch_norm(x, gamma, beta, mean, var, eps, relu=True), WINDOW)[0]


def batch_norm_pool_grad(dy: Any, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta for dy of y (N, C, H//2, W//2), mean and var being those of x: the first of equal pixels is the winner."""
    _, argmax = max_pool2d(batch_norm(x, gamma, beta, mean, var, eps, relu=True), WINDOW)
    return batch_norm_grad(max_pool2d_grad(dy, argmax, x.shape, WINDOW), x, gamma, mean, var, eps, True, beta, relu=True)
