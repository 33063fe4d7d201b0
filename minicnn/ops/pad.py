"""Padding and cropping on Tensors, by a constant or by values of the image itself."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.along_axis import take, take_adjoint
from minicnn.tensor import Tensor

Sides = tuple[tuple[int, int], ...]     # (before, after) for each axis of x; negative numbers crop
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}     # torch's names: NumPy's


def pad_forward(x: Any, sides: Sides, value: float = 0) -> tuple[Any, Any]:
    """y = x in the middle of an array filled with `value`."""
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, sides, strict=True))
    y = np.full_like(x, value, shape=shape)
    y[_inner(y.shape, sides)] = x[_inner(x.shape, [(-b, -a) for b, a in sides])]
    return y, (x.shape, sides)


def pad_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = the part of dy that came from x, and 0 where x was cropped: padding with the opposite numbers."""
    _, sides = cache
    return (pad_forward(dy, tuple((-b, -a) for b, a in sides))[0],)


def _inner(shape: Sequence[int], sides: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """What is left of an array when `before` and `after` positions go, on each axis where they are positive."""
    return tuple(slice(max(before, 0), n - max(after, 0)) for n, (before, after) in zip(shape, sides, strict=True))


def pad_by_index_forward(x: Any, sides: Sides, mode: str) -> tuple[Any, Any]:
    """y[..., o, ...] = x[..., index[o], ...], axis after axis; for n = 4 and sides (2, 1) the index is

        2 1 | 0 1 2 3 | 2    reflect            0 0 | 0 1 2 3 | 3    replicate            2 3 | 0 1 2 3 | 0    circular
    """
    indices = {}
    for axis, (n, (before, after)) in enumerate(zip(x.shape, sides, strict=True)):
        if before or after:
            longer = np.pad(np.arange(n), (max(before, 0), max(after, 0)), mode=MODES[mode])      # type: ignore[call-overload]  # a text
            indices[axis] = longer[max(-before, 0):len(longer) - max(-after, 0)]
    y = x
    for axis, index in indices.items():
        y = take(y, index, axis)
    return y, (x.shape, indices)


def pad_by_index_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx: every pixel adds up the gradients of its copies."""
    shape, indices = cache
    for axis, index in reversed(indices.items()):
        dy = take_adjoint(dy, index, shape[axis], axis)
    return (dy,)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add values around x; negative numbers crop.

    pad: (left, right, top, bottom, ...): pairs (before, after), the *last* axis first; axes without a pair stay as they are.
    mode: 'constant' (`value`, 0 if None), 'reflect' (mirrored at the border pixel, which is not repeated), 'replicate' (the border pixel
    repeated), 'circular' (the image repeated).

    Shapes: an axis of size n -> before + n + after.

    Raises ValueError for an odd count of numbers or more than x has axes, an unknown mode, and more to crop or to mirror than there is.
    """
    sides = _sides(input.shape, tuple(pad))
    if mode == "constant":
        return record(pad_forward, pad_backward, input, sides=sides, value=0 if value is None else value)
    if mode not in MODES:
        raise ValueError(f"pad: mode is {mode!r}: must be 'constant', {', '.join(repr(m) for m in MODES)}")
    for axis, (n, (before, after)) in enumerate(zip(input.shape, sides, strict=True)):
        most = {"reflect": n - 1, "circular": n}.get(mode, max(before, after) if n else 0)
        if max(before, after, 0) > max(most, 0):
            raise ValueError(f"pad: {mode} padding ({before}, {after}) of axis {axis}, which has size {n} (shape {input.shape}): "
                             f"it may be at most {most}")
    return record(pad_by_index_forward, pad_by_index_backward, input, sides=sides, mode=mode)


def _sides(shape: tuple[int, ...], pad: tuple[int, ...]) -> Sides:
    if len(pad) % 2 or len(pad) > 2 * len(shape):
        raise ValueError(f"pad: got {len(pad)} numbers, {pad}: give a pair (before, after) an axis, last axis first, "
                         f"so at most {2 * len(shape)} for shape {shape}")
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    sides = ((0, 0),) * (len(shape) - len(pairs)) + tuple(pairs[::-1])
    for axis, (n, (before, after)) in enumerate(zip(shape, sides, strict=True)):
        if n + min(before, 0) + min(after, 0) < 0:
            raise ValueError(f"pad: cannot crop axis {axis}, which has size {n} (shape {shape}), by ({before}, {after})")
    return sides
