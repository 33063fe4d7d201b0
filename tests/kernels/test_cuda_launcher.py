"""The launcher refuses what does not fit a kernel's declaration; the CuPy engine passes on what does, by CuPy's rules for arguments."""
from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minicnn.kernels.cuda_backend import cupy_engine, launcher, nvrtc, simulator, source
from minicnn.kernels.cuda_backend.launcher import Kernel, launch
from tests import fake_cupy
from tests.compare import assert_equal

TRY = Kernel("try.cu", "try_everything")
CODE = """
#include "real.cuh"
// struct Comment { int not_this; };
struct Size { int rows, columns;   // of y
              int step; };
extern "C" __global__ void try_everything(const real *x, const int *indices, real *y, Size size, real factor, int n, unsigned bits) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = (x ? x[indices ? indices[i] : i] : 1) * factor + size.rows * 100 + size.columns * 10 + size.step + bits;
}
extern "C" __global__ void __launch_bounds__(64, 2) shares(float *y) {
    extern __shared__ float memory[];
    memory[threadIdx.x] = threadIdx.x;
    __syncthreads();
    y[threadIdx.x] = memory[blockDim.x - 1 - threadIdx.x];
}
"""
SIZE = {"rows": 3, "columns": 4, "step": 5}
Run = tuple[Kernel, str, tuple[int, ...], tuple[int, ...], tuple[Any, ...], int]


