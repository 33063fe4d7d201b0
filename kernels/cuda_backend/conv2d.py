"""Convolution on CUDA: the rung that suits the problem's size, see choice.py.

Shapes: x (N, C, H, W), w (F, C/G, KH, KW), y (N, F, OH, OW).
"""
from __future__ import annotations

import functools
import importlib
import math
import os
from types import ModuleType
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend import choice
from minicnn.kernels.cuda_backend.choice import Size
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
    OH, OW = window.output_size(x.shape[2:])
    size = len(w) // groups, len(x) * OH * OW, math.prod(w.shape[1:])
    return _rung("forward", x, size).conv2d(x, w, b, window, groups, relu)


def conv2d_grad_input(dy: Any, w: Any, input_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dx: each pixel gathers from the outputs that read it."""
    size = w.shape[1], input_shape[0] * math.prod(input_shape[2:]), len(w) // groups * math.prod(w.shape[2:])
    return _rung("grad_input", dy, size).conv2d_grad_input(dy, w, input_shape, window, groups)


def conv2d_grad_weight(dy: Any, x: Any, weight_shape: Shape, window: Window2d, groups: int = 1) -> Any:
    """dw: summed over all images and outputs, in a fixed order."""
    size = weight_shape[0] // groups, math.prod(weight_shape[1:]), len(dy) * math.prod(dy.shape[2:])
    return _rung("grad_weight", dy, size).conv2d_grad_weight(dy, x, weight_shape, window, groups)


def _rung(direction: str, array: Any, size: Size) -> ModuleType:
    engine = engine_of(array)
    name = choice.rung(direction, size, engine.gpu)
    if _tf32 and name in ("blocked", "pipelined") and array.dtype == np.float32 and engine.compute_capability >= 80:
        name = "tensor_cores"
    return _module(name)


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minicnn.kernels.cuda_backend.conv2d_{name}")
