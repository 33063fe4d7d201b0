"""Choosing positions along one axis, and the adjoint: what padding by reflection and resizing are made of."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import devices


def take(x: Any, index: Any, axis: int) -> Any:
    """y[..., o, ...] = x[..., index[o], ...]. Shapes: axis of size n -> len(index). index is the host's, and copied to where x is."""
    return x.take(devices.beside(index, x), axis=axis)


def take_adjoint(dy: Any, index: Any, n: int, axis: int) -> Any:
    """dx[..., i, ...] = sum of dy[..., o, ...] over all o with index[o] = i. Shapes: axis of size len(index) -> n."""
    dx = np.zeros_like(dy, shape=(*dy.shape[:axis], n, *dy.shape[axis + 1:]))
    to, source = dx.swapaxes(0, axis), dy.swapaxes(0, axis)
    for o, i in enumerate(index):
        to[i] += source[o]
    return dx