class Recorder:
    """An engine that notes what it is asked to run."""
    gpu, compute_capability = "none", 80

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def launch(self, *run: Any) -> None:
        self.runs.append(run)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with these kernels alone."""
    (tmp_path / "try.cu").write_text(CODE)
    (tmp_path / "real.cuh").write_text((source.FOLDER / "real.cuh").read_text())
    caches = source.text, source.signatures, source.structures
    monkeypatch.setattr(source, "FOLDER", tmp_path)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(simulator, "ENGINE", made, raising=False)
    return made


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with fake_cupy.installed(monkeypatch) as module:
        yield module


def there(*values: Any, dtype: Any = np.float32) -> Any:
    return simulator.to_device(np.array(values, dtype))


def arguments(**other: Any) -> tuple[Any, ...]:
    """Arguments that fit, but for those given."""
    fit = {"x": there(1, 2), "indices": there(1, 0, dtype=np.int32), "y": there(0, 0), "size": SIZE, "factor": 2.0, "n": 2, "bits": 7}
    return tuple({**fit, **other}.values())


def test_the_signature_is_read_from_the_source() -> None:
    size = np.dtype([("rows", np.int32), ("columns", np.int32), ("step", np.int32)])
    assert source.structures("try.cu") == {"Size": size}
    assert [(p.name, p.dtype, p.pointer, p.constant) for p in TRY.parameters] == [
        ("x", None, True, True), ("indices", np.dtype(np.int32), True, True), ("y", None, True, False), ("size", size, False, False),
        ("factor", None, False, False), ("n", np.dtype(np.int32), False, False), ("bits", np.dtype(np.uint32), False, False)]
    assert set(source.signatures("try.cu")) == {"try_everything", "shares"}


def test_values_get_the_declared_types(engine: Recorder) -> None:
    given = arguments()
    launch(TRY, (3,), (32, 2), given)
    (kernel, real, grid, block, args, shared), = engine.runs
    assert (kernel, real, grid, block, shared) == (TRY, "float", (3, 1, 1), (32, 2, 1), 0)
    assert all(a is b for a, b in zip(args[:3], given[:3], strict=True)), "arrays are passed as they are"
    assert [(a.shape, a.dtype) for a in args[3:]] == [((), p.dtype or np.float32) for p in TRY.parameters[3:]]
    assert [a.item() for a in args[3:]] == [(3, 4, 5), 2.0, 2, 7]


def test_real_is_what_the_arrays_are(engine: Recorder) -> None:
    x, y = there(1, 2, dtype=np.float64), there(0, 0, dtype=np.float64)
    launch(TRY, (1,), (32,), arguments(x=x, y=y))
    launch(TRY, (1,), (32,), arguments(x=None, y=y, factor=np.float64(3)))
    assert [(real, args[4].dtype) for _, real, _, _, args, _ in engine.runs] == [("double", np.float64)] * 2


def test_const_pointers_may_be_null(engine: Recorder) -> None:
    launch(TRY, (1,), (32,), arguments(x=None, indices=None))
    assert engine.runs[0][4][:2] == (None, None)


@pytest.mark.parametrize("grid", [(0,), (5, 0), (1, 1, 0)])
def test_no_blocks_launch_nothing(engine: Recorder, grid: tuple[int, ...]) -> None:
    """CuPy would make one block of none; the arguments are checked nevertheless."""
    launch(TRY, grid, (32,), arguments())
    assert engine.runs == []
    with pytest.raises(TypeError, match="factor is '2'"):
        launch(TRY, grid, (32,), arguments(factor="2"))


@pytest.mark.parametrize(("wrong", "error", "text"), [
    ({"x": np.zeros(2, np.float32)}, TypeError, "x is a ndarray; it must be an array on the device"),
    ({"x": [1.0, 2.0]}, TypeError, "x is a list; it must be an array on the device"),
    ({"x": there(1, 2, dtype=np.float64)}, TypeError, "y has dtype float32, the kernel takes float64"),
    ({"y": there(1, 2, dtype=np.float64)}, TypeError, "y has dtype float64, the kernel takes float32"),
    ({"indices": there(1, 0, dtype=np.int64)}, TypeError, "indices has dtype int64, the kernel takes int32"),
    ({"y": None}, TypeError, "y is a NoneType; it must be an array on the device"),
    ({"y": there(0, 0, 0, 0)[::2]}, ValueError, "y has strides (8,) for shape (2,): kernels take contiguous memory only"),
    ({"size": (3, 4, 5)}, TypeError, "size takes the fields rows, columns, step, got (3, 4, 5)"),
    ({"size": {"rows": 3, "columns": 4}}, TypeError, "size takes the fields rows, columns, step, got {'rows': 3, 'columns': 4}"),
    ({"size": {**SIZE, "step": 0.5}}, TypeError, "size.step is 0.5 (float), the kernel takes int32"),
    ({"size": {**SIZE, "rows": 2**31}}, ValueError,
     "size.rows is 2,147,483,648, the kernel takes int32: -2,147,483,648 to 2,147,483,647"),
    ({"factor": np.float64(2)}, TypeError, "factor is np.float64(2.0) (float64), the kernel takes float32"),
    ({"factor": np.array(2.0)}, TypeError, "factor is array(2.) (float64), the kernel takes float32"),
    ({"factor": True}, TypeError, "factor is True (bool), the kernel takes float32"),
    ({"n": 2.0}, TypeError, "n is 2.0 (float), the kernel takes int32"),
    ({"n": np.float32(2)}, TypeError, "n is np.float32(2.0) (float32), the kernel takes int32"),
    ({"bits": -1}, ValueError, "bits is -1, the kernel takes uint32: 0 to 4,294,967,295"),
], ids=lambda v: "" if isinstance(v, type) else v if isinstance(v, str) else next(iter(v)))
def test_what_does_not_fit_is_refused(engine: Recorder, wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'kernel try_everything (try.cu): {text}')}$"):
        launch(TRY, (1,), (32,), arguments(**wrong))
    assert engine.runs == []


def test_the_number_of_arguments_counts(engine: Recorder) -> None:
    with pytest.raises(TypeError, match=re.escape("takes 7 arguments (x, indices, y, size, factor, n, bits), got 6")):
        launch(TRY, (1,), (32,), arguments()[:-1])


@pytest.mark.parametrize(("grid", "block", "text"), [
    ((1,), (33, 32), "a block of (33, 32, 1) threads: 1 to 1024 in all are possible"),
    ((1,), (0,), "a block of (0, 1, 1) threads: 1 to 1024 in all are possible"),
    ((1, 65536), (32,), "a grid of (1, 65536, 1) blocks; at most (2147483647, 65535, 65535) are possible: use a smaller batch"),
])
def test_blocks_and_threads_have_limits(engine: Recorder, grid: tuple[int, ...], block: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'kernel try_everything (try.cu): {text}')}$"):
        launch(TRY, grid, block, arguments())


def test_too_many_elements_are_refused(engine: Recorder) -> None:
    """Kernels count in 32 bits. Nothing so large is made for this: a view of one number."""
    many = simulator.DeviceArray(np.broadcast_to(np.float32(0), (2**16, 2**15)), simulator.MEMORY.adopt(np.zeros(4, np.uint8)))
    flags = SimpleNamespace(c_contiguous=True)
    wide = SimpleNamespace(dtype=many.dtype, flags=flags, size=many.size, shape=many.shape)
    with pytest.raises(ValueError, match=r"x has 2,147,483,648 elements \(shape \(65536, 32768\)\); kernels count them in 32 bits"):
        launch(TRY, (1,), (32,), arguments(x=wide))


def test_arrays_of_other_libraries_have_no_engine() -> None:
    with pytest.raises(TypeError, match=r"^no backend for an array of type builtins\.list: "):
        launcher.engine_of([1, 2])


# Through the CuPy engine, with CuPy's rules

def on_cupy(cupy: Any, **other: Any) -> tuple[Any, ...]:
    return tuple(cupy.asarray(a.get()) if isinstance(a, simulator.DeviceArray) else a for a in arguments(**other))


def test_the_array_chooses_the_engine(cupy: Any, engine: Recorder) -> None:
    assert launcher.engine_of(cupy.asarray([1.0])) is cupy_engine.ENGINE
    assert launcher.engine_of(there(1)) is engine


def test_values_and_structures_arrive_intact(cupy: Any, engine: Recorder) -> None:
    given = on_cupy(cupy, n=-3, factor=0.1, bits=2**32 - 1)
    launch(TRY, (2, 3), (16,), given)
    (kernel, real, grid, block, args, shared), = engine.runs
    assert (kernel, real, grid, block, shared) == (TRY, "float", (2, 3, 1), (16, 1, 1), 0)
    assert all(a is b for a, b in zip(args[:3], given[:3], strict=True))
    assert [a.item() for a in args[3:]] == [(3, 4, 5), np.float32(0.1), -3, 2**32 - 1]
    launch(TRY, (1,), (16,), on_cupy(cupy, x=None, indices=None))
    assert engine.runs[1][4][:2] == (None, None)
    launch(TRY, (0,), (16,), given)
    assert len(engine.runs) == 2, "CuPy makes one block of none, so the launcher must not ask it for none"


def test_doubles_are_compiled_as_doubles(cupy: Any, engine: Recorder) -> None:
    x, y = (there(1, 2, dtype=np.float64) for _ in range(2))
    launch(TRY, (1,), (16,), on_cupy(cupy, x=x, y=y, factor=0.1))
    assert (engine.runs[0][1], engine.runs[0][4][4].item()) == ("double", 0.1)


def test_what_cupy_would_take_for_something_else(cupy: Any, engine: Recorder) -> None:
    """Without the launcher a Python float would go as a double, of which the kernel takes the first half, and an int16 as two bytes."""
    kernel = cupy.RawModule(code=source.text("try.cu"), options=("-DREAL=float",)).get_function("try_everything")
    x, indices, y, _, _, n, bits = on_cupy(cupy)
    size = np.array((3, 4, 5), source.structures("try.cu")["Size"])
    kernel((0,), (16,), (x, indices, y, size, 0.1, n, bits))
    (_, _, grid, _, args, _), = engine.runs
    assert grid == (1, 1, 1)
    assert args[4] != np.float32(0.1)
    assert args[5] == n, "the low half of an int64 comes first"
    with pytest.raises(TypeError, match=r"^n: the kernel would read 4 bytes of the 2 that CuPy passes for np\.int16\(2\)$"):
        kernel((1,), (16,), (x, indices, y, size, np.float32(0.1), np.int16(2), bits))


def test_a_kernel_is_compiled_once(cupy: Any, engine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, cupys = [], cupy.RawModule

    def module(**options: Any) -> Any:
        compiled.append((options["options"], options["backend"]))
        return cupys(**options)

    monkeypatch.setattr(cupy, "RawModule", module)
    for _ in range(3):
        launch(TRY, (1,), (16,), on_cupy(cupy))
    launch(Kernel("try.cu", "shares"), (1,), (16,), (cupy.asarray(np.zeros(16, np.float32)),))
    assert compiled == [((*nvrtc.OPTIONS, "-DREAL=float"), "nvrtc")]
    assert len(engine.runs) == 4


@pytest.mark.parametrize(("static", "dynamic", "asked"), [(0, 48 << 10, False), (0, 0, False), (4, 48 << 10, True), (0, 64 << 10, True)])
def test_more_shared_memory_is_asked_for(cupy: Any, engine: Recorder, static: int, dynamic: int, asked: bool) -> None:
    """48 KiB, those of the kernel's own arrays among them, a kernel gets unasked."""
    shares = Kernel("try.cu", "shares")
    function = cupy_engine._function(shares, "float", 0)
    function.shared_size_bytes = static
    launch(shares, (1,), (16,), (cupy.asarray(np.zeros(16, np.float32)),), dynamic)
    assert engine.runs[0][5] == dynamic
    assert (function.max_dynamic_shared_size_bytes == dynamic) == (asked or dynamic == 48 << 10)


