"""Convolution on CUDA: the rung that suits the problem's size, see choice.py.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend import choice
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.cuda_backend.launcher import engine_of
from minicnn.kernels.window import Window2d

_tf32 = os.environ.get("MINICNN_ALLOW_TF32", "0") not in ("0", "")


def allow_tf32(allowed: bool | None = None) -> bool:
    """Whether float32 convolutions may round their factors to TF32 (10 bits of fraction) for the tensor cores; set if given.

    Off, unless the variable MINICNN_ALLOW_TF32 is 1.
    """
    global _tf32
    if allowed is not None:
        _tf32 = bool(allowed)
    return _tf32


def conv2d(x: Any, w: Any, b: Any, window: Window2d, groups: int = 1, relu: bool = False) -> Any:
    """CUDA: the rung that suits the size of the product.

        y[n, f] = b[f] + sum over c, kh, kw of x[n, c] under the window * w[f, c, kh, kw]
    """
    return chosen("forward", x, x.shape, w.shape, window, groups).conv2d(x, w, b, window, groups, relu)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: each pixel gathers from the outputs that read it."""
    return chosen("grad_input", dy, input_shape, w.shape, window, groups).conv2d_grad_input(dy, w, input_shape, window, groups)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: summed over all images and outputs, in a fixed order."""
    return chosen("grad_weight", x, x.shape, weight_shape, window, groups).conv2d_grad_weight(dy, x, weight_shape, window, groups)


def chosen(direction: str, array: Any, x_shape: Shape, w_shape: Shape, window: Window2d, groups: int = 1) -> ModuleType:
    """The rung that computes this convolution for arrays that are where `array` is."""
    engine = engine_of(array)
    name = choice.rung(direction, choice.size_of(direction, x_shape, w_shape, window, groups), engine.gpu)
    if _tf32 and name in ("blocked", "pipelined") and array.dtype == np.float32 and engine.compute_capability >= 80:
        name = "tensor_cores"
    return _module(name)


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minicnn.kernels.cuda_backend.conv2d_{name}")
