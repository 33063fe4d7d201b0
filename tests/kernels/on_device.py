"""Kernels that take arrays on a device, called with NumPy arrays: so one test runs over all backends, on the CPU or not.

    OnDevice(cuda_backend, "cuda-sim").relu(x)        # x goes to the simulated device, the result comes back

Every array argument goes there with its strides and alignment, gaps in its memory filled with NaN, and comes back afterwards: so a kernel
that works in place does, and one that changes what it should only read is found out.
"""
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from minicnn.kernels import cuda_backend
from minicnn.kernels.cuda_backend import cupy_engine, nvrtc, simulator

needs_nvrtc = pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
needs_gpu = pytest.mark.skipif(bool(cupy_engine.missing()), reason=str(cupy_engine.missing()))
CUDA_DEVICES = [pytest.param("cuda-sim", id="cuda-sim", marks=needs_nvrtc),
                pytest.param("cuda", id="cuda", marks=[pytest.mark.gpu, needs_gpu])]


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
    """A copy there, with the strides of x, and as many bytes beyond a multiple of 16. Bytes between its elements are 0xFF."""
    low, high = np.lib.array_utils.byte_bounds(x) if x.size else (x.ctypes.data, x.ctypes.data)
    bytes_, first = np.full(low % 16 + high - low, 0xFF, np.uint8), low % 16 + x.ctypes.data - low
    memory = np.ndarray(x.shape, x.dtype, bytes_, first, x.strides)
    memory[...] = x
    if device == "cuda-sim":
        return simulator.DeviceArray(memory, simulator.MEMORY.adopt(bytes_))
    import cupy

    return cupy.ndarray(x.shape, x.dtype, cupy.asarray(bytes_).data + first, x.strides)


def every_backend(*others: ModuleType) -> Any:
    """@pytest.mark.parametrize("k", ...) over those modules, the CPU's backends, and the CUDA kernels in the simulator and on a GPU."""
    cpu = [*others, *(kernels.get(name) for name in kernels.CPU_BACKENDS if not kernels.missing(name))]
    return pytest.mark.parametrize("k", [*(pytest.param(module, id=module.__name__.split(".")[-1]) for module in cpu),
                                         *(pytest.param(OnDevice(cuda_backend, *device.values), id=device.id, marks=device.marks)
                                           for device in CUDA_DEVICES)])
