"""What only the compiled rungs of the ladder can get wrong: tiles that hang over an edge, memory with something in it, threads."""
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

from minicnn import kernels
from minicnn.kernels import reference
from minicnn.kernels.numba_backend import memory, parallel_loops, plain_loops, register_tile
from minicnn.kernels.numpy_backend import shift_and_add
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal
from tests.strategies import floats, in_layout, integers

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="NUMBA_DISABLE_JIT is set: there is nothing compiled to test")
tiled = pytest.mark.skipif(bool(register_tile.missing()), reason=str(register_tile.missing()))
RUNGS = [plain_loops, parallel_loops, *([] if register_tile.missing() else [register_tile])]
every_rung = pytest.mark.parametrize("k", RUNGS, ids=lambda k: k.__name__.rpartition(".")[2])


def three(k: ModuleType, x: np.ndarray, w: np.ndarray, dy: np.ndarray, window: Window2d, groups: int = 1) -> list[np.ndarray]:
    """y, dx and dw."""
    return [k.conv2d(x, w, None, window, groups), k.conv2d_grad_input(dy, w, x.shape, window, groups),
            k.conv2d_grad_weight(dy, x, w.shape, window, groups)]


def arrays(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, random: Callable[..., Any] = integers,
           dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, w and dy."""
    y_shape = x_shape[0], w_shape[0], *window.output_size(x_shape[2:])
    return random(x_shape, 0, dtype=dtype), random(w_shape, 1, dtype=dtype), random(y_shape, 2, dtype=dtype)


@compiled
@tiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("more", [-1, 0, 1], ids=["one less", "full", "one more"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, (2, 3)])
def test_tiles_and_what_hangs_over(dtype: type, more: int, groups: int, stride: Any) -> None:
    """Pixels of a row, channels and filters, one more or less than a tile has rows and columns."""
    tile = register_tile.tile_of(np.dtype(dtype).itemsize)
    window = Window2d.of((2, 3), stride, (1, 0, 2, 1), (1, 2))
    OW = tile.rows + more
    W = (OW - 1) * window.stride[1] + window.extent[1] - 3
    x, w, dy = arrays((2, groups * OW, 5, W), (groups * (tile.columns + more), OW, 2, 3), window, dtype=dtype)
    assert dy.shape[3] == OW
    expected = three(shift_and_add, x.astype(np.float64), w.astype(np.float64), dy.astype(np.float64), window, groups)
    for got, right, name in zip(three(register_tile, x, w, dy, window, groups), expected, ("y", "dx", "dw"), strict=True):
        assert_equal(got, right, name)


@every_rung
@pytest.mark.parametrize("padding", [(4, 0, 0, 5), (3, 6, 7, 3), (0, 4, 5, 0)])
def test_padding_wider_than_the_window(k: ModuleType, padding: tuple[int, int, int, int]) -> None:
    """Whole windows of padding before and after the image: some outputs see nothing, and their gradients reach nothing."""
    window = Window2d.of((2, 3), (2, 1), padding)
    x, w, dy = arrays((2, 2, 3, 4), (3, 2, 2, 3), window)
    for got, right, name in zip(three(k, x, w, dy, window), three(reference, x, w, dy, window), ("y", "dx", "dw"), strict=True):
        assert_equal(got, right, name)


@every_rung
def test_an_empty_batch(k: ModuleType) -> None:
    window = Window2d.of(3, padding=1)
    y, dx, dw = three(k, *arrays((0, 2, 4, 5), (3, 2, 3, 3), window), window)
    assert (y.shape, dx.shape) == ((0, 3, 4, 5), (0, 2, 4, 5))
    assert_equal(dw, np.zeros((3, 2, 3, 3), np.float32))


@every_rung
@pytest.mark.parametrize("bias", [True, False])
def test_relu(k: ModuleType, bias: bool) -> None:
    """y = max(y, 0), and NaN stays NaN."""
    window = Window2d.of(3, padding=1)
    x, w, _ = arrays((2, 3, 6, 7), (4, 3, 3, 3), window)
    b = integers((4,), 3) if bias else None
    plain = reference.conv2d(x, w, b, window)
    assert plain.min() < 0 < plain.max()
    assert_equal(k.conv2d(x, w, b, window, 1, True), np.maximum(plain, 0))
    x[0, 0, 0, 0] = np.nan
    assert_equal(np.isnan(k.conv2d(x, w, b, window, 1, relu=True))[0, 0], np.pad(np.ones((2, 2), bool), ((0, 4), (0, 5))))


@every_rung
def test_results_do_not_depend_on_what_was_in_memory(k: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array that a rung is given is full of NaN; no result may show one, though tiles do read what nobody wrote."""
    window = Window2d.of(3, (1, 2), (0, 1, 2, 0))
    inputs = arrays((3, 20, 9, 11), (18, 10, 3, 3), window)
    expected = three(k, *inputs, window, 2)

    def full_of_nan(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return np.full(shape, np.nan, dtype)

    for module in (memory, register_tile):
        monkeypatch.setattr(module, "empty", full_of_nan)
    for got, before in zip(three(k, *inputs, window, 2), expected, strict=True):
        assert_equal(got, before)


@compiled
@every_rung
@pytest.mark.parametrize("groups", [1, 4])
def test_the_same_bits_for_every_number_of_threads(k: ModuleType, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window2d.of(3, (1, 2), padding=1)
    inputs = arrays((19, 12, 17, 18), (20, 12 // groups, 3, 3), window, floats)
    found = []
    for threads in (1, 2, 3, 5):
        if hasattr(k, "workers"):
            monkeypatch.setattr(k, "workers", lambda operations, threads=threads: threads)
        found.append([a.tobytes() for a in three(k, *inputs, window, groups)])
    assert all(f == found[0] for f in found)


@every_rung
@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "reversed", "read-only"])
def test_activations_are_channels_last_whatever_the_inputs_are(k: ModuleType, layout: str) -> None:
    window = Window2d.of(3, padding=1)
    x, w, dy = (in_layout(a, layout) for a in arrays((2, 3, 6, 7), (4, 3, 3, 3), window))
    y, dx, dw = three(k, x, w, dy, window)
    assert all(a.transpose(0, 2, 3, 1).flags.c_contiguous for a in (y, dx))
    assert dw.flags.c_contiguous


def test_a_rung_says_why_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {rung.name: rung.missing for rung in kernels.LADDER}
    assert [missing[name]() for name in ("loops", "shift-and-add", "im2col", "compiled", "parallel")] == [None] * 5
    monkeypatch.setattr(register_tile, "registers", lambda: (0, 0))
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    assert missing["simd"]() == "minicnn does not know the vector registers of this CPU"
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert missing["simd"]() == "register tiles are compiled code, and NUMBA_DISABLE_JIT is set"
    monkeypatch.setattr(kernels, "_numba_missing", lambda: "the package numba is not installed: pip install numba")
    assert [missing[name]() is None for name in ("im2col", "compiled", "parallel", "simd")] == [True, False, False, False]


PLAIN = """
import numpy as np
from minicnn.kernels import LADDER, reference
from minicnn.kernels.window import Window2d
window = Window2d.of((2, 3), (1, 2), (1, 0, 2, 1), (2, 1))
random = np.random.default_rng(0)
x, w, b = (random.integers(-8, 9, shape).astype(np.float32) for shape in ((2, 4, 5, 6), (6, 2, 2, 3), (6,)))
dy = random.integers(-8, 9, (2, 6, *window.output_size((5, 6)))).astype(np.float32)
for rung in LADDER:
    if not rung.missing():
        k = rung.load()
        assert np.array_equal(k.conv2d(x, w, b, window, 2), reference.conv2d(x, w, b, window, 2))
        assert np.array_equal(k.conv2d_grad_input(dy, w, x.shape, window, 2), reference.conv2d_grad_input(dy, w, x.shape, window, 2))
        assert np.array_equal(k.conv2d_grad_weight(dy, x, w.shape, window, 2), reference.conv2d_grad_weight(dy, x, w.shape, window, 2))
        print(rung.name)
"""


def test_without_compilation_the_loops_are_plain_python() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["loops", "shift-and-add", "im2col", "compiled", "parallel"], done.stderr
