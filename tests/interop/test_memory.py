"""One memory, several libraries: what is written through one is read through the others, for every dtype, layout and direction."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor
from minicnn.kernels import devices
from tests import fake_cupy
from tests.compare import assert_equal
from tests.strategies import in_layout

DTYPES = ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
LAYOUTS = ["contiguous", "fortran", "strided", "channels-last"]       # strides that every library can follow

shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)
dtypes = st.sampled_from(DTYPES)


def some(shape: tuple[int, ...], dtype: str, layout: str) -> np.ndarray:
    """0, 1, 2, ..., or False, True, True, ..."""
    return in_layout(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype), layout)


def steps(x: Any) -> tuple[int, ...]:
    """From one element to the next on every axis, in elements, where there is a next one."""
    array = x.array if isinstance(x, Tensor) else x
    found = x.stride() if isinstance(x, torch.Tensor) else [s // array.itemsize for s in array.strides]
    return tuple(s for n, s in zip(x.shape, found, strict=True) if n > 1) if 0 not in x.shape else ()


def address(x: Any) -> int:
    return x.data_ptr() if isinstance(x, torch.Tensor) else (x.array if isinstance(x, Tensor) else x).ctypes.data


def assert_shared(a: Any, b: Any) -> None:
    """The same numbers in the same order in memory; and the last of them, changed in either, changes in the other."""
    assert_equal(b, a)
    assert steps(a) == steps(b)
    if not int(np.prod(a.shape)):
        return
    assert address(a) == address(b)
    for one, other in ((a, b), (b, a)):
        place = (-1,) * len(a.shape)
        one[place] = int(one[place] == 0)
        assert_equal(one, other)


OUT: dict[str, Callable[[Tensor], Any]] = {
    "torch.from_dlpack": torch.from_dlpack, "np.from_dlpack": np.from_dlpack, "minicnn.from_dlpack": minicnn.from_dlpack,
    "numpy()": Tensor.numpy, "np.asarray": np.asarray, "torch.from_numpy": lambda x: torch.from_numpy(x.numpy()),
    "torch.as_tensor": lambda x: torch.as_tensor(np.asarray(x)), "no copy": lambda x: np.array(x, copy=False),
    "on the cpu": lambda x: np.from_dlpack(x, device="cpu", copy=False), "force": lambda x: x.numpy(force=True),
}


@pytest.mark.parametrize("way", OUT)
@given(shape=shapes, dtype=dtypes, layout=st.sampled_from(LAYOUTS))
def test_out(way: str, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    x = Tensor(some(shape, dtype, layout))
    assert_shared(x, OUT[way](x))


IN_FROM_TORCH: dict[str, Callable[[Any], Tensor]] = {
    "from_dlpack": minicnn.from_dlpack, "as_tensor": minicnn.as_tensor, "Tensor": Tensor,
    "device": lambda x: minicnn.from_dlpack(x, device="cpu", copy=False), "from_numpy": lambda x: minicnn.from_numpy(x.numpy()),
}


@pytest.mark.parametrize("way", IN_FROM_TORCH)
@given(shape=shapes, dtype=dtypes, layout=st.sampled_from(LAYOUTS))
def test_in_from_torch(way: str, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    x = torch.from_numpy(some(shape, dtype, layout))
    assert_shared(x, IN_FROM_TORCH[way](x))


IN_FROM_NUMPY: dict[str, Callable[[Any], Tensor]] = {
    "from_numpy": minicnn.from_numpy, "from_dlpack": minicnn.from_dlpack, "as_tensor": minicnn.as_tensor}


@pytest.mark.parametrize("way", IN_FROM_NUMPY)
@given(shape=shapes, dtype=dtypes, layout=st.sampled_from([*LAYOUTS, "reversed"]))
def test_in_from_numpy(way: str, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    x = some(shape, dtype, layout)
    assert_shared(x, IN_FROM_NUMPY[way](x))


COPIES: dict[str, Callable[[Any], Any]] = {
    "torch": lambda x: torch.from_dlpack(x, copy=True), "numpy": lambda x: np.from_dlpack(x, copy=True), "np.array": np.array,
    "minicnn": lambda x: minicnn.from_dlpack(x, copy=True), "tensor": minicnn.tensor,
}


@pytest.mark.parametrize("way", COPIES)
@given(shape=shapes, dtype=dtypes, layout=st.sampled_from([*LAYOUTS, "reversed"]))
def test_a_copy_is_a_copy(way: str, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    """Of memory that runs backwards too, which torch cannot share."""
    x = Tensor(some(shape, dtype, layout))
    y = COPIES[way](x)
    assert_equal(y, x)
    if x.numel():
        y[(-1,) * x.ndim] = int(y[(-1,) * x.ndim] == 0)
        assert (np.asarray(y) != x.numpy()).sum() == 1


def test_channels_last_stays_channels_last() -> None:
    ours = Tensor(some((2, 3, 4, 5), "float32", "channels-last"))
    theirs = torch.from_dlpack(ours)
    assert theirs.is_contiguous(memory_format=torch.channels_last)
    assert minicnn.from_dlpack(theirs).array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_memory_that_runs_backwards_is_not_shared() -> None:
    """torch 2.13 ends the process when it is given such memory."""
    backwards = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1])
    for library in (torch, np, minicnn):
        with pytest.raises(BufferError) as error:
            library.from_dlpack(backwards)
        assert str(error.value) == ("__dlpack__: this view runs backwards through memory (shape (2, 3), strides (12, -4) bytes), "
                                    "which not every library can follow: use .contiguous()")
    assert_equal(torch.from_dlpack(backwards.contiguous()), backwards)
    assert_equal(torch.from_dlpack(Tensor(np.zeros((1, 3), np.float32)[::-1])), np.zeros((1, 3), np.float32))     # one row has no next


def test_read_only_memory() -> None:
    """NumPy keeps it read-only. (torch does not look at the mark; to_torch copies: tests/interop/test_tensors.py.)"""
    ours = Tensor(in_layout(np.arange(3.0), "read-only"))
    for array in (np.from_dlpack(ours), ours.numpy(), minicnn.from_dlpack(ours).numpy()):
        assert not array.flags.writeable
        assert address(array) == address(ours)
    with pytest.raises(ValueError, match="read-only"):
        minicnn.from_dlpack(ours)[0] = 5


def test_dtype_and_copy_as_numpy_2_wants_them() -> None:
    x = minicnn.tensor([1.5, 2.5])
    assert np.asarray(x, dtype=np.float64).tolist() == [1.5, 2.5]
    assert np.asarray(x, np.int64).dtype == np.int64
    assert address(np.asarray(x, dtype=np.float32)) == address(x) != address(np.array(x))
    assert address(np.array(x, copy=None)) == address(x)
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        np.array(x, dtype=np.float64, copy=False)
    assert np.stack([x, x]).shape == (2, 2)                    # lists of tensors are arrays too


def test_a_gradient_is_not_lost_silently() -> None:
    x = minicnn.tensor([1.0, 2.0], requires_grad=True)
    for y in (x, x * 2):
        for take, error in ((torch.from_dlpack, BufferError), (np.from_dlpack, BufferError), (np.asarray, RuntimeError),
                            (Tensor.numpy, RuntimeError)):
            with pytest.raises(error, match=r"requires grad would lose its gradient: use detach\(\)"):
                take(y)
        assert address(torch.from_dlpack(y.detach())) == address(y) == address(y.numpy(force=True))
    with pytest.raises(BufferError, match="require gradient"):
        minicnn.from_dlpack(torch.ones(2, requires_grad=True))


def test_a_simulated_device_shares_with_nobody() -> None:
    x = minicnn.tensor([1.0, 2.0], device="cuda-sim")
    for take in (torch.from_dlpack, np.from_dlpack, minicnn.from_dlpack, Tensor.__dlpack_device__):
        with pytest.raises(BufferError) as error:
            take(x)
        assert str(error.value) == "__dlpack__: the memory of a simulated device is nobody else's: use .cpu()"
    assert x.numpy(force=True).tolist() == [1, 2]
    assert minicnn.from_dlpack(torch.ones(2), device="cuda-sim").device == "cuda-sim"
    with pytest.raises(ValueError, match=r"^from_dlpack: copy=False, but going from cpu to cuda-sim takes a copy$"):
        minicnn.from_dlpack(torch.ones(2), device="cuda-sim", copy=False)


def test_a_gpu_is_shared_by_way_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of CuPy, with a stand-in for it; tests/gpu/test_interop.py is the real thing."""
    asked: list[Any] = []
    monkeypatch.setattr(fake_cupy.ndarray, "__dlpack__", lambda x, **options: asked.append(options) or "capsule", raising=False)
    monkeypatch.setattr(fake_cupy.ndarray, "__dlpack_device__", lambda x: (devices.CUDA_IN_DLPACK, 0), raising=False)
    monkeypatch.setattr(fake_cupy, "from_dlpack", lambda x: x.array, raising=False)
    with fake_cupy.installed(monkeypatch):
        x = minicnn.tensor([1.0, 2.0], device="cuda")
        assert x.__dlpack_device__() == (2, 0)
        assert x.__dlpack__(stream=1, max_version=(1, 0)) == "capsule"
        assert asked == [{"stream": 1, "max_version": (1, 0)}]
        assert minicnn.from_dlpack(x).array is x.array
        assert minicnn.from_dlpack(x, device="cpu").tolist() == [1, 2]


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: minicnn.from_dlpack([1.0]), TypeError,
     "from_dlpack: a list has no __dlpack__: give an array or a tensor, or use minicnn.tensor()"),
    (lambda: minicnn.from_dlpack(torch.utils.dlpack.to_dlpack(torch.ones(1))), TypeError,
     "from_dlpack: a PyCapsule has no __dlpack__: give an array or a tensor, or use minicnn.tensor()"),
    (lambda: minicnn.from_dlpack(torch.ones(2).bfloat16()), TypeError,
     "from_dlpack: cannot share torch.bfloat16 (Unsupported dtype in DLTensor.): convert it first, in torch with .float()"),
    (lambda: minicnn.from_dlpack(np.ones(2, np.complex64)), TypeError, "a Tensor holds floats, integers or booleans, not complex64"),
    (lambda: minicnn.from_numpy(np.ones(2, ">f4")), ValueError, "from_numpy: the bytes of >f4 are in another order than this machine's: "
     "convert them with array.astype(array.dtype.newbyteorder('='))"),
    (lambda: minicnn.from_numpy([1.0]), TypeError, "from_numpy: expected a numpy.ndarray, got list"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == text


def test_arrays_of_other_libraries_are_taken() -> None:
    """Wherever data may be given: by the memory they share, or by their values."""
    theirs = torch.arange(3.0)
    assert address(minicnn.as_tensor(theirs)) == address(theirs) != address(minicnn.tensor(theirs))
    assert_equal(minicnn.nn.Parameter(theirs), theirs)
    with pytest.raises(RuntimeError, match="detach"):
        minicnn.tensor(torch.ones(2, requires_grad=True))
