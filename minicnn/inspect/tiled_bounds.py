"""Convolutions that the numba backend computes by Winograd's tiles: rounding there is bounded by what a whole tile holds.

`kernels/numba_backend/winograd_bound.py` has the bound; here conv2d and conv_transpose2d, forward and backward, are told apart.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import kernels

NAMES = ("conv2d", "conv_transpose2d")
Bound = tuple[int, np.ndarray]                                 # K of gamma_K, and the sizes that it multiplies


def by_tiles(name: str, backend: str, arrays: Sequence[Any], y_shape: tuple[int, ...], options: dict[str, Any]) -> bool:
    """Whether `backend` computes the operation `name` of the arrays x (N, C, H, W), w, ... with these options by tiles."""
    if name not in NAMES or backend != "numba" or kernels.missing("numba"):
        return False
    from minicnn.kernels.numba_backend.conv2d import conv2d_algorithm

    x, w = arrays[:2]
    image = x.shape if name == "conv2d" else y_shape           # the side that the window slides over
    return conv2d_algorithm(tuple(image), w.shape, options["window"], options.get("groups", 1), x.itemsize).startswith("Winograd")


def forward(name: str, x: Any, w: Any, b: Any, y_shape: tuple[int, ...], window: Any) -> Bound:
    from minicnn.kernels.numba_backend import winograd_bound as of

    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    if name == "conv2d":
        return of.output(x, w, b, window)
    terms, sizes = of.grad_input(x, w, tuple(y_shape), window)
    return terms + 1, sizes if b is None else sizes + np.abs(b)[:, None, None]


def backward(name: str, x: Any, w: Any, dy: Any, window: Any) -> tuple[Bound, Bound]:
    """Of the gradients of x and of w."""
    from minicnn.kernels.numba_backend import winograd_bound as of

    x, w, dy = (np.asarray(a, np.float64) for a in (x, w, dy))
    if name == "conv2d":
        return of.grad_input(dy, w, x.shape, window), of.grad_weight(dy, x, window)
    return of.output(dy, w, None, window), of.grad_weight(x, dy, window)
