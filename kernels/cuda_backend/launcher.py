"""launch: the one door between Python and the CUDA kernels, the same for a GPU and for the simulator.

    SCALE = Kernel("scale.cu", "scale")                              extern "C" __global__ void scale(const real *x, real *y, int n)
    launch(SCALE, (blocks(n, 256),), (256,), (x, y, n))

Every argument is checked against the kernel's own declaration, because CUDA does not: it copies as many bytes as the kernel expects
from wherever it is pointed to. A Python int for an `int`, a float for a `real` are converted; anything of the wrong type, an array with
strides, or of the other device is refused with the kernel's and the parameter's name.
"""
from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minicnn.kernels import devices
from minicnn.kernels.cuda_backend import source
from minicnn.kernels.cuda_backend.source import Parameter

MOST_ELEMENTS = 2**31 - 2**14     # kernels count elements in ints, and the last block may count a tile beyond the end
MOST_BLOCKS = (2**31 - 1, 65535, 65535)
MOST_THREADS = 1024


@dataclass(frozen=True)
class Kernel:
    """A kernel, extern "C", of a .cu file in this folder. Its code is compiled for float or double: `real` in the file."""
    file: str
    name: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return source.signatures(self.file)[self.name]

    def __str__(self) -> str:
        return f"kernel {self.name} ({self.file})"


class Engine(Protocol):
    """What runs kernels: CuPy on a GPU, or the simulator. gpu: the model's name; compute_capability: 80 for 8.0."""

    @property
    def gpu(self) -> str: ...

    @property
    def compute_capability(self) -> int: ...

    def launch(self, kernel: Kernel, real: str, grid: tuple[int, int, int], block: tuple[int, int, int], args: tuple[Any, ...],
               shared: int) -> None:
        """Run it. real: "float" or "double". args: one for each parameter: a contiguous array of this engine or None for a pointer, a
        NumPy array of shape () and the parameter's dtype for a value. grid and block are in bounds; shared: bytes of dynamic memory."""


def launch(kernel: Kernel, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int = 0) -> None:
    """Run `kernel` on grid x block threads, on the device of its arrays.

    grid, block: one to three sizes; an empty grid runs nothing. args: an array (or None, where the kernel declares const) for each
    pointer, a number or a mapping of a struct's fields for each value. shared: bytes of dynamic shared memory a block.

    Raises TypeError or ValueError, naming the kernel and the parameter, for an argument that does not fit its declaration.
    """
    blocks, threads = _three(grid), _three(block)
    arrays = [a for p, a in zip(kernel.parameters, args, strict=False) if p.pointer and a is not None]
    real = _real(kernel, args)
    values = _checked(kernel, args, np.dtype(np.float64 if real == "double" else np.float32))
    if min(threads) < 1 or threads[0] * threads[1] * threads[2] > MOST_THREADS:
        raise ValueError(f"{kernel}: a block of {threads} threads: 1 to {MOST_THREADS} in all are possible")
    if any(n > most for n, most in zip(blocks, MOST_BLOCKS, strict=True)):
        raise ValueError(f"{kernel}: a grid of {blocks} blocks; at most {MOST_BLOCKS} are possible: use a smaller batch")
    if min(blocks) > 0:                                        # CuPy would make 1 of 0
        engine_of(arrays[0]).launch(kernel, real, blocks, threads, values, shared)


