"""A stand-in for CuPy on a machine without a GPU: arrays and kernels are the simulator's, the rules about arguments are CuPy 14.2's.

What minicnn asks of CuPy goes through the same lines of code as on a GPU, so that an argument that CuPy would take for something else, or a
name that it does not have, is found here. `installed(monkeypatch)` puts it in CuPy's place for a test.

    cupy.ndarray             a pointer; strides are ignored
    None                     a null pointer
    numpy.ndarray            of one element, of any dtype: its bytes
    a NumPy scalar           its bytes
    bool, int, float         one byte, eight bytes, eight bytes (a double), whatever the kernel declares
    a grid of 0 blocks       1 block
"""
from __future__ import annotations

import contextlib
import importlib.machinery
import sys
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np
import pytest

from minicnn.kernels import devices
from minicnn.kernels.cuda_backend import cupy_engine, simulator, source
from minicnn.kernels.cuda_backend.launcher import Kernel
from minicnn.kernels.cuda_backend.source import Parameter

GPU = "Simulated GPU"
SHARED_LIMIT = 48 << 10          # bytes that a kernel gets unasked


class CUDADriverError(RuntimeError):
    """cupy_backends.cuda.api.driver.CUDADriverError"""


def _ours(value: Any) -> Any:
    """The simulator's arrays as CuPy's: the same objects, of another class."""
    if type(value) is simulator.DeviceArray:
        value.__class__ = ndarray
    elif isinstance(value, tuple | list):
        for each in value:
            _ours(each)
    return value


class ndarray(simulator.DeviceArray):                          # the name is CuPy's
    """cupy.ndarray(shape, dtype, memptr, strides): a view of memory that another array allocated, if memptr is given."""
    __slots__ = ()

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C") -> None:
        owner = simulator.empty(shape, dtype) if memptr is None else memptr.owner
        data = owner.allocation.bytes if memptr is None else memptr.owner.host.reshape(-1).view(np.uint8)
        super().__init__(np.ndarray(shape, dtype, data, 0 if memptr is None else memptr.offset, strides, order), owner.allocation)

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self)

    @property
    def device(self) -> Device:
        return Device(self.data.device_id)

    @property
    def T(self) -> Any:
        return _ours(super().T)

    @property
    def real(self) -> Any:
        return _ours(super().real)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        return (lambda *args, **kwargs: _ours(found(*args, **kwargs))) if callable(found) else found

    def __getitem__(self, key: Any) -> Any:
        return _ours(super().__getitem__(key))

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        return _ours(super().__array_ufunc__(*args, **kwargs))

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        return _ours(super().__array_function__(*args, **kwargs))


ndarray.__module__ = "cupy"


class MemoryPointer:
    """cupy.cuda.MemoryPointer: an array's first byte, or one that many bytes after it."""
    device_id = 0

    def __init__(self, owner: ndarray, offset: int = 0) -> None:
        self.owner, self.offset = owner, offset

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.owner, self.offset + offset)

    @property
    def ptr(self) -> int:
        return self.owner.address + self.offset


