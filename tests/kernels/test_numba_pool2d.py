"""What only compiled pooling can get wrong: bands and threads, channels that do not fill a vector, memory order, the limits of an index."""
from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import numba_backend, numpy_backend
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.parallel import WORTH_THREADS
from minicnn.kernels.numba_backend.pool_plan import first_pixel_row, plan
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal, unchanged
from tests.strategies import floats, in_layout, integers, layouts, seeds

LAYOUTS = ["contiguous", "fortran", "strided", "reversed", "read-only", "channels-last"]
WINDOWS = {
    "side by side": Window2d.of(2, 2),
    "with gaps": Window2d.of(2, (3, 2), (1, 0, 0, 1)),
    "large": Window2d.of((7, 5), (7, 5), ceil_mode=True),
    "overlapping": Window2d.of(3, 2, 1),
    "dilated": Window2d.of((2, 3), (1, 2), (1, 0, 1, 1), (3, 1)),
    "interleaved": Window2d.of((3, 2), 1, 0, (2, 4)),
    "dilated by the stride": Window2d.of(3, (2, 4), (3, 1), (2, 6)),
    "in the padding": Window2d.of(2, 2, (4, 2)),
    "in the padding, overlapping": Window2d.of(3, 2, (7, 4)),
}
windows = pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
SHAPE = (3, 5, 53, 61)                                           # several bands an image, worth threads, quick without a compiler too


def results(backend: Any, x: np.ndarray, window: Window2d, layout: str = "contiguous", divisor: int | None = 4) -> Iterator[np.ndarray]:
    """y, argmax, dx of the maximum; y, dx of the average with this divisor."""
    y, argmax = backend.max_pool2d(x, window)
    dy = in_layout(integers(y.shape, 1).astype(x.dtype), layout)
    with unchanged(x, dy, argmax):
        yield from (y, argmax.astype(np.int64), backend.max_pool2d_grad(dy, argmax, x.shape, window))
        yield backend.avg_pool2d(x, window, True, divisor)
        yield backend.avg_pool2d_grad(dy, x.shape, window, True, divisor)


def assert_like_numpy(x: np.ndarray, window: Window2d, layout: str = "contiguous") -> None:
    for got, expected in zip(results(numba_backend, x, window, layout), results(numpy_backend, x, window, layout), strict=True):
        assert_equal(got, expected)
        assert got.transpose(0, 2, 3, 1).flags.c_contiguous


@windows
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_bands(dtype: Any, window: Window2d) -> None:
    p = plan(SHAPE, window)
    assert p.operations >= WORTH_THREADS
    assert p.tasks > SHAPE[0]
    assert_like_numpy(integers(SHAPE, 0, dtype=dtype), window)


@windows
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_order_of_memory(layout: str, window: Window2d) -> None:
    assert_like_numpy(in_layout(integers((3, 12, 17, 14), 0), layout), window, layout)


@windows
@pytest.mark.parametrize("C", [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 25, 31, 32, 33])
def test_channels_that_do_not_fill_a_vector(C: int, window: Window2d) -> None:
    for dtype in (np.float32, np.float64):
        assert_like_numpy(integers((2, C, 9, 11), 0, dtype=dtype), window)


@windows
def test_ties_and_nan_on_both_sides_of_every_edge(window: Window2d) -> None:
    """Few values, so that most windows are tied; NaN in some rows that end a band and some that begin one, whatever the bands are."""
    x = integers(SHAPE, 0, 0, 1)
    x[:, :, ::5, ::3], x[:, :, ::4, ::7] = np.nan, -np.inf
    for got, expected in zip(results(numba_backend, x, window), results(numpy_backend, x, window), strict=True):
        assert_equal(got, expected)


def test_equal_values_everywhere_and_nothing_but_minus_infinity() -> None:
    for value in (7, 0, -np.inf):
        assert_like_numpy(np.full(SHAPE, value, np.float32), WINDOWS["overlapping"])


