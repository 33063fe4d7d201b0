"""Axis: which outputs read which inputs along one axis, as a list of edges. The graph of a layer is the product of one for each axis."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minicnn.inspect.receptive_fields.boxes import spread_taps, window_taps
from minicnn.kernels.window import Window2d
from minicnn.ops.adaptive_pool2d import bins
from minicnn.ops.interpolate import Taps


@dataclass(frozen=True, eq=False)
class Axis:
    """Edge e goes from input i[e] to output o[e] and has tap t[e], a number below `taps`; edges with one tap share one weight.

    factor: of each edge, what its weight is multiplied by; None for 1.
    """
    outputs: int
    inputs: int
    taps: int
    o: np.ndarray
    i: np.ndarray
    t: np.ndarray
    factor: np.ndarray | None = None

    @property
    def edges(self) -> int:
        return len(self.o)

    @property
    def used(self) -> int:
        """The taps that some edge has: a window in a small image may never reach its corners."""
        return len(np.unique(self.t))

    def in_degrees(self) -> np.ndarray:
        """(outputs): the edges into each output."""
        return np.bincount(self.o, minlength=self.outputs)

    def out_degrees(self) -> np.ndarray:
        """(inputs): the edges out of each input."""
        return np.bincount(self.i, minlength=self.inputs)


def same(n: int, shared: bool = True) -> Axis:
    """Output k reads input k. shared: with one weight for all, otherwise each with its own."""
    k = np.arange(n)
    return Axis(n, n, 1 if shared else n, k, k, np.zeros_like(k) if shared else k)


class Full(Axis):
    """Every output reads every input; edge (o, i) has the tap o*inputs + i. Edges are many, so they are listed when they are asked for."""

    def __init__(self, outputs: int, inputs: int) -> None:
        for name, value in (("outputs", outputs), ("inputs", inputs), ("taps", outputs * inputs), ("factor", None)):
            object.__setattr__(self, name, value)              # the class is frozen

    @property
    def o(self) -> np.ndarray:
        return np.repeat(np.arange(self.outputs), self.inputs)

    @property
    def i(self) -> np.ndarray:
        return np.tile(np.arange(self.inputs), self.outputs)

    @property
    def t(self) -> np.ndarray:
        return np.arange(self.taps)

    @property
    def edges(self) -> int:
        return self.taps

    @property
    def used(self) -> int:
        return self.taps

    def in_degrees(self) -> np.ndarray:
        return np.full(self.outputs, self.inputs)

    def out_degrees(self) -> np.ndarray:
        return np.full(self.inputs, self.outputs)


def grouped(outputs: int, inputs: int, groups: int, by_input: bool = False) -> Axis:
    """Output f reads the inputs of its group. Its tap counts the weights (F, C/groups), or (C, F/groups) with by_input."""
    F, C = outputs // groups, inputs // groups                 # in one group
    g, f, c = np.indices((groups, F, C)).reshape(3, -1)
    o, i = g * F + f, g * C + c
    return Axis(outputs, inputs, groups * F * C, o, i, i * F + f if by_input else o * C + c)


def windowed(window: Window2d, n: int, outputs: int, axis: int) -> Axis:
    """Output o reads input o*s + j*d - p with tap j, where that is inside. axis: 0 height, 1 width."""
    return _tapped(window_taps(window, n, outputs, axis), outputs, n)


def transposed(window: Window2d, n: int, outputs: int, axis: int) -> Axis:
    """Output o reads input (o + p - j*d)/s with tap j, where that is whole and inside."""
    return _tapped(spread_taps(window, n, outputs, axis), outputs, n)


def averaged(window: Window2d, n: int, outputs: int, axis: int, count_padding: bool | None) -> Axis:
    """The same as windowed, with the factor 1 / (the window's taps that count, on this axis): those inside the input, and with
    count_padding also those in the padding. None: no factor."""
    found = windowed(window, n, outputs, axis)
    if count_padding is None:
        return found
    before, after = window.padding[2 * axis:2 * axis + 2] if count_padding else (0, 0)
    place = (np.arange(outputs)[:, None] * window.stride[axis] + np.arange(window.kernel[axis]) * window.dilation[axis]
             - window.padding[2 * axis])
    counted = ((place >= -before) & (place < n + after)).sum(axis=1)
    return Axis(outputs, n, found.taps, found.o, found.i, found.t, 1 / counted[found.o])


def binned(n: int, outputs: int, mean: bool) -> Axis:
    """Adaptive pooling: output o reads bin o; mean: with the factor 1 / (the bin's size)."""
    parts = [np.arange(start, end) for start, end in bins(n, outputs)]
    sizes = np.array([len(part) for part in parts])
    o = np.repeat(np.arange(outputs), sizes)
    t = np.concatenate([np.arange(size) for size in sizes])
    return Axis(outputs, n, int(sizes.max()), o, np.concatenate(parts), t, 1 / sizes[o] if mean else None)


def resized(taps: Taps, n: int) -> Axis:
    """Output o reads the one or two inputs that it is a weighted mean of; edges with one weight have one tap."""
    outputs = len(taps[0][0])
    mixed = np.zeros((outputs, n))
    for index, weights in taps:
        np.add.at(mixed, (np.arange(outputs), index), 1 if weights is None else weights)
    o, i = np.nonzero(mixed)
    values, t = np.unique(mixed[o, i], return_inverse=True)
    return Axis(outputs, n, len(values), o, i, t, mixed[o, i])


def listed(index: np.ndarray, inputs: int, tap: np.ndarray | None = None, taps: int = 1) -> Axis:
    """Output k reads input index[k]; -1: none. tap: of each output; all 0 by default."""
    index = index.reshape(-1)
    o = np.flatnonzero(index >= 0)
    return Axis(len(index), inputs, taps, o, index[o], np.zeros_like(o) if tap is None else tap.reshape(-1)[o])


def _tapped(reads: Sequence[np.ndarray], outputs: int, n: int) -> Axis:
    table = np.stack(reads)                                    # (taps, outputs): what is read, or -1
    t, o = np.nonzero(table >= 0)
    return Axis(outputs, n, len(reads), o, table[t, o], t)