def test_an_array_on_another_gpu_is_refused(cupy: Any, engine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy.runtime, "getDevice", lambda: 1)
    text = ("kernel try_everything (try.cu): an array is on GPU 0, but the current GPU is 1: minicnn uses one GPU, the current one; "
            "compute inside `with cupy.cuda.Device(0):`")
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        launch(TRY, (1,), (16,), on_cupy(cupy))
    assert engine.runs == []


def test_the_gpu_says_what_it_is(cupy: Any) -> None:
    assert (cupy_engine.ENGINE.gpu, cupy_engine.ENGINE.compute_capability) == (fake_cupy.GPU, 80)
    assert cupy_engine.missing() is None


# Why there is no GPU

def _fails(text: str) -> Any:
    def call(*_: Any) -> Any:
        raise RuntimeError(f"{text}\nand more")
    return call


@pytest.mark.parametrize(("driver", "count", "reason"), [
    (0, _fails("cudaErrorInsufficientDriver"), "there is no NVIDIA driver (or no NVIDIA GPU)"),
    (12080, _fails("cudaErrorInsufficientDriver"), "the driver is for CUDA 12.8, too old for CuPy's CUDA 13.2"),
    (13000, _fails("cudaErrorNoDevice: no CUDA-capable device is detected"), "cudaErrorNoDevice: no CUDA-capable device is detected"),
    (13030, lambda: 0, "the driver counts 0 GPUs: see CUDA_VISIBLE_DEVICES"),
], ids=["no driver", "old driver", "error", "hidden"])
def test_no_device(cupy: Any, monkeypatch: pytest.MonkeyPatch, driver: int, count: Any, reason: str) -> None:
    monkeypatch.setattr(cupy.cuda, "is_available", lambda: False)
    monkeypatch.setattr(cupy.runtime, "driverGetVersion", lambda: driver)
    monkeypatch.setattr(cupy.runtime, "getDeviceCount", count)
    assert cupy_engine.missing() == f"CuPy 14.2.0 is installed, but finds no CUDA device: {reason}"