@windows
@pytest.mark.parametrize("C", [1, 6, 16, 21])
def test_nothing_is_written_outside_the_results(C: int, window: Window2d, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results lie in the middle of memory whose other numbers must stay."""
    guarded = []

    def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        memory = np.full(int(np.prod(shape)) + 128, 77, dtype)
        guarded.append(memory)
        return memory[64:-64].reshape(shape)

    for module in ("max_pool2d", "avg_pool2d"):
        monkeypatch.setattr(importlib.import_module(f"minicnn.kernels.numba_backend.{module}"), "empty", empty)
    for dtype in (np.float32, np.float64):
        assert_like_numpy(integers((2, C, 9, 11), 0, dtype=dtype), window)
    assert len(guarded) == 10
    for memory in guarded:
        assert (memory[:64] == 77).all()
        assert (memory[-64:] == 77).all()


def test_windows_whose_first_taps_go_backwards() -> None:
    """Their taps in an image of 4 pixels: at 2 only, then at 1 only, for the first window's other taps lie in the padding."""
    window = Window2d.of(3, 2, 4, 3)
    assert plan((1, 1, 4, 4), window).spans[:2].tolist() == [[2, 1], [1, 1]]
    assert_like_numpy(integers((2, 6, 4, 4), 0), window)


def test_every_row_of_pixels_belongs_to_one_row_of_windows() -> None:
    """5 windows of 2 rows, 3 apart, the first of which begins in the padding: their pixels are 0-1, 2-4, 5-7, 8-10, and the rest."""
    assert [first_pixel_row(row, 5, 3, 1, 15) for row in range(6)] == [0, 2, 5, 8, 11, 15]


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("window", [Window2d.of(3, 2, 1), Window2d.of((2, 4), (3, 2), (1, 2), ceil_mode=True)])
def test_unequal_divisors(window: Window2d, count_include_pad: bool) -> None:
    """The divisors are 1 to 9, and dy has a factor that makes every share an integer."""
    x = integers(SHAPE, 0)
    shape = numpy_backend.avg_pool2d(x, window).shape
    dy = integers(shape, 1) * 5040
    assert_equal(numba_backend.avg_pool2d_grad(dy, x.shape, window, count_include_pad),
                 numpy_backend.avg_pool2d_grad(dy, x.shape, window, count_include_pad))
    x = x * 5040
    assert_equal(numba_backend.avg_pool2d(x, window, count_include_pad), numpy_backend.avg_pool2d(x, window, count_include_pad))


THREADS = """
import numba
from tests.kernels.test_numba_pool2d import digest
for threads in (1, 2, 3):
    numba.set_num_threads(threads)
    print(digest())
"""


def digest() -> str:
    """Of all results, bit by bit, for random numbers, whose sums depend on the order."""
    found = hashlib.sha256()
    for window in WINDOWS.values():
        for result in results(numba_backend, floats(SHAPE, 0), window, divisor=None):
            found.update(np.ascontiguousarray(result).tobytes())
    found.update(dense(floats(SHAPE, 0)).tobytes())
    return found.hexdigest()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    run = subprocess.run([sys.executable, "-c", THREADS], env={**os.environ, "NUMBA_NUM_THREADS": "3"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [digest()] * 3


def test_winners_may_come_from_another_backend() -> None:
    x, window = integers((2, 6, 9, 8), 0), WINDOWS["overlapping"]
    y, argmax = numpy_backend.max_pool2d(x, window)
    assert argmax.dtype == np.int64
    dy = integers(y.shape, 1)
    assert_equal(numba_backend.max_pool2d_grad(dy, argmax, x.shape, window), numpy_backend.max_pool2d_grad(dy, argmax, x.shape, window))


def test_images_with_more_pixels_than_32_bits_can_number(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("minicnn.kernels.numba_backend.max_pool2d")
    x, window = integers((2, 3, 6, 6), 0), WINDOWS["side by side"]
    assert numba_backend.max_pool2d(x, window)[1].dtype == np.int32
    monkeypatch.setattr(module, "MOST", 35)
    y, argmax = numba_backend.max_pool2d(x, window)
    assert argmax.dtype == np.int64
    assert_equal(argmax, numpy_backend.max_pool2d(x, window)[1])
    assert_equal(numba_backend.max_pool2d_grad(y, argmax, x.shape, window), numpy_backend.max_pool2d_grad(y, argmax, x.shape, window))


@pytest.mark.parametrize("dtype", [np.float16, np.dtype(">f4")])
def test_other_number_formats(dtype: Any) -> None:
    x = integers((2, 3, 6, 6), 0, dtype=dtype)
    for got, expected in zip(results(numba_backend, x, Window2d.of(3, 2, 1)), results(numpy_backend, x, Window2d.of(3, 2, 1)), strict=True):
        assert_equal(got, expected)


@windows
def test_no_images(window: Window2d) -> None:
    x = np.zeros((0, 3, 9, 11), np.float32)
    for got, expected in zip(results(numba_backend, x, window), results(numpy_backend, x, window), strict=True):
        assert_equal(got, expected)


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)), layout=layouts, seed=seeds,
       dtype=st.sampled_from([np.float32, np.float64, np.int32]))
def test_dense_is_channels_last(shape: tuple[int, ...], layout: str, seed: int, dtype: Any) -> None:
    x = in_layout(integers(shape, seed, dtype=dtype), layout)
    with unchanged(x):
        assert_equal(dense(x), np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1))


@pytest.mark.parametrize("shape", [(2, 3, 60, 50), (3, 130, 9, 9), (600, 16, 2, 1), (1, 1, 90, 90), (40, 6, 3, 13), (1, 5000, 3, 1)])
def test_dense_of_large_arrays(shape: tuple[int, ...]) -> None:
    x = floats(shape, 0)
    assert_equal(dense(x), np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1))


def test_dense_copies_nothing_that_is_so_already() -> None:
    x = in_layout(floats((2, 5, 30, 40), 0), "channels-last")
    assert np.shares_memory(dense(x), x)
    x.flags.writeable = False
    assert np.shares_memory(dense(x), x)
