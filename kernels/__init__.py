"""The kernels: arrays in, arrays out. They know nothing of Tensors, layers or training.

A backend is a module with the functions of CONTRACT, each with the same arguments, so that any two can be read side by side.
The array decides the device (numpy.ndarray: CPU, cupy.ndarray: CUDA); among the CPU backends the user chooses:

    minicnn.use_backend("numpy")         for the rest of the program, or as a context manager
    MINICNN_BACKEND=numpy                for a process

LADDER is the one registry of the ways to compute a convolution, from nested loops upwards; slow ones are kept on purpose.
"""
from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

CONTRACT = (
    "conv2d", "conv2d_grad_input", "conv2d_grad_weight", "im2col", "col2im", "max_pool2d", "max_pool2d_grad", "avg_pool2d",
    "avg_pool2d_grad", "batch_norm_statistics", "batch_norm", "batch_norm_grad", "relu", "relu_grad", "add",
    "linear", "linear_grad_input", "linear_grad_weight", "channel_sum", "prepare_conv2d", "prepare_linear",
    "softmax_cross_entropy", "softmax_cross_entropy_grad", "sgd_step", "adam_step",
)


@dataclass(frozen=True)
class Rung:
    """One way to compute a convolution: a module with conv2d, conv2d_grad_input and conv2d_grad_weight."""
    name: str
    module: str

    def load(self) -> ModuleType:
        return importlib.import_module(f"minicnn.kernels.{self.module}")

    def missing(self) -> str | None:
        """Why it cannot be used here, or None. Compiled rungs need Numba, and some more than that: `missing` of their module."""
        if not self.module.startswith("numba_backend."):
            return None
        reason: str | None = _numba_missing() or getattr(self.load(), "missing", lambda: None)()
        return reason

    @property
    def label(self) -> str:
        return label(self.load())


def label(module: ModuleType) -> str:
    """The first line of the docstring of the module's conv2d: what tests, benchmarks and README call it."""
    return (module.conv2d.__doc__ or "").splitlines()[0]


LADDER = (
    Rung("loops", "reference"),
    Rung("shift-and-add", "numpy_backend.shift_and_add"),
    Rung("im2col", "numpy_backend.conv2d"),
    Rung("compiled", "numba_backend.plain_loops"),
    Rung("parallel", "numba_backend.parallel_loops"),
    Rung("simd", "numba_backend.register_tile"),
)


@functools.cache    # asked at every operation, and finding a package reads the disk
def _numba_missing() -> str | None:
    return None if importlib.util.find_spec("numba") else "the package numba is not installed: pip install numba"


_BACKENDS: dict[str, tuple[str, Callable[[], str | None]]] = {     # name: (module, why it cannot be used, or None)
    "numba": ("numba_backend", _numba_missing),
    "numpy": ("numpy_backend", lambda: None),
    "cuda": ("cuda_backend", lambda: "this version of minicnn has no CUDA kernels"),
}


def available() -> dict[str, str | None]:
    """Every backend's name, with None if it can be used, else the reason why not."""
    return {name: missing() for name, (_, missing) in _BACKENDS.items()}


def get(name: str) -> ModuleType:
    """The backend module called `name`. Raises ValueError that lists what is available and, for the rest, why not.

    >>> get("numpy").__name__
    'minicnn.kernels.numpy_backend'
    """
    reasons = available()
    if name not in reasons or reasons[name]:
        what = f"backend {name!r} is not available" if name in reasons else f"unknown backend {name!r}"
        usable = ", ".join(n for n, why in reasons.items() if not why)
        rest = "".join(f"; not {n}: {why}" for n, why in reasons.items() if why)
        raise ValueError(f"{what}; available: {usable}{rest}")
    return importlib.import_module(f"minicnn.kernels.{_BACKENDS[name][0]}")


def details(name: str) -> tuple[str, ...]:
    """What the backend has to say about itself on this machine: sentences such as "threads: 2 (OpenMP)"."""
    found: tuple[str, ...] = getattr(get(name), "details", tuple)()
    return found


_chosen: str | None = None


def backend() -> str:
    """The CPU backend in use: `use_backend`'s choice, else MINICNN_BACKEND, else numba (numpy where numba is missing)."""
    return _chosen or _variable() or ("numpy" if _numba_missing() else "numba")


_KEY = os.environ.encodekey("MINICNN_BACKEND")


def _variable() -> str | None:
    """MINICNN_BACKEND, which every operation asks for: taken from the dict behind os.environ, for os.environ itself takes 0.7 µs."""
    encoded = getattr(os.environ, "_data", None)
    if encoded is None:
        return os.environ.get("MINICNN_BACKEND")
    value = encoded.get(_KEY)
    return value and os.environ.decodevalue(value)


class use_backend:
    """Choose the CPU backend: `use_backend("numpy")` from here on, `with use_backend("numpy"):` for a block."""

    def __init__(self, name: str) -> None:
        global _chosen
        get(name)
        self._before, _chosen = _chosen, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        global _chosen
        _chosen = self._before


@functools.cache
def _module(name: str) -> ModuleType:
    return get(name)


def of(x: Any) -> ModuleType:
    """The backend module for the array x: where the array lives decides the device."""
    if isinstance(x, np.ndarray):
        return _module(backend())
    raise TypeError(f"no backend for an array of type {type(x).__module__}.{type(x).__qualname__}: expected numpy.ndarray")
