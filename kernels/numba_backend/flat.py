"""Arrays as the flat run of numbers that they are in memory: what a kernel that treats all numbers alike works on."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import workers

COMPILED = frozenset((np.dtype(np.float32), np.dtype(np.float64)))     # what kernels are compiled for; NumPy does the rest


def elementwise(kernel: Any, x: Any, *others: Any) -> Any:
    """y, after kernel(x, *others, y, threads) on flat arrays in one order of memory. All arrays have one shape.

    That order is C order if all arrays are in C order. Else 4-D arrays are taken as channels-last, which copies those that are not.
    """
    nhwc = x.ndim == 4 and not (x.flags.c_contiguous and all(a.flags.c_contiguous for a in others))
    y = empty((x.size,), x.dtype)
    kernel(flat(x, nhwc), *[flat(a, nhwc) for a in others], y, workers(x.size // 2))
    return shaped(y, x.shape, nhwc)


def over(kernel: Any, x: Any, *others: Any) -> Any:
    """x, after kernel(*others, x, threads) has written over it, in the order of memory that `elementwise` would take.

    Where x is not in that order, what is written over, and returned, is a copy.
    """
    nhwc = x.ndim == 4 and not (x.flags.c_contiguous and all(a.flags.c_contiguous for a in others))
    y = flat(x, nhwc)
    kernel(*[flat(a, nhwc) for a in others], y, workers(x.size // 2))
    return shaped(y, x.shape, nhwc)


def flat(x: Any, nhwc: bool = False) -> Any:
    """All of x in C order, or channels-last: the memory itself where it lies so and can be written, else a copy.

    Numba has another type for arrays that are read-only, and would compile every kernel once more for it.
    """
    f = dense(x) if nhwc else x.ravel()
    return f if f.flags.writeable else f.copy()


def shaped(y: Any, shape: tuple[int, ...], nhwc: bool) -> Any:
    """A flat array as one of this shape, the inverse of `flat`."""
    if nhwc:
        N, C, H, W = shape
        return y.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    return y.reshape(shape)
