"""Batch norm, ReLU and 2 x 2 max pooling as one: what the three kernels give one after the other, on every backend."""
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import numba_backend, reference
from minicnn.kernels.window import Window2d
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.kernels.on_device import every_backend
from tests.strategies import floats, in_layout, integers, layouts, seeds

EPS, WINDOW = 1e-3, Window2d.of(2, 2)
images = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(2, 5), st.integers(2, 5))
SHAPES = [(2, 1, 2, 2), (3, 16, 5, 7), (2, 32, 4, 9), (2, 33, 6, 4), (3, 40, 3, 70), (40, 8, 6, 6), (5, 64, 7, 7)]


def parameters(C: int, seed: int, dtype: type) -> tuple[np.ndarray, ...]:
    return tuple(floats((C,), seed + i, dtype) for i in range(2))


@every_backend(reference)
@given(shape=images, seed=seeds, layout=layouts, other=layouts)
def test_float64_is_the_reference(k: ModuleType, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    """Ties included: the numbers are integers, so many are equal."""
    x = in_layout(integers(shape, seed, -2, 2, np.float64), layout)
    gamma, beta = parameters(shape[1], seed, np.float64)
    mean, var = reference.batch_norm_statistics(x)
    y = reference.batch_norm_pool(x, gamma, beta, mean, var, EPS)
    dy = in_layout(floats(y.shape, seed + 1, np.float64), other)
    with unchanged(x, dy, gamma, beta, mean, var):
        assert_close64(k.batch_norm_pool(x, gamma, beta, mean, var, EPS), y)
        got = k.batch_norm_pool_grad(dy, x, gamma, beta, mean, var, EPS)
    for name, a, b in zip(("dx", "dgamma", "dbeta"), got, reference.batch_norm_pool_grad(dy, x, gamma, beta, mean, var, EPS), strict=True):
        assert_close64(a, b, name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numba_gives_the_bits_of_its_own_three_kernels(dtype: type, shape: tuple[int, ...]) -> None:
    """y; and gradients within the bound of sums of at most M = N*OH*OW terms."""
    k, C = numba_backend, shape[1]
    x = floats(shape, 0, dtype)
    gamma, beta = parameters(C, 1, dtype)
    mean, var = k.batch_norm_statistics(x)
    y, argmax = k.max_pool2d(k.batch_norm(x, gamma, beta, mean, var, EPS, relu=True), WINDOW)
    assert_equal(k.batch_norm_pool(x, gamma, beta, mean, var, EPS), y)
    dy = floats(y.shape, 4, dtype)
    dz = k.max_pool2d_grad(dy, argmax, shape, WINDOW) * (k.batch_norm(x, gamma, beta, mean, var, EPS) > 0)
    expected = k.batch_norm_grad(*(a.astype(np.float64) for a in (dz, x, gamma, mean, var)), EPS, True)
    size, scale = y.size // C, gamma / np.sqrt(var + dtype(EPS))
    x_hat = np.abs((x - mean[:, None, None]) / np.sqrt(var + dtype(EPS))[:, None, None])
    B, S = np.abs(dz).sum(axis=(0, 2, 3)), (np.abs(dz) * x_hat).sum(axis=(0, 2, 3))
    M = x.size // C
    magnitude = np.abs(scale)[:, None, None] * (np.abs(dz) + (B / M)[:, None, None] + x_hat * (S / M)[:, None, None])
    for name, a, b, m in zip(("dx", "dgamma", "dbeta"), k.batch_norm_pool_grad(dy, x, gamma, beta, mean, var, EPS), expected,
                             (magnitude, S, B), strict=True):
        assert a.dtype == dtype
        assert_bounded(a, b, m, size + 8, name)


@every_backend(reference)
@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 16, 3, 5)], ids=str)
def test_what_is_no_number(k: ModuleType, shape: tuple[int, ...]) -> None:
    """NaN wins its window; an infinite dy of a closed gate does no harm; without gamma and beta they are 1 and 0."""
    x, C = floats(shape, 0), shape[1]
    mean, var = np.zeros(C, np.float32), np.ones(C, np.float32)
    x[0, 0, 1, 0], x[0, 1, :2, :2] = np.nan, -1
    y = k.batch_norm_pool(x, None, None, mean, var, 0.0)
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 1, 0, 0] == 0
    assert np.isnan(y).sum() == 1
    x[0, 0, 1, 0] = 0
    dy = np.ones(y.shape, np.float32)
    dy[0, 1, 0, 0] = np.inf
    for g in k.batch_norm_pool_grad(dy, x, None, None, mean, var, 0.0):
        assert np.isfinite(g).all()


def test_an_empty_batch() -> None:
    x, c = np.zeros((0, 3, 4, 4), np.float32), np.ones(3, np.float32)
    assert numba_backend.batch_norm_pool(x, c, c, c, c, EPS).shape == (0, 3, 2, 2)
