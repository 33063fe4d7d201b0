"""Softmax and cross-entropy in one: logits x (N, K) and labels (N) -> the loss of each sample (N). A warp a row."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, blocks, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, contiguous

FORWARD = Kernel("loss.cu", "softmax_cross_entropy")
GRADIENT = Kernel("loss.cu", "softmax_cross_entropy_grad")
WARPS = 4                        # a block, a row each
THREADS = 256                    # a block of the gradient


def softmax_cross_entropy(x: Any, labels: Any) -> tuple[Any, Any]:
    """loss[n] = log(sum over k of exp(x[n, k])) - x[n, labels[n]], and the probabilities that the gradient needs.

    The row's maximum is taken out first, so that exp never overflows. A label that is no class makes its loss NaN: a kernel cannot raise
    an exception. Returns losses (N), probabilities (N, K). Grid: N warps in blocks of 4.
    """
    if x.dtype not in COMPILED:
        return numpy_backend.softmax_cross_entropy(x, labels)
    N, K = x.shape
    losses, p = np.empty_like(x, shape=(N,), order="C"), np.empty_like(x, order="C")
    launch(FORWARD, (blocks(N, WARPS),), (32 * WARPS,), (contiguous(x), contiguous(labels, np.int64), losses, p, N, K))
    return losses, p


def softmax_cross_entropy_grad(dlosses: Any, probabilities: Any, labels: Any) -> Any:
    """dx[n, k] = dlosses[n] * (probabilities[n, k] - [k == labels[n]]): what was predicted minus what is true. Grid: N*K threads."""
    if probabilities.dtype not in COMPILED:
        return numpy_backend.softmax_cross_entropy_grad(dlosses, probabilities, labels)
    N, K = probabilities.shape
    dx = np.empty_like(probabilities, order="C")
    launch(GRADIENT, (blocks(dx.size, THREADS),), (THREADS,),
           (contiguous(dlosses, dx.dtype), contiguous(probabilities), contiguous(labels, np.int64), dx, N, K))
    return dx
