"""The fully connected layer of every backend and of the reference: exact, bounded, adjoint; and the sum that is a bias's gradient."""
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from minicnn.kernels import reference
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.kernels.on_device import every_backend
from tests.strategies import floats, in_layout, integers, layouts, seeds

sizes = st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 6))     # M, I, O


@every_backend(reference)
@given(size=sizes, seed=seeds, layout=layouts)
def test_against_torch(k: ModuleType, size: tuple[int, int, int], seed: int, layout: str) -> None:
    """Exact on integers, as every sum of them is."""
    M, I, O = size
    x, w, b, dy = (in_layout(integers(shape, seed + i), layout) for i, shape in enumerate([(M, I), (O, I), (O,), (M, O)]))
    tx, tw, tb = (torch.tensor(a.astype(np.float64, order="C"), requires_grad=True) for a in (x, w, b))
    y = torch.nn.functional.linear(tx, tw, tb)
    y.backward(torch.tensor(dy.astype(np.float64)))
    with unchanged(x, w, b, dy):
        assert_equal(k.linear(x, w, b), y)
        assert_equal(k.linear(x, w, None), (y - tb).detach())
        assert_equal(k.linear_grad_input(dy, w), tx.grad)
        assert_equal(k.linear_grad_weight(dy, x), tw.grad)
        assert_equal(k.channel_sum(dy), tb.grad)


@every_backend(reference)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(3, 5, 4), (70, 130, 33)])
def test_bounded(k: ModuleType, dtype: type, size: tuple[int, int, int]) -> None:
    """|error| <= gamma_K * the sum of the absolute products."""
    M, I, O = size if k is not reference else (3, 5, 4)
    x, w, b, dy = (floats(shape, i, dtype) for i, shape in enumerate([(M, I), (O, I), (O,), (M, O)]))
    X, W, B, DY = (a.astype(np.float64) for a in (x, w, b, dy))
    sides = 1 if dtype is np.float32 else 2                    # in float64 the expected value is rounded too
    assert_bounded(k.linear(x, w, b), X @ W.T + B, abs(X) @ abs(W).T + abs(B), sides * (I + 1), "y")
    assert_bounded(k.linear_grad_input(dy, w), DY @ W, abs(DY) @ abs(W), sides * O, "dx")
    assert_bounded(k.linear_grad_weight(dy, x), DY.T @ X, abs(DY).T @ abs(X), sides * M, "dw")
    assert_bounded(k.channel_sum(dy), DY.sum(axis=0), abs(DY).sum(axis=0), sides * M, "db")


@every_backend(reference)
@given(shape=array_shapes(min_dims=2, max_dims=4, max_side=4), seed=seeds, layout=layouts)
def test_channel_sum_leaves_axis_1(k: ModuleType, shape: tuple[int, ...], seed: int, layout: str) -> None:
    dy = in_layout(integers(shape, seed), layout)
    with unchanged(dy):
        assert_equal(k.channel_sum(dy), dy.astype(np.float64).sum(axis=(0, *range(2, dy.ndim))))


@every_backend(reference)
def test_nan_and_inf_travel(k: ModuleType) -> None:
    x, w = np.array([[np.nan, 1], [np.inf, 1], [1, 1]], np.float32), np.ones((2, 2), np.float32)
    with np.errstate(invalid="ignore"):                        # BLAS multiplies more than it needs
        assert_equal(k.linear(x, w, None), np.array([[np.nan] * 2, [np.inf] * 2, [2, 2]], np.float32))
    assert_equal(k.channel_sum(x), np.array([np.nan, 3], np.float32))
