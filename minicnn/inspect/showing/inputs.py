"""What the functions of this package are given: images, checked and where the model is; loaders."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.tensor import Tensor

BATCH = 64


def host(t: Tensor) -> np.ndarray:
    """The values of a tensor, in the host's memory."""
    return devices.host(t.array)


def given(what: str, model: Module, x: Any, *, images: bool = True) -> Tensor:
    """x, a Tensor or an array, as a batch on the model's device. images: (N, C, H, W), or (C, H, W) for one; otherwise (N, ...).

    Raises TypeError for a model that is no Module and for x that is not floating point, ValueError for another number of axes, for no
    image, and for values that are not finite.
    """
    if not isinstance(model, Module):
        raise TypeError(f"{what}: expected a Module, got {type(model).__name__}")
    array = x.array if isinstance(x, Tensor) else x if hasattr(x, "dtype") else np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"{what}: x is {array.dtype}; a network needs floating point: convert it with .float()")
    if images and array.ndim == 3:
        array = array[None]
    if (images and array.ndim != 4) or array.ndim < 2:
        axes = "(N, C, H, W), or (C, H, W) for one image" if images else "(N, ...)"
        raise ValueError(f"{what}: x must be {axes}, got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{what}: x has shape {array.shape}: there is nothing to look at")
    finite = np.isfinite(devices.host(array))
    if not finite.all():
        where = ", ".join(map(str, np.argwhere(~finite)[0]))
        raise ValueError(f"{what}: x holds {(~finite).sum():,} values that are not finite, the first at index {where}")
    place = next((devices.device_of(p.array) for p in model.parameters()), devices.device_of(array))
    return Tensor(devices.move(array, place))


def batches(what: str, model: Module, loader_or_x: Any, size: int = BATCH) -> list[Tensor]:
    """Images in batches of at most `size`: of a Tensor or array, or of a loader of batches or of (images, labels) batches."""
    if isinstance(loader_or_x, Tensor) or hasattr(loader_or_x, "dtype"):
        loader_or_x = [loader_or_x]
    elif not isinstance(loader_or_x, Iterable):
        raise TypeError(f"{what}: expected images (N, C, H, W), or a loader of them, got {type(loader_or_x).__name__}")
    found = []
    for batch in loader_or_x:
        x = given(what, model, batch[0] if isinstance(batch, tuple | list) else batch, images=False)
        found += [Tensor(x.array[i:i + size]) for i in range(0, len(x.array), size)]
    if not found:
        raise ValueError(f"{what}: the loader has no image")
    return found
