"""Batch normalisation: y = gamma * (x - mean) / sqrt(var + eps) + beta, with one mean and variance a channel.

Shapes: x (N, C, H, W); gamma, beta, mean, var (C).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend import channel
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, STRIDING, contiguous, grid_stride

PART_MOMENTS = Kernel("batch_norm.cu", "part_moments")
MERGE_MOMENTS = Kernel("batch_norm.cu", "merge_moments")
FORWARD = Kernel("batch_norm.cu", "batch_norm")
PART_GRADIENTS = Kernel("batch_norm.cu", "part_gradients")
MERGE_GRADIENTS = Kernel("batch_norm.cu", "merge_gradients")
GRADIENT = Kernel("batch_norm.cu", "batch_norm_grad")
WARPS = 8                        # a block of the kernels that merge, a channel each


def batch_norm_statistics(x: Any) -> tuple[Any, Any]:
    """mean and (biased) variance of each channel, (C) and (C), from one pass over memory.

    Grid: a block of 256 threads for each 4096 values of a channel, then a warp a channel.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_statistics(x)
    C, images = x.shape[1], channel.images(x)
    parts = C * images["parts"]
    moments = np.empty_like(x, shape=(3, parts), order="C")
    mean, var = (np.empty_like(x, shape=(C,), order="C") for _ in range(2))
    launch(PART_MOMENTS, (parts,), (channel.THREADS,), (contiguous(x), moments, images))
    launch(MERGE_MOMENTS, (blocks(C, WARPS),), (32 * WARPS,), (moments, mean, var, images))
    return mean, var


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, relu: bool = False) -> Any:
    """y = (x - mean) * scale + beta with scale = gamma / sqrt(var + eps), by channel; gamma and beta may be None (1 and 0).

    relu: max(y, 0). Grid: a thread four values.
    """
    if x.dtype not in COMPILED:
        return numpy_backend.batch_norm(x, gamma, beta, mean, var, eps, relu)
    y = np.empty_like(x, order="C")
    gamma, beta, mean, var = (contiguous(a, x.dtype) for a in (gamma, beta, mean, var))
    launch(FORWARD, grid_stride(x.size), (STRIDING,), (contiguous(x), gamma, beta, mean, var, y, float(eps), channel.images(x), int(relu)))
    return y


def batch_norm_grad(dy: Any, x: Any, gamma: Any, mean: Any, var: Any, eps: float, batch_statistics: bool, beta: Any = None,
                    relu: bool = False, inplace: bool = False) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta. With x_hat = (x - mean) / sqrt(var + eps) and M = N*H*W values a channel:

        dbeta  = sum of dy
        dgamma = sum of dy * x_hat
        dx     = gamma / sqrt(var + eps) * dy                                         (running statistics were given)
        dx     = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)      (mean and var come from x itself)

    relu: dy is that of max(y, 0), so it counts only where y, computed anew with beta, is positive. inplace: dx may be written over dy;
    here it never is.
    Grid: as for the statistics for both sums; then a thread four values of dx.
    """
    if x.dtype not in COMPILED or x.size == 0:
        return numpy_backend.batch_norm_grad(dy, x, gamma, mean, var, eps, batch_statistics, beta, relu)
    C, images, flag = x.shape[1], channel.images(x), int(relu)
    dy, x, gamma, beta, mean, var = (contiguous(a, x.dtype) for a in (dy, x, gamma, beta, mean, var))
    dx, parts = np.empty_like(x, order="C"), C * images["parts"]
    sums = np.empty_like(x, shape=(2, parts), order="C")
    dgamma, dbeta = (np.empty_like(x, shape=(C,), order="C") for _ in range(2))
    launch(PART_GRADIENTS, (parts,), (channel.THREADS,), (dy, x, gamma, beta, mean, var, sums, float(eps), images, flag))
    launch(MERGE_GRADIENTS, (blocks(C, WARPS),), (32 * WARPS,), (sums, var, dgamma, dbeta, float(eps), images))
    launch(GRADIENT, grid_stride(x.size), (STRIDING,),
           (dy, x, gamma, beta, mean, var, dgamma, dbeta, dx, float(eps), images, int(batch_statistics), flag))
    return dx, dgamma, dbeta
