"""DeviceArray: an array in the simulated device's memory, with the interface of cupy.ndarray as far as minicnn uses it.

NumPy's functions and operators work on it, and give DeviceArrays, as with CuPy; NumPy computes them. As with CuPy, host and device do
not mix: an operation on a DeviceArray and a numpy.ndarray, or an implicit conversion to one, is a TypeError, so that no copy is hidden.
The copies that are asked for (`get`, `item`, `float(x)`, `to_device`) are counted in `memory.TRANSFERS`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minicnn.kernels.cuda_backend.simulator import interface
from minicnn.kernels.cuda_backend.simulator.memory import MEMORY, TRANSFERS, Allocation

_ATTRIBUTES = {"shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags"}


class DeviceArray(NDArrayOperatorsMixin):
    """host: the values, a NumPy array, which only the simulator may touch. allocation: the device memory that they lie in."""
    __slots__ = ("__weakref__", "allocation", "host")

    def __init__(self, host: np.ndarray, allocation: Allocation) -> None:
        self.host, self.allocation = host, allocation

    @property
    def address(self) -> int:
        """Where the device sees the first element."""
        return self.allocation.address + (self.host.ctypes.data - self.allocation.bytes.ctypes.data)

    def __getattr__(self, name: str) -> Any:
        if name in _ATTRIBUTES:
            return getattr(self.host, name)
        if name in interface.METHODS:
            return _on_device(self, name)
        raise AttributeError(f"DeviceArray has no {name}")

    @property
    def T(self) -> DeviceArray:
        return _wrapped(self.host.T, [self])

    @property
    def real(self) -> DeviceArray:
        return _wrapped(self.host.real, [self])

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any) -> Any:
        interface.check_ufunc(ufunc, method, options)
        involved: list[DeviceArray] = []
        arrays, options = _unwrapped(inputs, involved), _unwrapped(options, involved)
        if not out:
            return _wrapped(getattr(ufunc, method)(*arrays, **options), involved)
        getattr(ufunc, method)(*arrays, out=_unwrapped(out, involved), **options)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        name = interface.full_name(func)
        interface.check(f"np.{name}", interface.FUNCTIONS.get(name), kwargs)
        if func is np.asarray and not isinstance(args[0], DeviceArray):    # like= a device array: a copy that is asked for
            return to_device(np.asarray(*args, **kwargs))
        involved: list[DeviceArray] = []
        result = func(*_unwrapped(args, involved), **_unwrapped(kwargs, involved))
        if func in (np.empty_like, np.empty):
            _poison(result)
        if isinstance(result, bool):                           # np.allclose and the like: CuPy leaves the answer on the device
            result = np.bool_(result)
        return _wrapped(result, involved)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a device array is not converted to a NumPy array implicitly: use .get(), or a Tensor's .cpu()")

    def __getitem__(self, key: Any) -> DeviceArray:
        return _wrapped(self.host[_unwrapped(key, [])], [self])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[_unwrapped(key, [])] = _unwrapped(value, [])

    def __copy__(self) -> DeviceArray:
        return _wrapped(self.host.copy("K"), [self])

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        """Memory of its own: Python's way would copy the numbers but keep the address."""
        return self.__copy__()

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"DeviceArray({self.host!r})"

    # Copies to the host, counted

    def get(self) -> np.ndarray:
        """A copy of the values in the host's memory."""
        TRANSFERS.note_to_host(self)
        return self.host.copy()

    def item(self, *index: int) -> Any:
        TRANSFERS.note_to_host(self.dtype.type())
        return self.host.item(*index)

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self) -> bytes:
        return self.get().tobytes()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self.item().__index__()

    def __bool__(self) -> bool:
        return bool(self.item())


def to_device(array: np.ndarray) -> DeviceArray:
    """A copy of a host array in the device's memory, C-contiguous."""
    TRANSFERS.note_to_device(array)
    return _adopted(np.array(array, order="C"))


def empty(shape: tuple[int, ...], dtype: Any) -> DeviceArray:
    """Device memory that nobody wrote to: every byte is 0xFF, so floats are NaN."""
    array = np.empty(shape, dtype)
    _poison(array)
    return _adopted(array)


def _poison(array: np.ndarray) -> None:
    if array.flags.c_contiguous:
        array.reshape(-1).view(np.uint8)[:] = 0xFF


def _adopted(array: np.ndarray) -> DeviceArray:
    return DeviceArray(array, MEMORY.adopt(array))


def _on_device(owner: DeviceArray, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        interface.check(f"ndarray.{name}", interface.METHODS[name], kwargs)
        involved = [owner]
        return _wrapped(getattr(owner.host, name)(*_unwrapped(args, involved), **_unwrapped(kwargs, involved)), involved)
    return call


def _unwrapped(value: Any, involved: list[DeviceArray]) -> Any:
    """The NumPy arrays behind DeviceArrays, in tuples, lists and dicts too; each DeviceArray is added to `involved`."""
    if isinstance(value, DeviceArray):
        involved.append(value)
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("a numpy.ndarray meets a device array: copy one of them first, with Tensor.to(device) or .cpu()")
    if isinstance(value, tuple | list):
        return type(value)(_unwrapped(v, involved) for v in value)
    if isinstance(value, dict):
        return {key: _unwrapped(v, involved) for key, v in value.items()}
    return value


def _wrapped(result: Any, involved: list[DeviceArray]) -> Any:
    """NumPy's result as DeviceArrays: a view stays in the memory of the array it is a view of, anything else gets memory of its own."""
    if isinstance(result, tuple | list):
        return type(result)(_wrapped(r, involved) for r in result)
    if isinstance(result, np.generic):
        return _adopted(np.array(result))
    if not isinstance(result, np.ndarray):
        return result
    for source in involved:
        if result is source.host:
            return source
        if np.may_share_memory(result, source.host) and result.size:
            return DeviceArray(result, source.allocation)
    return _adopted(result if result.flags.c_contiguous else np.array(result, order="C"))
