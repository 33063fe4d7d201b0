"""The kernels on a GPU: compiled by CuPy, launched on its current stream; arrays come from its memory pool."""
from __future__ import annotations

import functools
import importlib.util
from typing import Any

from minicnn.kernels.cuda_backend import source
from minicnn.kernels.cuda_backend.launcher import Kernel
from minicnn.kernels.cuda_backend.nvrtc import OPTIONS

STATIC_SHARED_LIMIT = 48 << 10   # bytes of dynamic shared memory from which a kernel must be told that it may have more


@functools.cache
def missing() -> str | None:
    """Why no kernel can run on a GPU here, or None. CuPy can be imported without a driver, so that is not the question."""
    if not importlib.util.find_spec("cupy"):
        return "the package cupy is not installed: pip install 'minicnn[cuda]'"
    try:
        import cupy

        if not cupy.cuda.is_available():
            return f"CuPy {cupy.__version__} is installed, but finds no CUDA device: is there an NVIDIA GPU, and its driver?"
    except Exception as error:                                 # whatever a broken installation raises
        return f"CuPy cannot be imported: {error}"
    return None


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
        function = _function(kernel, real, _device())
        if shared > STATIC_SHARED_LIMIT:
            function.max_dynamic_shared_size_bytes = shared
        function(grid, block, args, shared_mem=shared)


@functools.cache
def _function(kernel: Kernel, real: str, device: int) -> Any:
    return _module(kernel.file, real, device).get_function(kernel.name)


@functools.cache
def _module(file: str, real: str, device: int) -> Any:
    """The compiled file, on each device its own. CuPy keeps the machine code in its cache on disk (~/.cupy/kernel_cache)."""
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

    return int(cupy.cuda.Device().id)


ENGINE = CupyEngine()
