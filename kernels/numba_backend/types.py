"""The types that kernels are compiled for: one signature a kernel and dtype, whatever the memory order of what they are given."""
from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype


def strided(dtype: Any, ndim: int) -> types.Array:
    """An array to read, of any strides."""
    return types.Array(from_dtype(np.dtype(dtype)), ndim, "A", readonly=True)


def flat(dtype: Any, readonly: bool = False) -> types.Array:
    """A one-dimensional contiguous array."""
    return types.Array(from_dtype(np.dtype(dtype)), 1, "C", readonly=readonly)


def record(dtype: np.dtype) -> types.Array:
    """A one-dimensional array of records."""
    return types.Array(from_dtype(dtype), 1, "C")


def compile_for(kernel: Any, *arguments: Any) -> Any:
    """Compile the kernel for these types alone; arrays that convert to them, such as contiguous to strided, are accepted."""
    if hasattr(kernel, "compile"):                             # not with NUMBA_DISABLE_JIT
        kernel.compile(arguments)
        kernel.disable_compile()
    return kernel
