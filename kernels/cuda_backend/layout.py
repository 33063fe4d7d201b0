"""What kernels are told about arrays: contiguous memory, and the fields of `struct Window` in window.cuh."""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend.divide import divisor
from minicnn.kernels.cuda_backend.launcher import blocks
from minicnn.kernels.window import Window2d

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))         # what `real` can be; other dtypes are left to numpy_backend
MOST_PIXELS = 2**31 - 1
STRIDING = 256                   # threads a block of kernels that go in grid strides
MOST_STRIDING = 4096             # blocks of them


def contiguous(a: Any, dtype: Any = None) -> Any:
    """The array itself, or a copy of it in C order (and of that dtype): kernels are given an address, not strides. None stays None."""
    if a is None:
        return None
    if dtype is not None and a.dtype != dtype:
        return a.astype(dtype, order="C")
    return a if a.flags.c_contiguous else a.copy(order="C")


def window_fields(planes: int, input_size: Sequence[int], window: Window2d) -> dict[str, int]:
    """The fields of `struct Window`: `planes` images of (H, W), one for each n and c. Raises ValueError beyond 32 bits."""
    return _window_fields(planes, tuple(input_size), window)


@functools.lru_cache(4096)
def _window_fields(planes: int, input_size: tuple[int, ...], window: Window2d) -> dict[str, int]:
    (H, W), (OH, OW) = input_size, window.output_size(input_size)
    (KH, KW), (SH, SW), (DH, DW), (PT, PB, PL, PR) = window.kernel, window.stride, window.dilation, window.padding
    if max(padded := window.padded_size(input_size)) > MOST_PIXELS:
        raise ValueError(f"images of {H} x {W} are {padded[0]:,} x {padded[1]:,} with their padding; kernels count pixels in 32 bits")
    return {"planes": planes, "H": H, "W": W, "OH": OH, "OW": OW, "KH": KH, "KW": KW, "SH": SH, "SW": SW, "DH": DH, "DW": DW,
            "PT": PT, "PB": PB, "PL": PL, "PR": PR}


def divisors(size: Sequence[int], window: Window2d) -> dict[str, int]:
    """The fields of `struct Divisors`, for a kernel with a thread for each element of planes of `size` (rows, columns)."""
    return _divisors(tuple(size), window)


@functools.lru_cache(4096)
def _divisors(size: tuple[int, ...], window: Window2d) -> dict[str, int]:
    found = {}
    for names, values in (("rows", "columns"), size), (("SH", "SW"), window.stride), (("DH", "DW"), window.dilation):
        for name, value in zip(names, values, strict=True):
            found[name], found[f"{name}_shift"] = divisor(value)
    return found


def grid_stride(values: int) -> tuple[int]:
    """The grid of a kernel whose threads take four values at a time and go on by the grid's size: no more blocks than fill any GPU."""
    return (min(blocks(values, 4 * STRIDING), MOST_STRIDING),)
