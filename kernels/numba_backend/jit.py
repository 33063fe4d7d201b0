"""How this backend compiles: Numba in nopython mode, without the GIL, once a machine.

A kernel is a plain Python function on arrays. NUMBA_DISABLE_JIT=1 leaves it one.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from minicnn.kernels.numba_backend.cache import KernelCache
from minicnn.kernels.numba_backend.program import Kernel

config: Any = numba.config


def jit(*variant: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@jit()` compiles a function; `@jit(14, 2)` one that a factory makes for the constants 14 and 2, which it takes from its closure.

    A closure may hold numbers, strings, types, tuples of these, and compiled functions, for they are part of the name of the file that
    keeps the machine code; so are this backend's sources, but no other value of a global variable.

    Raises TypeError when the closure, or `variant`, holds anything else.
    """
    def compile(function: Callable[..., Any]) -> Any:
        if config.DISABLE_JIT:
            return function
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        constants = [(name, _constant(cell.cell_contents, function)) for name, cell in cells]
        text = repr((function.__module__, function.__qualname__, _constant(variant, function), constants))
        identity = hashlib.sha256(text.encode()).hexdigest()
        function.__qualname__ += f"_{identity[:16]}"           # else variants of a kernel that come from different processes are namesakes
        kernel: Any = Kernel(function, identity)
        kernel._cache = KernelCache(f"{function.__module__.rpartition('.')[2]}.{function.__name__}", identity)
        return kernel
    return compile


def _constant(value: Any, function: Any) -> Any:
    """The value as something whose repr is the same in every process, and differs for different values."""
    if isinstance(value, tuple):
        return tuple(_constant(part, function) for part in value)
    if isinstance(value, Kernel):
        return value.identity
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return type(value).__name__, repr(value)
    if isinstance(value, (types.Type, np.dtype)):
        return type(value).__name__, str(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"jit: {function.__qualname__} takes {value!r} of type {type(value).__name__} as a constant; "
                    "expected numbers, strings, types, tuples of these, or functions that jit has compiled")