def test_no_compiler(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy.cuda, "nvrtc", SimpleNamespace(getVersion=_fails("libnvrtc.so.13 was not found")))
    assert cupy_engine.missing() == ("CuPy 14.2.0 finds a GPU, but not CUDA's compiler or cuBLAS (libnvrtc.so.13 was not found): "
                                     "pip install 'minicnn[cuda]' brings them")


def test_a_warning_of_cupys_is_no_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even where warnings are errors, as in these tests."""
    code = "import warnings; warnings.warn('several CuPys'); from tests.fake_cupy import *; from tests.fake_cupy import __version__"
    (tmp_path / "cupy.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    cupy_engine.missing.cache_clear()
    try:
        with pytest.warns(UserWarning, match="several CuPys"):
            assert cupy_engine.missing() is None
    finally:
        sys.modules.pop("cupy", None)
        cupy_engine.missing.cache_clear()


def test_no_cupy(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy.cuda, "is_available", _fails("libcuda is broken"))
    assert cupy_engine.missing() == "CuPy cannot be imported: libcuda is broken"
    cupy_engine.missing.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cupy_engine.missing() == "the package cupy is not installed: pip install 'minicnn[cuda]'"


# In the simulator, as CI can run it

@pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
@pytest.mark.parametrize("module", ["cuda-sim", "cuda"])
def test_a_kernel_runs(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cupy.installed(monkeypatch) as cupy:
        given = on_cupy(cupy) if module == "cuda" else arguments()
        launch(TRY, (1,), (32,), given)
        assert_equal(given[2].get(), np.array([2 * 2 + 345 + 7, 1 * 2 + 345 + 7], np.float32))
        y = given[2].astype(np.float32)[:1].repeat(64)
        launch(Kernel("try.cu", "shares"), (1,), (64,), (y,), 64 * 4)
        assert_equal(y.get(), np.arange(64, dtype=np.float32)[::-1])
