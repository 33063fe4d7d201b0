"""Tensors and the arrays of other libraries in one memory: NumPy's, and through DLPack those of torch, JAX and CuPy.

Nothing is copied unless that is asked for, so a change on one side is seen on the other. What would have to be a hidden copy is refused: a
tensor of the simulated device, whose memory is nobody else's, and a tensor that requires a gradient, which would be lost.

DLPack (dmlc.github.io/dlpack) is a description of memory: address, shape, strides, dtype, device. The methods are those of the array API
standard, `__dlpack__` and `__dlpack_device__`; NumPy and CuPy write and read the description.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.device import kind_of
from minicnn.kernels import devices
from minicnn.tensor import Tensor


def to_numpy(x: Tensor, force: bool = False) -> np.ndarray:
    """The array itself. force: detached, and copied from whichever device it is on."""
    if force:
        return devices.host(x.array)
    if x.requires_grad:
        raise RuntimeError("numpy() on a tensor that requires grad would lose its gradient: use detach().numpy()")
    return np.asarray(_on_host(x, "numpy()"))


def to_array(x: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """What np.asarray(x) and np.array(x) get: the array itself where dtype and copy allow. copy=False: ValueError where they do not."""
    if x.requires_grad:
        raise RuntimeError("an array of a tensor that requires grad would lose its gradient: use detach()")
    return np.array(_on_host(x, "an array"), dtype=dtype, copy=copy)


def _on_host(x: Tensor, what: str) -> np.ndarray:
    if not devices.on_host(x.array):
        raise TypeError(f"{what} of a tensor on {x.device} would be a hidden copy: copy it to the host first, with .cpu()")
    return x.array


def to_dlpack(x: Tensor, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: tuple[int, int] | None = None,
              copy: bool | None = None) -> Any:
    """What torch.from_dlpack(x) and np.from_dlpack(x) ask for: see `Tensor.__dlpack__`.

    Strides of channels-last and other views are kept, but none may be negative: torch 2.13 aborts the whole process on those.
    Memory that is read-only is marked so, which NumPy honours and torch does not look at.
    """
    if x.requires_grad:
        raise BufferError("__dlpack__ on a tensor that requires grad would lose its gradient: use detach()")
    dlpack_device(x)
    array = x.array
    if any(stride < 0 for n, stride in zip(array.shape, array.strides, strict=True) if n > 1):
        if not copy:
            raise BufferError(f"__dlpack__: this view runs backwards through memory (shape {array.shape}, strides {array.strides} bytes), "
                              "which not every library can follow: use .contiguous()")
        array = array.copy()
    options = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    return array.__dlpack__(**{name: value for name, value in options.items() if value is not None})


def dlpack_device(x: Tensor) -> tuple[int, int]:
    """(kind, number) of the device in DLPack's numbers: (1, 0) is the CPU, (2, 0) the first NVIDIA GPU."""
    if x.device.type == "cuda-sim":
        raise BufferError("__dlpack__: the memory of a simulated device is nobody else's: use .cpu()")
    kind, number = x.array.__dlpack_device__()
    return int(kind), int(number)


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares its memory with the array: a change of one is seen in the other.

    Raises TypeError for anything else, ValueError for numbers in the byte order of another machine.

    >>> x = np.zeros(3, np.float32)
    >>> from_numpy(x)[1] = 5
    >>> x
    array([0., 5., 0.], dtype=float32)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a numpy.ndarray, got {type(array).__name__}")
    if not array.dtype.isnative:
        raise ValueError(f"from_numpy: the bytes of {array.dtype} are in another order than this machine's: "
                         "convert them with array.astype(array.dtype.newbyteorder('='))")
    return Tensor(array)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A Tensor that shares its memory with any array that has __dlpack__ (torch, NumPy, JAX, ...), on the CPU, or on a GPU through CuPy.

    device: where the Tensor is to be; another device than x's means a copy. copy: True always copies, False never does.

    Raises TypeError for what has no __dlpack__ and for numbers that NumPy has not (bfloat16, ...); ValueError where copy=False but a copy
    is needed; BufferError, from the other library, where it refuses (torch: a tensor that requires grad, use detach()).
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: a {type(x).__name__} has no __dlpack__: give an array or a tensor, or use minicnn.tensor()")
    where = kind_of(device)
    array = _imported(x.contiguous() if copy and isinstance(x, Tensor) else x)
    here = devices.device_of(array)
    if where not in (None, here):
        if copy is False:
            raise ValueError(f"from_dlpack: copy=False, but going from {here} to {where} takes a copy")
        return Tensor(devices.move(array, where))
    return Tensor(array.copy(order="K") if copy else array)


def _imported(x: Any) -> Any:
    try:
        return devices.from_dlpack(x)
    except RuntimeError as error:                              # NumPy's, for a dtype that it has not
        dtype = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"from_dlpack: cannot share {dtype} ({error}): convert it first, in torch with .float()") from error
