"""relu, its gradient, and sums of two arrays, of any shape: four numbers a thread, in grid strides."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, STRIDING, contiguous, grid_stride

RELU = Kernel("elementwise.cu", "relu")
RELU_GRAD = Kernel("elementwise.cu", "relu_grad")
ADD = Kernel("elementwise.cu", "add")


def relu(x: Any) -> Any:
    """y = max(x, 0); NaN stays NaN."""
    if x.dtype not in COMPILED:
        return numpy_backend.relu(x)
    y = np.empty_like(x, order="C")
    launch(RELU, grid_stride(x.size), (STRIDING,), (contiguous(x), y, x.size))
    return y


def relu_grad(dy: Any, y: Any, inplace: bool = False) -> Any:
    """dx = dy where y > 0, else 0: relu'(0) = 0. inplace: dx may be written over dy; here it is not."""
    if not _alike(dy, y):
        return numpy_backend.relu_grad(dy, y)
    dx = np.empty_like(dy, order="C")
    launch(RELU_GRAD, grid_stride(dy.size), (STRIDING,), (contiguous(dy), contiguous(y), dx, dy.size))
    return dx


def add(a: Any, b: Any, relu: bool = False) -> Any:
    """y = a + b, of equal shape and dtype; relu: max(y, 0)."""
    if not _alike(a, b):
        return numpy_backend.add(a, b, relu)
    y = np.empty_like(a, order="C")
    launch(ADD, grid_stride(a.size), (STRIDING,), (contiguous(a), contiguous(b), y, a.size, int(relu)))
    return y


def _alike(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.dtype in COMPILED and a.shape == b.shape