def array(a: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> Any:
    if isinstance(a, ndarray):
        return a.copy() if copy else a
    return _ours(simulator.to_device(np.asarray(a, dtype)))


def asarray(a: Any, dtype: Any = None, order: str | None = None) -> Any:
    return array(a, dtype, copy=False)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> Any:
    return _ours(simulator.empty(shape if isinstance(shape, tuple) else (shape,), dtype))


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get()


class RawModule:
    """cupy.RawModule, for the files in kernels/cuda_backend only, which the simulator knows by their name."""

    def __init__(self, code: str | None = None, *, path: str | None = None, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
            raise TypeError(f"options is {options!r}, expected a tuple of str")
        if not isinstance(code, str) or backend != "nvrtc":
            raise ValueError("the stand-in compiles source text with NVRTC")
        self.file = next(path.name for path in sorted(source.FOLDER.glob("*.cu")) if source.text(path.name) == code)
        self.real = next(option for option in options if option.startswith("-DREAL=")).removeprefix("-DREAL=")

    def get_function(self, name: str) -> RawKernel:
        if name not in source.signatures(self.file):
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        return RawKernel(Kernel(self.file, name), self.real)


class RawKernel:
    """cupy.RawKernel, as get_function gives it."""

    def __init__(self, kernel: Kernel, real: str) -> None:
        self.kernel, self.real = kernel, real
        self.max_dynamic_shared_size_bytes = SHARED_LIMIT
        self.shared_size_bytes = 0                             # static; set by tests

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        if not (isinstance(grid, tuple) and isinstance(block, tuple)):
            raise TypeError("Argument 'grid' and 'block' have incorrect type (expected tuple)")
        if shared_mem + self.shared_size_bytes > max(SHARED_LIMIT, self.max_dynamic_shared_size_bytes + self.shared_size_bytes):
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        blocks = tuple(max(1, n) for n in (*grid, 1, 1)[:3])
        values = tuple(_received(p, p.dtype or np.dtype({"float": np.float32, "double": np.float64}[self.real]), a)
                       for p, a in zip(self.kernel.parameters, args, strict=True))
        LAUNCHES.append(self.kernel)
        simulator.ENGINE.launch(self.kernel, self.real, blocks, tuple((*block, 1, 1)[:3]), values, shared_mem)


LAUNCHES: list[Kernel] = []                                    # what was launched, in order


def _received(p: Parameter, dtype: np.dtype, a: Any) -> Any:
    """What the kernel finds in its parameter: the first bytes of what CuPy passes, taken for what the kernel declares."""
    if p.pointer:
        if a is not None and not isinstance(a, ndarray):
            raise TypeError(f"{p.name}: the kernel would take the value {a!r} for an address")
        return a
    passed = _passed(p, a)
    if len(passed) < dtype.itemsize:
        raise TypeError(f"{p.name}: the kernel would read {dtype.itemsize} bytes of the {len(passed)} that CuPy passes for {a!r}")
    return np.frombuffer(passed[:dtype.itemsize], dtype).reshape(())


def _passed(p: Parameter, a: Any) -> bytes:
    if isinstance(a, np.ndarray):
        if a.size != 1:
            raise TypeError(f"{p.name}: a numpy.ndarray of {a.size} elements cannot be passed by value")
        return a.tobytes()
    if isinstance(a, np.generic):
        return a.tobytes()
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    if type(a) not in kinds:
        raise TypeError(f"Unsupported type {type(a)}")
    return np.asarray(a, kinds[type(a)]).tobytes()


class Device:
    """cupy.cuda.Device; there is one."""

    def __init__(self, device: Any = None) -> None:
        self.id = 0 if device is None else int(device)

    compute_capability = "80"                                  # a str, as CuPy's
    mem_info = (6 << 30, 8 << 30)                              # free, in all
    pci_bus_id = "0000:01:00.0"

    def synchronize(self) -> None:
        COUNTS["synchronize"] += 1

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


COUNTS = {"synchronize": 0}


class Event:
    """cupy.cuda.Event; the simulator is done when a call returns, so it can look at the clock."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.time: float | None = None

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        COUNTS["synchronize"] += 1


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """In milliseconds."""
    if start_event.time is None or end_event.time is None:
        raise CUDADriverError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return 1e3 * (end_event.time - start_event.time)


class Stream:
    """cupy.cuda.Stream"""
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None) -> None:
        pass

    def synchronize(self) -> None:
        COUNTS["synchronize"] += 1

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


Stream.null = Stream(null=True)


class MemoryPool:
    """cupy.cuda.MemoryPool: what is freed stays in the pool until free_all_blocks."""

    def __init__(self) -> None:
        self.most = 0

    def used_bytes(self) -> int:
        return sum(len(found.bytes) for reference in list(simulator.MEMORY._alive.values()) if (found := reference()) is not None)

    def total_bytes(self) -> int:
        self.most = max(self.most, self.used_bytes())
        return self.most

    def free_all_blocks(self, stream: Any = None) -> None:
        self.most = self.used_bytes()


_POOL = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    return _POOL


def get_array_module(*args: Any) -> ModuleType:
    return sys.modules[__name__] if any(isinstance(a, ndarray) for a in args) else np


runtime = SimpleNamespace(
    getDevice=lambda: 0, getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 13020, driverGetVersion=lambda: 13030,
    getDeviceProperties=lambda device: {"name": GPU.encode(), "major": 8, "minor": 0, "totalGlobalMem": 8 << 30, "clockRate": 0,
                                        "multiProcessorCount": 1})
cuda = SimpleNamespace(
    is_available=lambda: True, runtime=runtime, Device=Device, Event=Event, Stream=Stream, get_elapsed_time=get_elapsed_time,
    get_current_stream=lambda device_id=-1: Stream.null, MemoryPointer=MemoryPointer, MemoryPool=MemoryPool,
    nvrtc=SimpleNamespace(getVersion=lambda: (13, 2)), cublas=SimpleNamespace())
__version__ = "14.2.0"
CACHES = (cupy_engine.missing, cupy_engine._function, cupy_engine._module, cupy_engine._gpu, cupy_engine._compute_capability,
          devices.sample)


@contextlib.contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Inside the `with`, `import cupy` gives this module, and nothing is remembered of the CuPy that may be here."""
    module = sys.modules[__name__]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cupy", module)
        patch.setattr(module, "__spec__", importlib.machinery.ModuleSpec("cupy", None))
        forget()
        LAUNCHES.clear()
        yield module
    forget()


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


