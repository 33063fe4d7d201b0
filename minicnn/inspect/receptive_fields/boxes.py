"""Boxes: for every value of a tensor the box of input pixels that it depends on, moved about by what moves the values themselves.

A box is four numbers, (top, -bottom, left, -right), so that the hull of two boxes is the minimum of each: whatever a value reads, its own
box is the minimum over the boxes of what it read. NOTHING four times is the box of a constant.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.kernels.window import Window2d

NOTHING = 2**30


@dataclass(eq=False)
class Boxes:
    """shape: of the tensor. sides: (4, ...) with the tensor's axes after the first; an axis along which nothing changes has size 1."""
    shape: tuple[int, ...]
    sides: np.ndarray

    @classmethod
    def of_image(cls, shape: tuple[int, ...]) -> Boxes:
        """Every pixel sees itself. The last two axes are height and width; a row of features (N, F) is an image of height 1."""
        H, W = (1, 1, *shape)[-2:] if len(shape) > 2 else (1, shape[-1])
        rows, columns = np.broadcast_arrays(np.arange(H, dtype=np.int32)[:, None], np.arange(W, dtype=np.int32))
        sides = np.stack([rows, -rows, columns, -columns])
        return cls(shape, sides.reshape(4, *(1 for _ in shape[:-2]), *sides.shape[1:]) if len(shape) > 2 else sides)

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Boxes:
        """Constants."""
        return cls(shape, np.full((4, *(1 for _ in shape)), NOTHING, np.int32))

    def along(self, *axes: int) -> np.ndarray:
        """The sides, with these axes of the tensor at their full size."""
        shape = list(self.sides.shape)
        for axis in axes:
            shape[axis + 1] = self.shape[axis]
        return np.broadcast_to(self.sides, shape)

    def full(self) -> np.ndarray:
        return np.broadcast_to(self.sides, (4, *self.shape))

    def each(self, function: Callable[[np.ndarray], Any]) -> Boxes:
        """What a function that moves values about, such as reshape, makes of the boxes."""
        sides = np.stack([function(side) for side in self.full()])
        return compact(sides)

    def over(self, axes: Sequence[int], keepdim: bool = True) -> Boxes:
        """The hull over some axes, which stay with their size if `keepdim` (for what is spread over them again), or go."""
        axes = [axis % len(self.shape) for axis in axes] if self.shape else []
        sides = self.sides.min(axis=tuple(axis + 1 for axis in axes), keepdims=keepdim, initial=NOTHING)
        return Boxes(self.shape if keepdim else tuple(n for i, n in enumerate(self.shape) if i not in axes), sides)

    def reshaped(self, shape: tuple[int, ...]) -> Boxes:
        """The same boxes under another shape that `sides` broadcasts to."""
        return Boxes(shape, self.sides)

    def hull(self) -> np.ndarray:
        """The box (4) of all values together."""
        return self.sides.reshape(4, -1).min(axis=1, initial=NOTHING)


def compact(sides: np.ndarray) -> Boxes:
    """Boxes of full-sized sides, with axes along which nothing changes reduced to size 1."""
    shape = sides.shape[1:]
    for axis in range(1, sides.ndim):
        head = sides.take([0], axis=axis) if sides.shape[axis] > 1 else sides
        if sides.shape[axis] > 1 and (sides == head).all():
            sides = head
    return Boxes(shape, np.ascontiguousarray(sides))


def joined(boxes: Sequence[Boxes], shape: tuple[int, ...]) -> Boxes:
    """The hull of several, which broadcast to `shape`."""
    found = Boxes.nothing(shape).sides
    for b in boxes:
        missing = len(shape) - len(b.shape)
        found = np.minimum(found, b.sides.reshape(4, *(1,) * missing, *b.sides.shape[1:]))
    return Boxes(shape, found)


def tapped(sides: np.ndarray, taps: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """out[..., o, ...] = the hull over j of sides[..., taps[j][o], ...] along an axis of `sides`; a tap of -1 reads nothing."""
    padded = np.concatenate([sides, np.full_like(sides.take([0], axis=axis), NOTHING)], axis=axis)
    found = padded.take(taps[0], axis=axis)
    for tap in taps[1:]:
        np.minimum(found, padded.take(tap, axis=axis), out=found)
    return found


def window_taps(window: Window2d, n: int, outputs: int, axis: int) -> list[np.ndarray]:
    """For each kernel offset what the outputs read on one axis (0: height, 1: width); -1 in the padding."""
    start = np.arange(outputs) * window.stride[axis] - window.padding[2 * axis]
    reads = [start + j * window.dilation[axis] for j in range(window.kernel[axis])]
    return [np.where((i >= 0) & (i < n), i, -1) for i in reads]


def spread_taps(window: Window2d, n: int, outputs: int, axis: int) -> list[np.ndarray]:
    """The same for a transposed convolution: input h reaches output h*s + j*d - p, so output o reads (o + p - j*d)/s."""
    place = np.arange(outputs) + window.padding[2 * axis]
    found = []
    for j in range(window.kernel[axis]):
        h, rest = np.divmod(place - j * window.dilation[axis], window.stride[axis])
        found.append(np.where((rest == 0) & (h >= 0) & (h < n), h, -1))
    return found


def grouped(sides: np.ndarray, groups: int, outputs: int) -> np.ndarray:
    """What F = `outputs` filters see of the channels, axis 2 of (4, N, C, ...): all, or those of their own group."""
    if groups == 1 or sides.shape[2] == 1:
        return sides.min(axis=2, keepdims=True)
    split = sides.reshape(*sides.shape[:2], groups, sides.shape[2] // groups, *sides.shape[3:]).min(axis=3)
    return split.repeat(outputs // groups, axis=2)

