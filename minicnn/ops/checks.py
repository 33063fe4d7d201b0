"""Checks that several operations share: dtypes that mix, and inputs without a batch axis."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.kernels import devices
from minicnn.tensor import Tensor


def a_tensor(op: str, name: str, value: Any) -> None:
    """The value is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}: {name} is of type {type(value).__name__}; it must be a Tensor: minicnn.as_tensor({name}) makes one")


def floating(op: str, x: Any, **others: Any) -> None:
    """Every tensor is floating point, and all of one dtype. `others` by the names to use in the message; None is skipped there."""
    if isinstance(x, Tensor) and x.array.dtype.kind == "f":    # every operation asks, so what is right is found out quickly
        for t in others.values():
            if t is not None and not (isinstance(t, Tensor) and t.array.dtype == x.array.dtype):
                break
        else:
            return
    tensors = {"x": x, **others}
    for name, t in tensors.items():
        if t is not None or name == "x":
            a_tensor(op, name, t)
    dtypes = {name: t.dtype for name, t in tensors.items() if t is not None}
    for name, dtype in dtypes.items():
        if dtype.kind != "f":
            raise TypeError(f"{op}: {name} is {dtype}; it needs floating point: convert it with .float()")
    raise TypeError(f"{op}: dtypes differ: {', '.join(f'{n} is {d}' for n, d in dtypes.items())}; convert with .float() or .double()")


def batched(op: str, x: Tensor, unbatched_ndim: int, axes: str) -> tuple[Tensor, Callable[[Any], Any]]:
    """(C, H, W) -> (1, C, H, W), and the function that takes the added axis off the result again.

    axes: the axes of one sample, for the message, such as "(C, H, W)".
    """
    if x.array.ndim == unbatched_ndim + 1:
        return x, _same
    if x.array.ndim == unbatched_ndim:
        return x.unsqueeze(0), _first
    raise ValueError(f"{op}: x must be (N, {axes[1:]} or {axes}, got {x.ndim} axes (shape {x.shape})")


def _same(y: Any) -> Any:
    return y


def _first(y: Any) -> Any:
    return tuple(t.squeeze(0) for t in y) if isinstance(y, tuple) else y.squeeze(0)


def label_range(op: str, labels: Any, classes: int, ignore_index: int | None = None) -> None:
    """Every label is in 0..classes-1, or is ignore_index. On another device than the CPU nobody looks: that would be a copy, and a wait."""
    if not devices.on_host(labels) or not labels.size or (labels.min() >= 0 and labels.max() < classes):
        return
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if wrong.any():
        where = np.argwhere(wrong)[0]
        raise ValueError(f"{op}: label {labels[tuple(where)]} at index {', '.join(map(str, where))} is out of range: "
                         f"there are {classes} classes, so labels are 0..{classes - 1}")
