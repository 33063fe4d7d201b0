"""The kernels: arrays in, arrays out. They know nothing of Tensors, layers or training.

A backend is a module with the functions of CONTRACT, each with the same arguments, so that any two can be read side by side.
The array decides the device (see devices.py: numpy.ndarray is the CPU, cupy.ndarray a GPU); among the CPU backends the user chooses:

    minicnn.use_backend("numpy")         for the rest of the program, or as a context manager
    MINICNN_BACKEND=numpy                for a process

The commands `minicnn train` and `minicnn predict` take the name of a device too, --backend cuda or MINICNN_BACKEND=cuda.

LADDER is the one registry of the ways to compute a convolution, from nested loops upwards; slow ones are kept on purpose.
"""
from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from minicnn.kernels import devices

CONTRACT = (
    "conv2d", "conv2d_grad_input", "conv2d_grad_weight", "im2col", "col2im", "max_pool2d", "max_pool2d_grad", "avg_pool2d",
    "avg_pool2d_grad", "batch_norm_statistics", "batch_norm", "batch_norm_grad", "batch_norm_pool", "batch_norm_pool_grad", "relu",
    "relu_grad", "add", "linear", "linear_grad_input", "linear_grad_weight", "channel_sum", "prepare_conv2d", "prepare_linear",
    "softmax_cross_entropy", "softmax_cross_entropy_grad", "sgd_step", "adam_step", "move_pixels",
)


@dataclass(frozen=True)
class Rung:
    """One way to compute a convolution: a module with conv2d, conv2d_grad_input and conv2d_grad_weight."""
    name: str
    module: str

    def load(self) -> ModuleType:
        return importlib.import_module(f"minicnn.kernels.{self.module}")

    def missing(self) -> str | None:
        """Why it cannot be used here, or None. Compiled rungs need Numba, and some more than that: `missing` of their module; CUDA's need
        a GPU."""
        if self.on_cuda:
            return _cuda_missing()
        if not self.module.startswith("numba_backend."):
            return None
        reason: str | None = _numba_missing() or getattr(self.load(), "missing", lambda: None)()
        return reason

    @property
    def on_cuda(self) -> bool:
        """Whether it takes arrays on a CUDA device, or a simulated one."""
        return self.module.startswith("cuda_backend.")

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
    Rung("cuda-direct", "cuda_backend.conv2d_direct"),
    Rung("cuda-im2col", "cuda_backend.conv2d_im2col"),
    Rung("cuda-tiled", "cuda_backend.conv2d_tiled"),
    Rung("cuda-blocked", "cuda_backend.conv2d_blocked"),
    Rung("cuda-pipelined", "cuda_backend.conv2d_pipelined"),
    Rung("cuda-tensor-cores", "cuda_backend.conv2d_tensor_cores"),
)


@functools.cache    # asked at every operation, and finding a package reads the disk
def _numba_missing() -> str | None:
    return None if importlib.util.find_spec("numba") else "the package numba is not installed: pip install numba"


def _cuda_missing() -> str | None:
    from minicnn.kernels.cuda_backend import cupy_engine

    return cupy_engine.missing()


def _simulator_missing() -> str | None:
    from minicnn.kernels.cuda_backend import nvrtc

    return nvrtc.missing()


CPU_BACKENDS = ("numba", "numpy")
_BACKENDS: dict[str, tuple[str, Callable[[], str | None]]] = {     # name: (module, why it cannot be used, or None)
    "numba": ("numba_backend", _numba_missing),
    "numpy": ("numpy_backend", lambda: None),
    "cuda": ("cuda_backend", _cuda_missing),
    "cuda-sim": ("cuda_backend", _simulator_missing),
}
BACKENDS = tuple(_BACKENDS)


def missing(name: str) -> str | None:
    """Why the backend called `name`, one of BACKENDS, cannot be used, or None. Asked about "cuda", it imports CuPy where there is one."""
    return _BACKENDS[name][1]()


def available() -> dict[str, str | None]:
    """Every backend's name, with None if it can be used, else the reason why not."""
    return {name: missing(name) for name in BACKENDS}


def get(name: str) -> ModuleType:
    """The backend module called `name`. Raises ValueError that lists what is available and, for the rest, why not.

    >>> get("numpy").__name__
    'minicnn.kernels.numpy_backend'
    """
    if name not in BACKENDS or missing(name):
        raise ValueError(f"{f'backend {name!r} is not available' if name in BACKENDS else f'unknown backend {name!r}'}; {_listing()}")
    return importlib.import_module(f"minicnn.kernels.{_BACKENDS[name][0]}")


def _listing() -> str:
    reasons = available()
    rest = "".join(f"; not {name}: {why}" for name, why in reasons.items() if why)
    return f"available: {', '.join(name for name, why in reasons.items() if not why)}{rest}"


def details(name: str) -> tuple[str, ...]:
    """What the backend has to say about itself on this machine: sentences such as "threads: 2 (OpenMP)"."""
    if name in devices.DEVICES:
        return devices.details(name)
    found: tuple[str, ...] = getattr(get(name), "details", tuple)()
    return found


_chosen: str | None = None


def backend() -> str:
    """The backend in use: `use_backend`'s choice, else MINICNN_BACKEND, else numba (numpy where numba is missing)."""
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
        _refuse_device("use_backend", name)
        self._before, _chosen = _chosen, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        global _chosen
        _chosen = self._before


@contextlib.contextmanager
def computing_with(name: str | None) -> Iterator[str]:
    """For a block, compute with a backend of any kind, or with the default. Gives the device where arrays belong: its own, or the CPU.

    Raises ValueError for a backend that does not exist or is not available.
    """
    name = name or backend()
    get(name)
    device = name if name in devices.DEVICES else "cpu"
    with use_backend(name if device == "cpu" else next(other for other in CPU_BACKENDS if not missing(other))):
        yield device


def _refuse_device(what: str, name: str) -> None:
    if name in devices.DEVICES:
        raise ValueError(f"{what}: {name!r} is a device, and this chooses what computes on the CPU ({', '.join(CPU_BACKENDS)}); computing "
                         f"there is asked for with model.to({name!r}) and x.to({name!r}), or with minicnn train --backend {name}")


@functools.cache
def _module(name: str) -> ModuleType:
    _refuse_device("MINICNN_BACKEND", name)
    return get(name)


def of(x: Any) -> ModuleType:
    """The backend module for the array x: where the array is decides the device."""
    if isinstance(x, np.ndarray):
        return _module(backend())
    return _of_device(devices.device_of(x))


@functools.cache
def _of_device(device: str) -> ModuleType:
    return _module(backend()) if device == "cpu" else importlib.import_module(f"minicnn.kernels.{_BACKENDS[device][0]}")
