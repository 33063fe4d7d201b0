"""Where arrays are, and the one place where they are copied from one device to another.

    "cpu"         numpy.ndarray       the host's memory
    "cuda"        cupy.ndarray        an NVIDIA GPU's
    "cuda-sim"    DeviceArray         the simulator's, which refuses what CuPy refuses, and counts the copies

CuPy and the simulator are imported when a device of theirs, or an array, is first asked about.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

DEVICES = ("cpu", "cuda", "cuda-sim")
CUDA_IN_DLPACK = 2                                             # its number for the memory of NVIDIA's GPUs

_HOME = {"numpy": "cpu", "cupy": "cuda", "minicnn.kernels.cuda_backend.simulator.array": "cuda-sim"}     # where an array's type is defined
_of_type: dict[type, str | None] = {np.ndarray: "cpu"}


def device_of(array: Any) -> str:
    """Where the array is. Raises TypeError for anything but an array of NumPy's, CuPy's or the simulator's.

    >>> device_of(np.zeros(3))
    'cpu'
    """
    cls = type(array)
    found = _of_type.get(cls) or _found_out(cls)
    if found is None:
        raise TypeError(f"no backend for an array of type {cls.__module__}.{cls.__qualname__}: expected numpy.ndarray or cupy.ndarray")
    return found


def _found_out(cls: type) -> str | None:
    """The device of a type of arrays, kept in _of_type; None for another type."""
    homes = (_HOME.get(base.__module__) for base in cls.__mro__ if base.__name__ in ("ndarray", "generic", "DeviceArray"))
    return _of_type.setdefault(cls, next((home for home in homes if home), None))


def is_array(x: Any) -> bool:
    """Whether it is an array, or a scalar, of NumPy's, CuPy's or the simulator's."""
    cls = type(x)
    return bool(_of_type.get(cls) or _found_out(cls))


def on_host(array: Any) -> bool:
    """Whether its values can be looked at without a copy."""
    return isinstance(array, np.ndarray)


def host(array: Any) -> np.ndarray:
    """The array itself if it is one of NumPy's, else a copy in the host's memory."""
    return array if isinstance(array, np.ndarray) else np.asarray(array if device_of(array) == "cpu" else array.get())


def move(array: Any, device: str) -> Any:
    """The array itself if it is on `device` already, else a copy there, in C order."""
    if device_of(array) == device:
        return array
    if device == "cpu":
        return host(array)
    if device == "cuda":
        import cupy

        return cupy.array(host(array), order="C")
    from minicnn.kernels.cuda_backend import simulator

    return simulator.to_device(host(array))


def beside(value: Any, array: Any) -> Any:
    """The value, an array or lists of numbers, where `array` is: itself if it is there already, or is a single number of Python's."""
    if isinstance(value, bool | int | float):
        return value
    return move(value if hasattr(value, "dtype") else np.asarray(value), device_of(array))


@functools.cache
def sample(device: str | None) -> Any:
    """An array there without values, for `np.zeros(shape, dtype, like=sample(device))`; None for the CPU, which needs none."""
    if device in (None, "cpu"):
        return None
    if device == "cuda":
        import cupy

        return cupy.empty(0)
    from minicnn.kernels.cuda_backend import simulator

    return simulator.empty((0,), np.float64)


def from_dlpack(array: Any) -> Any:
    """An array that shares its memory with `array`, of any library: NumPy's on the host, CuPy's on a GPU."""
    if array.__dlpack_device__()[0] == CUDA_IN_DLPACK:
        import cupy

        return cupy.from_dlpack(array)
    return np.from_dlpack(array)


def together(what: str, arrays: Sequence[Any], error: Exception) -> list[Any]:
    """What to try after `what` failed with `error` on these: single numbers of the host's become NumPy scalars, which go with any device.

    Raises RuntimeError when the others are on several devices, and `error` itself when that is not why it failed.
    """
    placed = [(a, device) for a in arrays if (device := _found_out(type(a)))]
    everywhere, needed = {device for _, device in placed}, {device for a, device in placed if a.ndim or device != "cpu"}
    if len(everywhere) < 2:
        raise error
    if len(needed) > 1:
        first, second = sorted(needed)[:2]
        raise RuntimeError(f"{what}: expected all tensors to be on the same device, but found {first} and {second}: move one of them, "
                           f"with .to({second!r}) or .to({first!r})") from error
    return [a[()] if isinstance(a, np.ndarray) and not a.ndim else a for a in arrays]


def synchronize(device: str) -> None:
    """Wait until the device has done all it was told to do."""
    if device == "cuda":
        import cupy

        cupy.cuda.Device().synchronize()


def details(device: str) -> tuple[str, ...]:
    """What there is to know about a device that is available, in sentences."""
    if device == "cuda":
        import cupy

        (major, minor), (_, memory) = gpu_capability(), cupy.cuda.Device().mem_info
        version = cupy.cuda.runtime.runtimeGetVersion()
        return (f"GPU: {gpu_name()}, compute capability {major}.{minor}, {memory / 2**30:.0f} GiB",
                f"CuPy {cupy.__version__}, CUDA {version // 1000}.{version % 1000 // 10}")
    from minicnn.kernels.cuda_backend import nvrtc

    return ("a GPU simulated in NumPy, which needs none: for learning and tests, and very slow", f"compiler: NVRTC {nvrtc.version()}")


def gpu_name() -> str:
    """Such as "NVIDIA GeForce RTX 4090"."""
    from minicnn.kernels.cuda_backend import cupy_engine

    return cupy_engine.ENGINE.gpu


def gpu_capability() -> tuple[int, int]:
    """Such as (8, 9)."""
    from minicnn.kernels.cuda_backend import cupy_engine

    return divmod(cupy_engine.ENGINE.compute_capability, 10)
