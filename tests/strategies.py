"""Hypothesis strategies, valid by construction: arrays in every memory layout, and the geometries of windows, convolutions and pools."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minicnn.kernels.window import Window2d

seeds = st.integers(0, 2**32 - 1)
layouts = st.sampled_from(["contiguous", "fortran", "strided", "reversed", "read-only", "channels-last"])


def integers(shape: tuple[int, ...], seed: int, least: int = -8, most: int = 8, dtype: Any = np.float32) -> np.ndarray:
    """Integer-valued floats in least..most: products and sums of them stay exact, and zeros and ties come for free."""
    return np.random.default_rng(seed).integers(least, most + 1, shape).astype(dtype)


def floats(shape: tuple[int, ...], seed: int, dtype: Any = np.float32) -> np.ndarray:
    """Normally distributed numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def in_layout(x: np.ndarray, layout: str) -> np.ndarray:
    """The same values in another order in memory."""
    if np.ndim(x) == 0:                                        # a single value has no order
        return np.asarray(x)
    if layout == "fortran":
        return np.asfortranarray(x)
    if layout == "strided":                                    # every second element of a larger array, on every axis
        big = np.full([2 * n for n in x.shape], 77, x.dtype)
        view = big[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if layout == "reversed":
        flip = tuple(slice(None, None, -1) for _ in x.shape)
        return x[flip].copy()[flip]
    if layout == "read-only":
        x = x.copy()
        x.flags.writeable = False
        return x
    if layout == "channels-last" and x.ndim == 4:
        return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x)


@dataclass(frozen=True)
class Geometry:
    """A convolution or a pool: shapes, window and what to seed the values with."""
    N: int
    C: int
    F: int
    groups: int
    size: tuple[int, int]
    window: Window2d
    seed: int
    layout: str

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.N, self.C, *self.size

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.F, self.C // self.groups, *self.window.kernel

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.N, self.F, *self.window.output_size(self.size)

    @property
    def terms(self) -> int:
        """The products in one output."""
        return int(np.prod(self.w_shape[1:]))


@st.composite
def conv_geometries(draw: st.DrawFn, symmetric: bool = False) -> Geometry:
    """H≠W, KH≠KW, SH≠SW, DH≠DW, four unequal sides of padding from 0 to the window's extent - 1, strides that do not divide, groups,
    one-element axes. symmetric: the same padding before and after, as torch wants it."""
    kernel, stride, dilation = (draw(st.tuples(st.integers(1, most), st.integers(1, most))) for most in (3, 3, 2))
    padding: list[int] = []
    size: list[int] = []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        extent = d * (k - 1) + 1
        before = draw(st.integers(0, extent - 1))
        after = before if symmetric else draw(st.integers(0, extent - 1))
        least = max(1, extent - before - after)                # one output at least
        padding += [before, after]
        size.append(draw(st.integers(least, least + 2 * s + 1)))
    groups = draw(st.integers(1, 3))
    C, F = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    window = Window2d(kernel, stride, (padding[0], padding[1], padding[2], padding[3]), dilation)
    return Geometry(draw(st.integers(1, 2)), C, F, groups, (size[0], size[1]), window, draw(seeds), draw(layouts))


@st.composite
def pool_geometries(draw: st.DrawFn, dilation: int = 2, torch_padding: bool = False) -> Geometry:
    """Like conv_geometries, with ceil_mode. torch_padding: the same before and after, and at most half the kernel, so that (with
    dilation 1) every window sees an input pixel."""
    kernel, stride = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    dilations = draw(st.tuples(st.integers(1, dilation), st.integers(1, dilation)))
    padding: list[int] = []
    size: list[int] = []
    for k, s, d in zip(kernel, stride, dilations, strict=True):
        extent = d * (k - 1) + 1
        before = draw(st.integers(0, k // 2 if torch_padding else extent - 1))
        after = before if torch_padding else draw(st.integers(0, extent - 1))
        least = max(1, extent - before - after)
        padding += [before, after]
        size.append(draw(st.integers(least, least + 2 * s + 1)))
    window = Window2d(kernel, stride, (padding[0], padding[1], padding[2], padding[3]), dilations, draw(st.booleans()))
    C = draw(st.integers(1, 2))
    return Geometry(draw(st.integers(1, 2)), C, C, C, (size[0], size[1]), window, draw(seeds), draw(layouts))
