"""Tensor: an array, its gradient, and the node of the tape that made it.

The methods are torch's, and each is one call of an operation in `minicnn.ops`, where the mathematics is.
"""
from __future__ import annotations

import builtins
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.device import destination, device, device_of
from minicnn.hooks import RemovableHandle
from minicnn.kernels import devices
from minicnn.recording import changed

if TYPE_CHECKING:
    from minicnn.autograd import Node

# minicnn.ops and minicnn.autograd put themselves here when they are imported: they are built on Tensor, so Tensor cannot import them.
ops: Any = None
autograd: Any = None

DEFAULT_DTYPE = np.dtype(np.float32)
Axis = int | Sequence[int] | None


_UFUNCS = {                      # NumPy's functions that are operations here, by name
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.power: "pow", np.matmul: "matmul", np.negative: "neg",
    np.equal: "eq", np.not_equal: "ne", np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge",
    np.maximum: "maximum", np.minimum: "minimum", np.absolute: "abs", np.exp: "exp", np.log: "log", np.sqrt: "sqrt", np.tanh: "tanh",
    np.sin: "sin", np.cos: "cos", np.remainder: "remainder", np.floor_divide: "floor_divide", np.sign: "sign",
}


class Tensor:
    """A multi-dimensional array that remembers how it was made, so that gradients can flow back through it.

    array: the values, a NumPy array, or one of CuPy's on a GPU. grad: their gradient, a Tensor, or None.

    data: anything NumPy can turn into an array; an array is wrapped without a copy. Python numbers become float32 (integers: int64).
    requires_grad: whether `backward()` should leave the gradient of this tensor in `.grad`.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])
    """
    __slots__ = ("__weakref__", "_requires_grad", "array", "grad", "hooks", "node")

    def __init__(self, data: Any, requires_grad: builtins.bool = False, dtype: Any = None) -> None:
        if type(data) is not np.ndarray:
            data = _as_array(data)
        if dtype is not None:
            data = data.astype(dtype, copy=False)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"a Tensor holds floats, integers or booleans, not {data.dtype}")
        self.array: Any = data
        self.grad: Tensor | None = None
        self.node: Node | None = None
        self.hooks: dict[Any, Any] | None = None             # of register_hook; those of a recorded result are its node's
        self._requires_grad = False
        if requires_grad:
            self.requires_grad_()

    # What it is

    @property
    def data(self) -> Tensor:
        """The same values outside the tape: `p.data.fill_(0)`, `p.data -= lr * p.grad` and `p.data = x` change p, unrecorded."""
        return Tensor(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        self.array = value.array if isinstance(value, Tensor) else value
        changed()

    @property
    def shape(self) -> tuple[builtins.int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def ndim(self) -> builtins.int:
        return self.array.ndim

    @property
    def T(self) -> Tensor:
        return self.permute(*range(self.ndim)[::-1])

    @property
    def is_leaf(self) -> builtins.bool:
        """True when no recorded operation made it."""
        return self.node is None

    @property
    def requires_grad(self) -> builtins.bool:
        return self.node is not None or self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: builtins.bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: builtins.bool = True) -> Tensor:
        """Ask for a gradient, or no longer, and return self."""
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only floating-point tensors can require gradients, this one is {self.dtype}")
        if self.node is not None and not requires_grad:
            raise RuntimeError("this tensor is the result of a recorded operation, so its requires_grad cannot be switched off: "
                               "use detach()")
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def device(self) -> device:
        return device_of(self.array)

    def size(self, dim: builtins.int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> builtins.int:
        return self.ndim

    def numel(self) -> builtins.int:
        return int(self.array.size)

    def nelement(self) -> builtins.int:
        return self.numel()

    def is_floating_point(self) -> builtins.bool:
        return bool(self.array.dtype.kind == "f")

    def is_contiguous(self) -> builtins.bool:
        return bool(self.array.flags.c_contiguous)

    def __len__(self) -> builtins.int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        values = np.array2string(devices.host(self.array), separator=", ", prefix="tensor(", threshold=200, edgeitems=3, precision=4)
        notes = [values]
        if self.array.size == 0 or self.array.size > 200:         # values alone would not show the shape
            notes.append(f"shape={self.shape}")
        if not devices.on_host(self.array):
            notes.append(f"device='{self.device}'")
        if self.dtype not in (DEFAULT_DTYPE, np.int64, np.bool_):
            notes.append(f"dtype={self.dtype}")
        if self.node is not None:
            notes.append(f"grad_fn=<{self.node.name}>")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"

    # Out of the framework

    def item(self) -> Any:
        """The one value as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(f"item(): a tensor of shape {self.shape} has {self.array.size} values, not one")
        return self.array.item()

    def tolist(self) -> Any:
        return self.array.tolist()

    def numpy(self, *, force: builtins.bool = False) -> np.ndarray:
        """The array itself, not a copy. force: of a tensor that requires grad too, and copied from another device.

        Raises, without force, RuntimeError for the first and TypeError for the second.
        """
        return ops.to_numpy(self, force)

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> np.ndarray:
        return ops.to_array(self, dtype, copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any) -> Any:
        """NumPy's functions: `array * tensor` and np.exp(tensor) are operations of ours; `array -= tensor` changes the array."""
        if method == "__call__" and ufunc in _UFUNCS and not out and not options:
            return getattr(ops, _UFUNCS[ufunc])(*inputs)
        arrays = [np.asarray(x) if isinstance(x, Tensor) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **({"out": out} if out else {}), **options)

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: builtins.bool | None = None) -> Any:
        """For torch.from_dlpack(x), np.from_dlpack(x) and the like, which share the memory: see `minicnn.ops.exchange`."""
        return ops.to_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]:
        return ops.dlpack_device(self)

    def __float__(self) -> builtins.float:
        return float(self.item())

    def __int__(self) -> builtins.int:
        return int(self.item())

    def __index__(self) -> builtins.int:
        if self.array.dtype.kind not in "iu":
            raise TypeError(f"only integer tensors of a single value can be an index, this one is {self.dtype}")
        return int(self.item())

    def __bool__(self) -> builtins.bool:
        if self.array.size != 1:
            raise RuntimeError(f"a tensor of shape {self.shape} is neither true nor false: use .any() or .all()")
        return bool(self.array.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    # The tape

    def backward(self, gradient: Any = None, retain_graph: builtins.bool = False) -> None:
        """Add the gradient of this tensor to the .grad of every leaf it was computed from: see `minicnn.autograd.backward`."""
        autograd.backward(self, gradient, retain_graph)

    def detach(self) -> Tensor:
        """The same array, cut off from the tape."""
        return Tensor(self.array)

    def retain_grad(self) -> Tensor:
        """Keep the gradient of this intermediate result in .grad too."""
        if self.node is not None:
            self.node.keep = weakref.ref(self)
        return self

    def register_hook(self, hook: Any) -> RemovableHandle:
        """Call hook(gradient) when backward() has the whole gradient of this tensor; what it returns, if not None, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("register_hook() on a tensor that does not require a gradient: no gradient will come")
        owner = self.node or self
        if owner.hooks is None:
            owner.hooks = {}
        return RemovableHandle(owner.hooks, hook)

    @property
    def grad_fn(self) -> Node | None:
        return self.node

    def clone(self) -> Tensor:
        return ops.clone(self)

    # Types and devices

    def to(self, *args: Any, **options: Any) -> Tensor:
        """The values on another device, or in another dtype (recorded when both are floating point); what already fits gives self.

        `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(another_tensor)`, or by name: see `minicnn.device.destination`.
        """
        where, dtype = destination(*args, **options)
        moved = self if where is None else ops.move(self, where)
        return moved if dtype is None else ops.cast(moved, dtype)

    def type(self, dtype: Any) -> Tensor:
        return ops.cast(self, dtype)

    def float(self) -> Tensor:
        return ops.cast(self, np.float32)

    def double(self) -> Tensor:
        return ops.cast(self, np.float64)

    def long(self) -> Tensor:
        return ops.cast(self, np.int64)

    def int(self) -> Tensor:
        return ops.cast(self, np.int32)

    def bool(self) -> Tensor:
        return ops.cast(self, np.bool_)

    def cpu(self) -> Tensor:
        return ops.move(self, "cpu")

    def cuda(self, device: Any = "cuda", non_blocking: builtins.bool = False) -> Tensor:
        return self.to(device)

    def contiguous(self) -> Tensor:
        return self if self.is_contiguous() else ops.clone(self)

    # Arithmetic (broadcasting as in NumPy)

    def __add__(self, other: Any) -> Tensor: return ops.add(self, other)
    def __radd__(self, other: Any) -> Tensor: return ops.add(other, self)
    def __sub__(self, other: Any) -> Tensor: return ops.sub(self, other)
    def __rsub__(self, other: Any) -> Tensor: return ops.sub(other, self)
    def __mul__(self, other: Any) -> Tensor: return ops.mul(self, other)
    def __rmul__(self, other: Any) -> Tensor: return ops.mul(other, self)
    def __truediv__(self, other: Any) -> Tensor: return ops.div(self, other)
    def __rtruediv__(self, other: Any) -> Tensor: return ops.div(other, self)
    def __floordiv__(self, other: Any) -> Tensor: return ops.floor_divide(self, other)
    def __mod__(self, other: Any) -> Tensor: return ops.remainder(self, other)
    def __pow__(self, other: Any) -> Tensor: return ops.pow(self, other)
    def __rpow__(self, other: Any) -> Tensor: return ops.pow(other, self)
    def __matmul__(self, other: Any) -> Tensor: return ops.matmul(self, other)
    def __rmatmul__(self, other: Any) -> Tensor: return ops.matmul(other, self)
    def __neg__(self) -> Tensor: return ops.neg(self)
    def __abs__(self) -> Tensor: return ops.abs(self)
    def add(self, other: Any, *, alpha: Any = 1) -> Tensor: return ops.add(self, other, alpha=alpha)
    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor: return ops.sub(self, other, alpha=alpha)
    def mul(self, other: Any) -> Tensor: return ops.mul(self, other)
    def div(self, other: Any) -> Tensor: return ops.div(self, other)
    def pow(self, exponent: Any) -> Tensor: return ops.pow(self, exponent)
    def matmul(self, other: Any) -> Tensor: return ops.matmul(self, other)
    def mm(self, other: Any) -> Tensor: return ops.matmul(self, other)
    def maximum(self, other: Any) -> Tensor: return ops.maximum(self, other)
    def minimum(self, other: Any) -> Tensor: return ops.minimum(self, other)

    # In place: `p -= lr * p.grad` inside no_grad() changes the array; outside, a tensor on the tape takes over the recorded result, and
    # its old value stays what it was for whoever used it before. (A view of it, taken before, keeps the old value too.)

    def __iadd__(self, other: Any) -> Tensor: return self._become(ops.add(self, other))
    def __isub__(self, other: Any) -> Tensor: return self._become(ops.sub(self, other))
    def __imul__(self, other: Any) -> Tensor: return self._become(ops.mul(self, other))
    def __itruediv__(self, other: Any) -> Tensor: return self._become(ops.div(self, other))
    def __ipow__(self, other: Any) -> Tensor: return self._become(ops.pow(self, other))
    def __setitem__(self, index: Any, value: Any) -> None:
        if self._recorded(value):
            self._become(ops.setitem(self, index, value))
        else:
            ops.assign(self.array, index, value.array if isinstance(value, Tensor) else value)

    def add_(self, other: Any, *, alpha: Any = 1) -> Tensor: return self._become(ops.add(self, other, alpha=alpha))
    def sub_(self, other: Any, *, alpha: Any = 1) -> Tensor: return self._become(ops.sub(self, other, alpha=alpha))
    def mul_(self, other: Any) -> Tensor: return self._become(ops.mul(self, other))
    def div_(self, other: Any) -> Tensor: return self._become(ops.div(self, other))
    def clamp_(self, min: Any = None, max: Any = None) -> Tensor: return self._become(ops.clamp(self, min, max))
    def copy_(self, source: Any) -> Tensor:
        here = ops.cast(ops.move(source, devices.device_of(self.array)), self.dtype)
        return self._become(ops.clone(ops.expand(here, self.shape)))

    def fill_(self, value: Any) -> Tensor: return self._become(ops.full_like(self, value))
    def zero_(self) -> Tensor: return self.fill_(0)
    def normal_(self, mean: Any = 0, std: Any = 1) -> Tensor: return self._become(ops.randn_like(self) * std + mean)
    def uniform_(self, low: Any = 0, high: Any = 1) -> Tensor: return self._become(ops.rand_like(self) * (high - low) + low)

    def _recorded(self, *others: Any) -> builtins.bool:
        """Whether an operation on these is one for the tape."""
        involved = (self, *(t for t in others if isinstance(t, Tensor)))
        return autograd.is_grad_enabled() and builtins.any(t.requires_grad for t in involved)

    def _become(self, result: Tensor) -> Tensor:
        """Take the value of `result`, and its place on the tape if it has one."""
        if result.shape != self.shape:
            raise RuntimeError(f"in-place operation: the result has shape {result.shape}, the tensor {self.shape}")
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise RuntimeError(f"in-place operation: the result is {result.dtype}, which does not fit into a tensor of {self.dtype}")
        if not self._recorded(result):
            self.array[...] = result.array
            changed()
        elif self.is_leaf and self.requires_grad:
            raise RuntimeError("a leaf tensor that requires grad cannot be changed in place: do it inside `with no_grad():`")
        else:
            self.array, self.node = result.array.astype(self.dtype, copy=False), result.node
        return self

    # Comparison: boolean tensors, no gradient

    def __eq__(self, other: Any) -> Any: return ops.eq(self, other) if _is_operand(other) else NotImplemented
    def __ne__(self, other: Any) -> Any: return ops.ne(self, other) if _is_operand(other) else NotImplemented
    def __lt__(self, other: Any) -> Tensor: return ops.lt(self, other)
    def __le__(self, other: Any) -> Tensor: return ops.le(self, other)
    def __gt__(self, other: Any) -> Tensor: return ops.gt(self, other)
    def __ge__(self, other: Any) -> Tensor: return ops.ge(self, other)
    def __and__(self, other: Any) -> Tensor: return ops.compare(np.bitwise_and, self, other)
    def __or__(self, other: Any) -> Tensor: return ops.compare(np.bitwise_or, self, other)
    def __xor__(self, other: Any) -> Tensor: return ops.compare(np.bitwise_xor, self, other)
    def __invert__(self) -> Tensor: return Tensor(~self.array)
    __hash__ = object.__hash__
    def eq(self, other: Any) -> Tensor: return ops.eq(self, other)
    def ne(self, other: Any) -> Tensor: return ops.ne(self, other)
    def lt(self, other: Any) -> Tensor: return ops.lt(self, other)
    def le(self, other: Any) -> Tensor: return ops.le(self, other)
    def gt(self, other: Any) -> Tensor: return ops.gt(self, other)
    def ge(self, other: Any) -> Tensor: return ops.ge(self, other)
    def isnan(self) -> Tensor: return ops.isnan(self)
    def isinf(self) -> Tensor: return ops.isinf(self)
    def isfinite(self) -> Tensor: return ops.isfinite(self)
    def any(self, dim: Any = None, keepdim: Any = False) -> Tensor: return ops.any(self, dim, keepdim)
    def all(self, dim: Any = None, keepdim: Any = False) -> Tensor: return ops.all(self, dim, keepdim)
    def equal(self, other: Tensor) -> builtins.bool: return ops.equal(self, other)
    def allclose(self, other: Tensor, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: Any = False) -> builtins.bool:
        return ops.allclose(self, other, rtol, atol, equal_nan)

    # Elementwise functions

    def exp(self) -> Tensor: return ops.exp(self)
    def log(self) -> Tensor: return ops.log(self)
    def sqrt(self) -> Tensor: return ops.sqrt(self)
    def square(self) -> Tensor: return ops.pow(self, 2)
    def sin(self) -> Tensor: return ops.sin(self)
    def cos(self) -> Tensor: return ops.cos(self)
    def round(self) -> Tensor: return ops.round(self)
    def floor(self) -> Tensor: return ops.floor(self)
    def ceil(self) -> Tensor: return ops.ceil(self)
    def sign(self) -> Tensor: return ops.sign(self)
    def neg(self) -> Tensor: return ops.neg(self)
    def abs(self) -> Tensor: return ops.abs(self)
    def tanh(self) -> Tensor: return ops.tanh(self)
    def sigmoid(self) -> Tensor: return ops.sigmoid(self)
    def relu(self) -> Tensor: return ops.relu(self)
    def clamp(self, min: Any = None, max: Any = None) -> Tensor: return ops.clamp(self, min, max)
    def where(self, condition: Any, other: Any) -> Tensor: return ops.where(condition, self, other)
    def masked_fill(self, mask: Any, value: Any) -> Tensor: return ops.where(mask, ops.cast(value, self.dtype), self)
    def softmax(self, dim: Any) -> Tensor: return ops.softmax(self, dim)
    def log_softmax(self, dim: Any) -> Tensor: return ops.log_softmax(self, dim)

    # Reductions: `dim` and `keepdim` as in torch; `axis` and `keepdims`, NumPy's words, mean the same

    def sum(self, dim: Axis = None, keepdim: Any = False, *, axis: Axis = None, keepdims: Any = False) -> Tensor:
        return ops.sum(self, dim if axis is None else axis, keepdim or keepdims)

    def mean(self, dim: Axis = None, keepdim: Any = False, *, axis: Axis = None, keepdims: Any = False) -> Tensor:
        return ops.mean(self, dim if axis is None else axis, keepdim or keepdims)

    def var(self, dim: Axis = None, keepdim: Any = False, correction: Any = 1, *, axis: Axis = None, keepdims: Any = False,
            unbiased: Any = True) -> Tensor:
        return ops.var(self, dim if axis is None else axis, keepdim or keepdims, correction if unbiased else 0)

    def std(self, dim: Axis = None, keepdim: Any = False, correction: Any = 1, *, axis: Axis = None, keepdims: Any = False,
            unbiased: Any = True) -> Tensor:
        return ops.std(self, dim if axis is None else axis, keepdim or keepdims, correction if unbiased else 0)

    def max(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = False) -> Any:
        return ops.max(self, dim if axis is None else axis, keepdim or keepdims)

    def min(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = False) -> Any:
        return ops.min(self, dim if axis is None else axis, keepdim or keepdims)

    def argmax(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = False) -> Tensor:
        return ops.argmax(self, dim if axis is None else axis, keepdim or keepdims)

    def argmin(self, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = False) -> Tensor:
        return ops.argmin(self, dim if axis is None else axis, keepdim or keepdims)

    def amax(self, dim: Axis = None, keepdim: Any = False) -> Tensor: return ops.amax(self, dim, keepdim)
    def amin(self, dim: Axis = None, keepdim: Any = False) -> Tensor: return ops.amin(self, dim, keepdim)
    def logsumexp(self, dim: Axis, keepdim: Any = False) -> Tensor: return ops.logsumexp(self, dim, keepdim)

    def norm(self) -> Tensor:
        """The Euclidean length of all values."""
        return ops.sqrt(ops.sum(ops.pow(self, 2)))

    # Shape

    def reshape(self, *shape: Any) -> Tensor: return ops.reshape(self, _unpack(shape))
    def view(self, *shape: Any) -> Tensor: return ops.reshape(self, _unpack(shape))
    def flatten(self, start_dim: Any = 0, end_dim: Any = -1) -> Tensor: return ops.flatten(self, start_dim, end_dim)
    def permute(self, *dims: Any) -> Tensor: return ops.permute(self, _unpack(dims))
    def transpose(self, dim0: Any, dim1: Any) -> Tensor: return ops.transpose(self, dim0, dim1)
    def t(self) -> Tensor:
        if self.ndim > 2:
            raise ValueError(f"t(): a tensor of {self.ndim} axes (shape {self.shape}) has no one transpose: use permute() or transpose()")
        return self.T

    def squeeze(self, dim: Any = None) -> Tensor: return ops.squeeze(self, dim)
    def unsqueeze(self, dim: Any) -> Tensor: return ops.unsqueeze(self, dim)
    def swapaxes(self, dim0: Any, dim1: Any) -> Tensor: return ops.transpose(self, dim0, dim1)
    def expand(self, *shape: Any) -> Tensor: return ops.expand(self, _unpack(shape))
    def expand_as(self, other: Tensor) -> Tensor: return ops.expand(self, other.shape)
    def view_as(self, other: Tensor) -> Tensor: return ops.reshape(self, other.shape)
    def flip(self, *dims: Any) -> Tensor: return ops.flip(self, _unpack(dims))
    def split(self, split_size: Any, dim: Any = 0) -> tuple[Tensor, ...]: return ops.split(self, split_size, dim)
    def chunk(self, chunks: Any, dim: Any = 0) -> tuple[Tensor, ...]: return ops.chunk(self, chunks, dim)
    def __getitem__(self, index: Any) -> Tensor: return ops.getitem(self, index)


def _as_array(data: Any) -> Any:
    """The array of a Tensor, an array of another library as it is, and numbers and lists of them as an ndarray."""
    if isinstance(data, Tensor):
        return data.array
    if not hasattr(data, "dtype"):                             # Python numbers and lists of them
        data = np.asarray(data)
        if data.dtype == np.float64:
            data = data.astype(DEFAULT_DTYPE)
    return data if devices.is_array(data) and not isinstance(data, np.generic) else np.asarray(data)


def _is_operand(x: Any) -> bool:
    return hasattr(x, "dtype") or isinstance(x, bool | int | float)


def _unpack(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """x.view(2, 3) and x.view((2, 3)) mean the same."""
    return tuple(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