def blocks(n: int, size: int) -> int:
    """How many blocks of `size` cover n: ceil(n / size)."""
    return -(-n // size)


def padded(n: int, size: int) -> int:
    """n, up to whole blocks of `size`."""
    return blocks(n, size) * size


def engine_of(array: Any) -> Engine:
    """What runs kernels on the device where the array is."""
    if devices.device_of(array) == "cuda-sim":
        from minicnn.kernels.cuda_backend import simulator

        return simulator.ENGINE
    from minicnn.kernels.cuda_backend import cupy_engine

    return cupy_engine.ENGINE


def _three(sizes: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*(int(n) for n in sizes), 1, 1)[:3]
    return x, y, z


def _real(kernel: Kernel, args: Sequence[Any]) -> str:
    """The type that `real` stands for: that of the first array for a `real` pointer."""
    for p, a in zip(kernel.parameters, args, strict=False):
        if p.pointer and p.dtype is None and a is not None:
            return "double" if getattr(a, "dtype", None) == np.float64 else "float"
    return "float"


def _checked(kernel: Kernel, args: Sequence[Any], real: np.dtype) -> tuple[Any, ...]:
    if len(args) != len(kernel.parameters):
        raise TypeError(f"{kernel} takes {len(kernel.parameters)} arguments ({', '.join(p.name for p in kernel.parameters)}), "
                        f"got {len(args)}")
    return tuple(_array(kernel, p, a, p.dtype or real) if p.pointer else _value(kernel, p, a, p.dtype or real)
                 for p, a in zip(kernel.parameters, args, strict=True))


def _array(kernel: Kernel, p: Parameter, a: Any, dtype: np.dtype) -> Any:
    if a is None and p.constant:
        return None
    if not hasattr(a, "dtype") or isinstance(a, np.ndarray | np.generic):
        raise TypeError(f"{kernel}: {p.name} is a {type(a).__name__}; it must be an array on the device")
    if a.dtype != dtype:
        raise TypeError(f"{kernel}: {p.name} has dtype {a.dtype}, the kernel takes {dtype}")
    if not a.flags.c_contiguous:
        raise ValueError(f"{kernel}: {p.name} has strides {a.strides} for shape {a.shape}: kernels take contiguous memory only")
    if a.size > MOST_ELEMENTS:
        raise ValueError(f"{kernel}: {p.name} has {a.size:,} elements (shape {a.shape}); kernels count them in 32 bits, so at most "
                         f"{MOST_ELEMENTS:,}: use a smaller batch")
    return a


def _value(kernel: Kernel, p: Parameter, a: Any, dtype: np.dtype) -> np.ndarray:
    """A number, or a mapping of a struct's fields, as an array of shape () with the parameter's dtype, never rounded from another type."""
    if dtype.names:
        if not isinstance(a, Mapping) or a.keys() != set(dtype.names):
            raise TypeError(f"{kernel}: {p.name} takes the fields {', '.join(dtype.names)}, got {a!r}")
        try:
            return _packed(dtype.names, tuple(map(a.__getitem__, dtype.names)))
        except (TypeError, OverflowError):                     # some field is no int of 32 bits: which?
            return np.array(tuple(_integer(kernel, f"{p.name}.{name}", a[name], np.dtype(np.int32)) for name in dtype.names), dtype)
    if dtype.kind == "f":
        if isinstance(a, bool) or not (isinstance(a, int | float) or (isinstance(a, np.generic | np.ndarray) and a.dtype == dtype)):
            raise TypeError(f"{kernel}: {p.name} is {a!r} ({_kind(a)}), the kernel takes {dtype}")
        if isinstance(a, np.floating) and a.dtype != dtype:    # np.float64 is a float too
            raise TypeError(f"{kernel}: {p.name} is {a!r} ({_kind(a)}), the kernel takes {dtype}")
        return np.array(a, dtype)
    return np.array(_integer(kernel, p.name, a, dtype), dtype)


def _integer(kernel: Kernel, name: str, a: Any, dtype: np.dtype) -> int:
    if not isinstance(a, int | np.integer):
        raise TypeError(f"{kernel}: {name} is {a!r} ({_kind(a)}), the kernel takes {dtype}")
    least, most = _bounds(dtype)
    if not least <= int(a) <= most:
        raise ValueError(f"{kernel}: {name} is {int(a):,}, the kernel takes {dtype}: {least:,} to {most:,}")
    return int(a)


@functools.cache
def _bounds(dtype: np.dtype) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@functools.lru_cache(4096)    # the same layers meet the same shapes in every step
def _packed(names: tuple[str, ...], values: tuple[int, ...]) -> np.ndarray:
    """A struct of ints. Raises TypeError for a value of another type, OverflowError for one beyond 32 bits."""
    if any(type(v) is not int for v in values):
        raise TypeError
    packed = np.array(values, np.dtype([(name, np.int32) for name in names]))
    packed.flags.writeable = False
    return packed


def _kind(a: Any) -> str:
    return str(a.dtype) if hasattr(a, "dtype") else type(a).__name__
