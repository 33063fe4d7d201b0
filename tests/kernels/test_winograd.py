"""Winograd's convolution: exact on integers, within the bound of its own roundings on floats, and taken only where it pays."""
from typing import Any

import numba
import numpy as np
import pytest

from minicnn import kernels
from minicnn.kernels import numba_backend, numpy_backend
from minicnn.kernels.numba_backend import winograd as wg
from minicnn.kernels.numba_backend import winograd_bound
from minicnn.kernels.window import Window2d
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.strategies import floats, in_layout, integers

pytestmark = pytest.mark.skipif(not numba_backend.usable(), reason="tiles need compiled code, and registers that minicnn knows")

# Name: N, C, H, W, F, padding. Fewer tiles than a block and more, odd sides, sides without a whole tile, filters of one and a half blocks
SHAPES: dict[str, tuple[int, int, int, int, int, Any]] = {
    "few tiles": (1, 16, 4, 4, 32, 1), "odd": (3, 32, 7, 9, 16, 1), "no padding": (2, 16, 6, 7, 48, 0),
    "wide padding": (2, 16, 5, 4, 32, 2),
    "four sides": (2, 32, 6, 5, 32, (0, 2, 1, 0)), "blocks": (9, 32, 10, 11, 32, 1), "one row": (70, 16, 3, 4, 16, 0),
}

def arrays(name: str, kind: Any, dtype: type) -> tuple[Any, ...]:
    N, C, H, W, F, padding = SHAPES[name]
    window = Window2d.of(3, 1, padding)
    shapes = (N, C, H, W), (F, C, 3, 3), (F,), (N, F, *window.output_size((H, W)))
    return (window, *(kind(shape, seed, dtype=dtype) for seed, shape in enumerate(shapes)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_exact_on_integers(name: str, dtype: type) -> None:
    window, x, w, b, dy = arrays(name, integers, dtype)
    x, dy = in_layout(x, "channels-last"), in_layout(dy, "strided")
    expected = numpy_backend.conv2d(x.astype(np.float64), w.astype(np.float64), b.astype(np.float64), window)
    with unchanged(x, w, b, dy):
        assert_equal(wg.winograd(x, w, None, window), (expected - b[:, None, None]).astype(dtype), "y without a bias")
        assert_equal(wg.winograd(x, w, b, window), expected.astype(dtype), "y")
        assert_equal(wg.winograd(x, w, b, window, relu=True), np.maximum(expected, 0).astype(dtype), "relu")
        assert_equal(wg.winograd_grad_input(dy, w, x.shape, window), numpy_backend.conv2d_grad_input(dy, w, x.shape, window), "dx")
        assert_equal(wg.winograd_grad_weight(dy, x, window), numpy_backend.conv2d_grad_weight(dy, x, w.shape, window), "dw")


@pytest.mark.parametrize("name", ["odd", "no padding", "four sides", "blocks"])
def test_floats_are_bounded_by_their_roundings(name: str) -> None:
    window, x, w, b, dy = arrays(name, floats, np.float32)
    exact = [a.astype(np.float64) for a in (x, w, b, dy)]
    found = {
        "y": (wg.winograd(x, w, b, window), numpy_backend.conv2d(*exact[:3], window), winograd_bound.output(x, w, b, window)),
        "dx": (wg.winograd_grad_input(dy, w, x.shape, window), numpy_backend.conv2d_grad_input(exact[3], exact[1], x.shape, window),
               winograd_bound.grad_input(dy, w, x.shape, window)),
        "dw": (wg.winograd_grad_weight(dy, x, window), numpy_backend.conv2d_grad_weight(exact[3], exact[0], w.shape, window),
               winograd_bound.grad_weight(dy, x, window)),
    }
    for what, (got, expected, (terms, magnitude)) in found.items():
        assert_bounded(got, expected, magnitude, terms, what)


def test_the_bound_is_no_smaller_than_that_of_the_plain_sum() -> None:
    """By the triangle inequality: what is added up is, in the end, the sum itself."""
    window, x, w, b, dy = arrays("four sides", floats, np.float32)
    sizes = [abs(a.astype(np.float64)) for a in (x, w, b, dy)]
    for (_, magnitude), plain in (
        (winograd_bound.output(x, w, b, window), numpy_backend.conv2d(*sizes[:3], window)),
        (winograd_bound.grad_input(dy, w, x.shape, window), numpy_backend.conv2d_grad_input(sizes[3], sizes[1], x.shape, window)),
        (winograd_bound.grad_weight(dy, x, window), numpy_backend.conv2d_grad_weight(sizes[3], sizes[0], w.shape, window)),
    ):
        assert (magnitude >= plain * (1 - 1e-12)).all()


def test_the_number_of_threads_changes_no_bit(every_thread_count: list[int]) -> None:
    window, x, w, b, dy = arrays("blocks", floats, np.float32)
    results = []
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        results.append([a.tobytes() for a in (wg.winograd(x, w, b, window), wg.winograd_grad_input(dy, w, x.shape, window),
                                              wg.winograd_grad_weight(dy, x, window))])
    assert results[0] == results[1] == results[2]


def test_an_image_is_the_same_in_any_batch() -> None:
    window, x, w, b, _ = arrays("blocks", floats, np.float32)
    assert_equal(wg.winograd(x[3:4], w, b, window), wg.winograd(x, w, b, window)[3:4])


@pytest.mark.parametrize(("change", "expected"), [
    ({}, True), ({"x": (64, 32, 14, 14)}, True), ({"x": (64, 16, 14, 14), "F": 16}, False), ({"x": (64, 8, 14, 14)}, False),
    ({"x": (8, 16, 14, 14)}, False), ({"x": (64, 18, 14, 14)}, False), ({"window": Window2d.of(3, 2, 1)}, False),
    ({"window": Window2d.of(3, 1, 1, 2)}, False), ({"window": Window2d.of(1, 1, 0)}, False),
    ({"window": Window2d.of(5, 1, 2)}, False), ({"groups": 2}, False), ({"x": (4000, 16, 4, 4), "window": Window2d.of(3, 1, 0)}, False),
    ({"window": Window2d.of((3, 1), 1, 1)}, False),
], ids=str)
def test_where_it_is_used(change: dict[str, Any], expected: bool) -> None:
    given: dict[str, Any] = {"x": (64, 16, 14, 14), "F": 32, "window": Window2d.of(3, 1, 1), "groups": 1} | change
    assert wg.suits(given["x"], given["F"], given["window"], given["groups"], 4) == expected


def test_the_backend_uses_it() -> None:
    window, x, w = Window2d.of(3, 1, 1), integers((64, 16, 6, 6), 0), integers((32, 16, 3, 3), 1)
    dy = integers((64, 32, 6, 6), 2)
    assert wg.suits(x.shape, 32, window, 1, 4)
    k = kernels.get("numba")
    assert_equal(k.conv2d(x, w, None, window), numpy_backend.conv2d(x, w, None, window))
    assert_equal(k.conv2d_grad_input(dy, w, x.shape, window), numpy_backend.conv2d_grad_input(dy, w, x.shape, window))
    assert_equal(k.conv2d_grad_weight(dy, x, w.shape, window), numpy_backend.conv2d_grad_weight(dy, x, w.shape, window))
