"""Kernels that take arrays on a device, called with NumPy arrays: so one test runs over all backends, on the CPU or not.

    OnDevice(cuda_backend, "cuda-sim").relu(x)        # x goes to the simulated device, the result comes back

Every array argument goes there with its strides, a gap in its memory filled with NaN, and comes back afterwards: so a kernel that works in
place does, and one that changes what it should only read is found out.
"""
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from minicnn.kernels import cuda_backend
from minicnn.kernels.cuda_backend import nvrtc, simulator

CPU = [name for name in ("numba", "numpy") if not kernels.available()[name]]


class OnDevice:
    """A kernel module whose functions take and give NumPy arrays, and compute on a device: "cuda-sim", or "cuda", a GPU."""

    def __init__(self, module: ModuleType, device: str = "cuda-sim") -> None:
        self._module, self._device = module, device

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._wrapped(getattr(self._module, name))

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            there: dict[int, tuple[np.ndarray, Any]] = {}                # each array once: relu_grad(x, x) gets one array twice

            def move(a: Any) -> Any:
                return there.setdefault(id(a), (a, on_device(a, self._device)))[1] if isinstance(a, np.ndarray) else a

            result = function(*map(move, args), **{name: move(a) for name, a in kwargs.items()})
            for here, device_array in there.values():
                after = device_array.get()
                if after.tobytes() != here.tobytes():
                    here[...] = after
            return self._back(result)
        return call

    def _back(self, result: Any) -> Any:
        if isinstance(result, tuple):
            return tuple(map(self._back, result))
        return result.get() if hasattr(result, "get") else self._wrapped(result) if callable(result) else result


def on_device(x: np.ndarray, device: str) -> Any:
    """A copy there, with the strides of x: the bytes from its first to its last in memory, those that are not its own 0xFF."""
    if x.size == 0 or x.ndim == 0:
        bytes_, view = _bytes(x.nbytes), np.ascontiguousarray(x).reshape(x.shape)
        first = 0
    else:
        low, high = np.lib.array_utils.byte_bounds(x)
        bytes_, first, view = _bytes(high - low), x.ctypes.data - low, x
    memory = np.ndarray(view.shape, view.dtype, bytes_, first, view.strides)
    memory[...] = view
    if device == "cuda-sim":
        return simulator.DeviceArray(memory, simulator.MEMORY.adopt(bytes_))
    import cupy

    return cupy.ndarray(view.shape, view.dtype, cupy.asarray(bytes_).data + first, view.strides)


def _bytes(n: int) -> np.ndarray:
    return np.full(n, 0xFF, np.uint8)


def every_backend(*others: ModuleType) -> Any:
    """@pytest.mark.parametrize("k", ...) over those modules, the CPU's backends, and the CUDA kernels in the simulator."""
    simulated = pytest.param(OnDevice(cuda_backend), id="cuda-sim", marks=needs_nvrtc)
    return pytest.mark.parametrize("k", [*(pytest.param(m, id=m.__name__.split(".")[-1]) for m in others),
                                         *(pytest.param(kernels.get(name), id=name) for name in CPU), simulated])


needs_nvrtc = pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
