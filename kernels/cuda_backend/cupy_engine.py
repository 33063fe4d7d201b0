"""The kernels on a GPU: compiled by CuPy, launched on its current stream; arrays come from its memory pool."""
from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend import source
from minicnn.kernels.cuda_backend.launcher import Kernel
from minicnn.kernels.cuda_backend.nvrtc import OPTIONS

SHARED_LIMIT = 48 << 10          # bytes of shared memory, static and dynamic; for more a kernel must be told that it may


@functools.cache
def missing() -> str | None:
    """Why no kernel can run on a GPU here, or None. CuPy can be imported without a driver, and has a device without a compiler."""
    if not importlib.util.find_spec("cupy"):
        return "the package cupy is not installed: pip install 'minicnn[cuda]'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")                   # where a warning is an error, one of CuPy's is no reason to do without it
            import cupy

        if not cupy.cuda.is_available():
            return f"CuPy {cupy.__version__} is installed, but finds no CUDA device: {_without_device(cupy.cuda.runtime)}"
    except Exception as error:                                 # whatever a broken installation raises
        return f"CuPy cannot be imported: {_first_line(error)}"
    try:
        cupy.cuda.nvrtc.getVersion()
        cupy.cuda.cublas                                       # noqa: B018  # loaded when it is first asked for
    except Exception as error:
        return (f"CuPy {cupy.__version__} finds a GPU, but not CUDA's compiler or cuBLAS ({_first_line(error)}): "
                "pip install 'minicnn[cuda]' brings them")
    return None


def _without_device(runtime: Any) -> str:
    """What is wrong when CUDA has no device: no driver, one that is too old, or no GPU that this process may see."""
    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if not driver:
        return "there is no NVIDIA driver (or no NVIDIA GPU)"
    if driver < needed // 1000 * 1000:
        return f"the driver is for CUDA {_version(driver)}, too old for CuPy's CUDA {_version(needed)}"
    try:
        return f"the driver counts {runtime.getDeviceCount()} GPUs: see CUDA_VISIBLE_DEVICES"
    except Exception as error:
        return _first_line(error)


def _version(number: int) -> str:
    """13020 -> "13.2" """
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class CupyEngine:
    """CuPy on its current device and stream."""

    @property
    def gpu(self) -> str:
        return _gpu(_device())

    @property
    def compute_capability(self) -> int:
        return _compute_capability(_device())

    def launch(self, kernel: Kernel, real: str, grid: tuple[int, int, int], block: tuple[int, int, int], args: tuple[Any, ...],
               shared: int) -> None:
        device = _device()
        for a in args:
            if a is not None and not isinstance(a, np.ndarray) and a.data.device_id != device:    # CuPy does not look
                raise ValueError(f"{kernel}: an array is on GPU {a.data.device_id}, but the current GPU is {device}: minicnn uses one GPU, "
                                 f"the current one; compute inside `with cupy.cuda.Device({a.data.device_id}):`")
        function = _function(kernel, real, device)
        if shared and shared + function.shared_size_bytes > SHARED_LIMIT:
            function.max_dynamic_shared_size_bytes = shared
        function(grid, block, args, shared_mem=shared)


@functools.cache
def _function(kernel: Kernel, real: str, device: int) -> Any:
    return _module(kernel.file, real, device).get_function(kernel.name)


@functools.cache
def _module(file: str, real: str, device: int) -> Any:
    """The file, compiled for the current device's model. CuPy keeps the machine code in its cache on disk (~/.cupy/kernel_cache)."""
    import cupy

    return cupy.RawModule(code=source.text(file), options=(*OPTIONS, f"-DREAL={real}"), backend="nvrtc")


@functools.cache
def _gpu(device: int) -> str:
    import cupy

    return str(cupy.cuda.runtime.getDeviceProperties(device)["name"].decode())


@functools.cache
def _compute_capability(device: int) -> int:
    import cupy

    return int(cupy.cuda.Device(device).compute_capability)


def _device() -> int:
    import cupy

    return int(cupy.cuda.runtime.getDevice())


ENGINE = CupyEngine()
