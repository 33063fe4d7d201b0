"""The Numba kernels that are no convolutions or pools, where they can go wrong alone: memory orders, the seams between chunks, threads,
the flushing of subnormals, and numbers that are none. What they compute is tested with all backends, in test_other_kernels."""
from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, kernels
from minicnn.kernels import numba_backend as k
from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.lanes import BYTES
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.strategies import floats, in_layout, integers, layouts, seeds

activation, arithmetic, batch_norm, exponential, loss, moments, optimizer, rows = (
    import_module(f"minicnn.kernels.numba_backend.{name}")
    for name in ("activation", "arithmetic", "batch_norm", "exponential", "loss", "moments", "optimizer", "rows"))

PLAIN = bool(numba.config.DISABLE_JIT)                           # then the loops are Python's, and slow
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple) | st.tuples(*[st.integers(1, 4)] * 4)


def seams(chunk: int) -> list[int]:
    """Sizes around the ends of chunks, and some chunks."""
    return [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk] + ([] if PLAIN else [40 * chunk + 7])


# relu and add

@dtypes
@given(shape=shapes, seed=seeds, layout=layouts, other=layouts)
def test_every_order_of_memory(dtype: type, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    a, b = integers(shape, seed, dtype=dtype), integers(shape, seed + 1, dtype=dtype)
    x, y = in_layout(a, layout), in_layout(b, other)
    with unchanged(x, y):
        assert_equal(k.relu(x), np.maximum(a, 0))
        assert_equal(k.relu_grad(x, y), np.where(b > 0, a, 0))
        assert_equal(k.add(x, y), a + b)
        assert_equal(k.add(x, y, relu=True), np.maximum(a + b, 0))
        assert_equal(arithmetic.elementwise(arithmetic._sum(False), x, y), a + b)        # add itself leaves small arrays to NumPy
        assert_equal(arithmetic.elementwise(arithmetic._sum(True), x, y), np.maximum(a + b, 0))


def test_results_lie_in_memory_as_the_arguments_do() -> None:
    a = floats((2, 3, 40, 50), 0)
    rows_, columns = a.copy(), in_layout(a, "channels-last")
    strided, other = in_layout(a, "strided"), in_layout(a[0, 0], "fortran")
    for x, channels_last in ((rows_, False), (columns, True), (strided, True)):
        for y in (k.relu(x), k.relu_grad(x, x), k.add(x, x)):
            assert y.transpose(0, 2, 3, 1).flags.c_contiguous == channels_last
            assert y.flags.c_contiguous != channels_last
    for y in (k.relu_grad(rows_, columns), k.relu_grad(columns, rows_), k.add(columns, rows_)):       # two orders: channels-last
        assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert k.relu(other).flags.c_contiguous
    for x, gate in ((rows_.copy(), rows_), (columns.copy(order="K"), columns)):
        assert np.shares_memory(k.relu_grad(x, gate, inplace=True), x)
    assert not np.shares_memory(k.relu_grad(other, other.copy(), inplace=True), other)     # neither order: a copy is written over


@dtypes
@pytest.mark.parametrize("size", seams(activation.CHUNK))
def test_seams_of_elementwise_kernels(dtype: type, size: int) -> None:
    assert activation.CHUNK == arithmetic.CHUNK
    a, b = floats((size,), 0, dtype), floats((size,), 1, dtype)
    assert_equal(k.relu(a), np.maximum(a, 0))
    assert_equal(k.relu_grad(a, b), np.where(b > 0, a, 0))
    assert_equal(k.relu_grad(a.copy(), b, True), np.where(b > 0, a, 0))
    assert_equal(arithmetic.elementwise(arithmetic._sum(False), a, b), a + b)
    assert_equal(arithmetic.elementwise(arithmetic._sum(True), a, b), np.maximum(a + b, 0))
    assert_equal(k.add(a, b), a + b)


def test_what_is_no_number() -> None:
    x = np.resize(np.array([-1, -0.0, 0, 2, np.nan, np.inf, -np.inf], np.float32), 9001)
    dy = np.resize(np.array([np.inf, 3, np.nan, 3, 3, -np.inf, np.nan, 3, np.nan], np.float32), 9001)
    with np.errstate(invalid="ignore"):
        assert_equal(k.relu(x), np.maximum(x, 0))
        assert not np.signbit(k.relu(x)[1])
        assert_equal(k.relu_grad(dy, x), np.where(x > 0, dy, 0))
        assert_equal(k.add(x, dy), x + dy)
        assert_equal(k.add(x, dy, True), np.maximum(x + dy, 0))


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.dtype(">f4")])
def test_other_dtypes_are_left_to_numpy(dtype: Any) -> None:
    x, dy = integers((2, 3, 4, 5), 0).astype(dtype), integers((2, 3, 4, 5), 1).astype(dtype)
    c = np.ones(3, dtype)
    assert_equal(k.relu(x), numpy_backend.relu(x))
    assert_equal(k.relu_grad(dy, x), numpy_backend.relu_grad(dy, x))
    assert_equal(k.add(x, dy), x + dy)
    mean, var = k.batch_norm_statistics(x)
    assert_equal(mean, numpy_backend.batch_norm_statistics(x)[0])
    assert_equal(k.batch_norm(x, c, c, mean, var, 1.0), numpy_backend.batch_norm(x, c, c, mean, var, 1.0))
    assert_equal(k.batch_norm_grad(dy, x, c, mean, var, 1.0, True)[0], numpy_backend.batch_norm_grad(dy, x, c, mean, var, 1.0, True)[0])
    z, labels = x.reshape(6, 20), np.arange(6)
    assert_equal(k.softmax_cross_entropy(z, labels)[1], numpy_backend.softmax_cross_entropy(z, labels)[1])
    dlosses = c.repeat(2)
    assert_equal(k.softmax_cross_entropy_grad(dlosses, z, labels), numpy_backend.softmax_cross_entropy_grad(dlosses, z, labels))
    ours, theirs = [[a.copy() for a in (x, dy, abs(x))] for _ in range(2)]
    for backend, (p, g, v) in ((k, ours), (numpy_backend, theirs)):
        backend.sgd_step(p, g, v, 0.5, 0.5, 0.0, 0.0, False)
        backend.adam_step(p, g, g.copy(), v, 1, 0.5, 0.5, 0.5, 1.0, 0.0, False)
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(got, expected)


# Batch normalisation

EPS = 1e-3
IMAGES = [(2, 3, 4, 5), (1, 1, 1, 2), (7, 130, 1, 1), (2, 600, 3, 1), (3, 16, 24, 28), (2, 1, 90, 91), (5, 3, 33, 40)]
IMAGES += [] if PLAIN else [(9, 31, 56, 57), (700, 520, 1, 1)]
DEPTH = 64       # additions on the way of one value into a sum: 8 fours of rows, 3 single rows, the lanes, blocks and chunks


WIDE: dict[type, type] = {np.float32: np.float64, np.float64: np.longdouble}        # what is exact beside a dtype


def check_batch_norm(x: np.ndarray, dy: np.ndarray, spread: float = 1.0) -> None:
    """Statistics, y and the gradients within the bound of sums whose depth is DEPTH, whatever the size.

    spread: how many times the variance the sum of squares may be that it was computed from.
    """
    C, axes, dtype = x.shape[1], (0, 2, 3), x.dtype.type
    size, wide = x.size // C, WIDE[dtype]

    def by_channel(values: np.ndarray) -> np.ndarray:
        return values.astype(wide)[:, None, None]

    xw, dyw = x.astype(wide), dy.astype(wide)
    mean, var = k.batch_norm_statistics(x)
    assert mean.dtype == var.dtype == dtype
    exact = xw.var(axis=axes)
    assert_bounded(mean, xw.mean(axis=axes), np.abs(xw.mean(axis=axes)) + np.sqrt(spread * exact), DEPTH, "mean")
    assert_bounded(var, exact, spread * exact, DEPTH, "var")
    gamma, beta = floats((C,), 2, dtype), floats((C,), 3, dtype)
    for running in (False, True):
        if running:
            mean, var = floats((C,), 4, dtype), np.abs(floats((C,), 5, dtype)) + dtype(0.5)
        g, inverse_std = by_channel(gamma), 1 / np.sqrt(by_channel(var) + EPS)
        x_hat = (xw - by_channel(mean)) * inverse_std
        y = k.batch_norm(x, gamma, beta, mean, var, EPS)
        assert_bounded(y, x_hat * g + by_channel(beta), np.abs(x_hat * g) + np.abs(by_channel(beta)), 8, "y")
        assert_bounded(k.batch_norm(x, None, None, mean, var, EPS), x_hat, np.abs(x_hat), 8, "y alone")
        dx, dgamma, dbeta = k.batch_norm_grad(dy, x, gamma, mean, var, EPS, not running)
        sums, magnitudes = [(f(dyw).sum(axis=axes), (f(dyw) * f(x_hat)).sum(axis=axes)) for f in (lambda a: a, np.abs)]
        assert_bounded(dbeta, sums[0], magnitudes[0], DEPTH, "dbeta")
        assert_bounded(dgamma, sums[1], magnitudes[1], DEPTH, "dgamma")
        (b, s), (B, S) = ([by_channel(a) / size if not running else 0 for a in pair] for pair in (sums, magnitudes))
        scale = g * inverse_std
        assert_bounded(dx, scale * (dyw - b - x_hat * s), np.abs(scale) * (np.abs(dyw) + B + np.abs(x_hat) * S), DEPTH, "dx")
        for a in (y, dx):
            assert a.transpose(0, 2, 3, 1).flags.c_contiguous
            assert a.dtype == dtype


@dtypes
@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("offset", [0, 1e4])
def test_batch_norm_is_bounded_for_every_size(dtype: type, shape: tuple[int, ...], offset: float) -> None:
    """Also with a mean that is ten thousand times the spread."""
    x, dy = floats(shape, 0, dtype) + dtype(offset), floats(shape, 1, dtype)
    check_batch_norm(in_layout(x, "channels-last"), in_layout(dy, "channels-last"))


@dtypes
def test_statistics_where_the_first_quarter_misleads(dtype: type) -> None:
    """The shift comes from the first quarter of a block. Even the worst quarter leaves sums of at most five times the variance."""
    block = (16 if PLAIN else 64) * 64
    x = floats((1, 2, block, 1), 0, dtype)
    x[:, 0, :block // 4] += dtype(1e4)
    x[:, 1, 0] += dtype(1e4)
    check_batch_norm(x, floats(x.shape, 1, dtype), spread=5.0)


@dtypes
@given(shape=st.tuples(*[st.integers(1, 5)] * 4), seed=seeds, layout=layouts, other=layouts)
def test_batch_norm_takes_every_order_of_memory(dtype: type, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    a, b = floats(shape, seed, dtype), floats(shape, seed + 1, dtype)
    x, dy = in_layout(a, layout), in_layout(b, other)
    c = [in_layout(np.abs(floats((shape[1],), seed + i, dtype)), other if i % 2 else layout) for i in range(4)]

    def results(x: np.ndarray, dy: np.ndarray, c: Iterable[np.ndarray]) -> list[np.ndarray]:
        gamma, beta, mean, var = c
        return [*k.batch_norm_statistics(x), k.batch_norm(x, gamma, beta, mean, var, EPS),
                *k.batch_norm_grad(dy, x, gamma, mean, var, EPS, True)]

    with unchanged(x, dy, *c):
        got = results(x, dy, c)
    for one, same in zip(got, results(a.copy(), b.copy(), [v.copy() for v in c]), strict=True):
        assert_equal(one, same)


@dtypes
@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("batch_statistics", [True, False])
def test_relu_after_batch_norm_changes_no_bit(dtype: type, shape: tuple[int, ...], batch_statistics: bool) -> None:
    x, dy, C = floats(shape, 0, dtype), floats(shape, 1, dtype), shape[1]
    gamma, beta = floats((C,), 2, dtype), floats((C,), 3, dtype)
    mean, var = k.batch_norm_statistics(x)
    y = k.batch_norm(x, gamma, beta, mean, var, EPS)
    assert (y > 0).any()
    assert_equal(k.batch_norm(x, gamma, beta, mean, var, EPS, relu=True), k.relu(y))
    expected = k.batch_norm_grad(k.relu_grad(dy, y), x, gamma, mean, var, EPS, batch_statistics)
    fused = k.batch_norm_grad(dy, x, gamma, mean, var, EPS, batch_statistics, beta, relu=True)
    own = in_layout(dy.copy(), "channels-last")
    over = k.batch_norm_grad(own, x, gamma, mean, var, EPS, batch_statistics, beta, relu=True, inplace=True)
    assert np.shares_memory(over[0], own)
    for name, a, b, c in zip(("dx", "dgamma", "dbeta"), fused, over, expected, strict=True):
        assert_equal(a, c, name)
        assert_equal(b, c, name)


@pytest.mark.parametrize("first", [True, False])
def test_batch_norm_keeps_what_is_no_number_in_its_channel(first: bool) -> None:
    """Wherever it lies: in the quarter of a block that the shift comes from, or after it."""
    x, dy = floats((2, 6, 40, 41), 0), floats((2, 6, 40, 41), 1)
    at = (0, 0, 0) if first else (1, 39, 40)
    channels = x.transpose(1, 0, 2, 3)
    channels[1][at], channels[2][at], channels[3][at], channels[4][at] = np.nan, np.inf, -np.inf, np.inf
    x[1, 4, 3, 3], x[:, 5] = -np.inf, 3
    with np.errstate(invalid="ignore"):
        mean, var = k.batch_norm_statistics(x)
        expected_mean, expected_var = numpy_backend.batch_norm_statistics(x)
        for got, expected in ((mean, expected_mean), (var, expected_var)):
            odd = ~np.isfinite(expected)
            assert_equal(np.isfinite(got), ~odd)
            assert_equal(got[odd], expected[odd])
        assert_equal(var[5:], np.zeros(1, np.float32))
        for of_batch in (True, False):
            got, expected = [b.batch_norm_grad(dy, x, None, mean, var, EPS, of_batch)[0] for b in (k, numpy_backend)]
            assert_equal(np.isnan(got), np.isnan(expected))
        got, expected = [b.batch_norm(x, None, None, mean, var, EPS) for b in (k, numpy_backend)]
        assert_equal(np.isnan(got), np.isnan(expected))
        ones, zeros = np.ones(6, np.float32), np.zeros(6, np.float32)
        assert np.isfinite(k.batch_norm_grad(dy, x, ones, zeros, ones, EPS, False)[0]).all()       # constants: x plays no part
        assert_equal(k.batch_norm(x, ones, zeros, zeros, ones, 0.0), x)


def test_batch_norm_of_nothing() -> None:
    x, c = np.zeros((0, 3, 2, 2), np.float32), np.ones(3, np.float32)
    assert k.batch_norm(x, c, c, c, c, EPS).shape == x.shape
    dx, dgamma, dbeta = k.batch_norm_grad(x, x, c, c, c, EPS, False)
    assert dx.shape == x.shape
    assert_equal(dgamma, np.zeros(3, np.float32))
    assert_equal(dbeta, np.zeros(3, np.float32))


# Softmax and cross-entropy

def test_exp_errs_by_less_than_one_unit_in_the_last_place() -> None:
    n = 1000 if PLAIN else 2_000_000
    x = np.concatenate([np.linspace(-87.336, 0, n), -np.logspace(-30, 1.94, n)]).astype(np.float32)
    expected, got = np.exp(x.astype(np.float64)), x.copy()
    exponential.exp32(got)
    assert (np.abs(got - expected) < np.spacing(expected.astype(np.float32))).all()
    special = np.array([-np.inf, np.nan, -87.4, -1e30, 0, -0.0, np.finfo(np.float32).min], np.float32)
    with np.errstate(all="ignore"):
        exponential.exp32(special)
    assert_equal(special, np.array([0, np.nan, 0, 0, 1, 1, 0], np.float32))


@dtypes
@pytest.mark.parametrize("K", [1, 2, 10, 16, 17, 33, 1000, 5000])
def test_cross_entropy_is_bounded_for_every_number_of_classes(dtype: type, K: int) -> None:
    """The sum of K terms is log2(K) additions deep; exp errs by one unit, its argument by a rounding of x - max."""
    rows_ = max(1, loss.CHUNK // K)
    for N in {1, rows_ - 1, rows_, rows_ + 1, *([] if PLAIN else [5 * rows_ + 2])} - {0}:
        x, labels = (4 * floats((N, K), N, dtype)).astype(dtype), np.random.default_rng(N).integers(0, K, N)
        dlosses = floats((N,), N + 1, dtype)
        losses, p = k.softmax_cross_entropy(x, labels)
        assert losses.dtype == p.dtype == dtype
        shifted = x.astype(np.float64) - x.max(axis=1, keepdims=True)
        exp = np.exp(shifted)
        total, at = exp.sum(axis=1), (np.arange(N), labels)
        deep, reach = 8 + int(np.ceil(np.log2(K))), 1 + np.abs(shifted)
        assert_bounded(losses, np.log(total) - shifted[at], np.log(total) - shifted[at] + reach.max(axis=1), deep, "loss")
        exact = exp / total[:, None]
        assert_bounded(p, exact, exact * (reach + reach.max(axis=1, keepdims=True)) + np.finfo(dtype).tiny, deep, "p")
        one_hot = np.arange(K) == labels[:, None]
        dx, p64 = k.softmax_cross_entropy_grad(dlosses, p, labels), p.astype(np.float64)
        assert_bounded(dx, dlosses[:, None].astype(np.float64) * (p64 - one_hot), np.abs(dlosses[:, None]) * (p64 + one_hot), 2, "dx")


@pytest.mark.parametrize("label_type", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
@given(N=st.integers(1, 5), K=st.integers(1, 20), seed=seeds, layout=layouts, other=layouts)
def test_cross_entropy_takes_every_order_of_memory(label_type: type, N: int, K: int, seed: int, layout: str, other: str) -> None:
    """And labels of every integer type."""
    a, l, d = floats((N, K), seed), np.random.default_rng(seed).integers(0, K, N), floats((N,), seed + 1)
    x, labels, dlosses = in_layout(a, layout), in_layout(l.astype(label_type), other), in_layout(d, layout)
    with unchanged(x, labels, dlosses):
        losses, p = k.softmax_cross_entropy(x, labels)
        dx = k.softmax_cross_entropy_grad(dlosses, in_layout(p, other), labels)
        same = k.softmax_cross_entropy_grad(np.broadcast_to(d[:1], (N,)), p, labels)
    for got, expected in zip((losses, p), k.softmax_cross_entropy(a, l), strict=True):
        assert_equal(got, expected)
    assert_equal(dx, k.softmax_cross_entropy_grad(d, p, l))
    assert_equal(same, k.softmax_cross_entropy_grad(np.repeat(d[:1], N), p, l))


@dtypes
@pytest.mark.parametrize("K", [3, 40])
def test_cross_entropy_of_what_is_no_number(dtype: type, K: int) -> None:
    """A row with NaN or +inf, or of -inf alone, is NaN throughout; one -inf is a class that cannot be; large numbers are nothing odd."""
    x = np.zeros((8, K), dtype)
    x[0, 1], x[1, 0], x[2, 2], x[3], x[4, 1], x[5], x[6, 0] = np.nan, -np.nan, np.inf, -np.inf, -np.inf, 3e38, -3e38
    labels = np.zeros(8, np.int64)
    with np.errstate(all="ignore"):
        got, expected = (b.softmax_cross_entropy(x, labels) for b in (k, numpy_backend))
        assert_equal(np.isnan(got[0]), np.arange(8) < 4)
        for one, other in zip(got, expected, strict=True):
            odd = ~np.isfinite(other)
            assert_equal(one[odd], other[odd])
            assert np.isfinite(one[~odd]).all()
    assert_equal(got[1][4], np.where(np.arange(K) == 1, 0, got[1][4, 0]).astype(dtype))


@pytest.mark.parametrize("label", [-1, 4, 2**40])
def test_a_label_that_is_no_class(label: int) -> None:
    labels = np.array([0, label, 2])
    with pytest.raises(IndexError) as error:
        k.softmax_cross_entropy(np.zeros((3, 4), np.float32), labels)
    assert str(error.value) == (f"softmax_cross_entropy: labels are {min(0, label)}..{max(2, label)}, but must be in 0..3: x has 4 classes")
    p = np.full((3, 4), 0.25, np.float32)
    assert_equal(k.softmax_cross_entropy_grad(np.ones(3, np.float32), p, labels)[1], p[1])         # no k equals it


# Optimisers

SGD = [(0.9, 0.0, 0.0, False), (0.9, 0.0, 0.1, True), (0.5, 0.2, 0.1, False), (0, 0, 0.1, False), (0.9, 0.0, 0.0, True)]
ADAM = [(1, 0.9, 0.999, 1e-8, 0.1, False), (3, 0.5, 0.8, 1e-3, 0.1, True), (7, 0.0, 0.0, 1e-8, 0.0, False)]


def step(backend: Any, p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
    """Every kind of step, one after the other."""
    for momentum, dampening, decay, nesterov in SGD:
        backend.sgd_step(p, g, m if momentum else None, 0.1, momentum, dampening, decay, nesterov)
    for t, beta1, beta2, eps, decay, decoupled in ADAM:
        backend.adam_step(p, g, m, v, t, 0.01, beta1, beta2, eps, decay, decoupled)


@dtypes
@pytest.mark.parametrize("size", seams(optimizer.CHUNK))
def test_steps_are_those_of_numpy_to_the_last_bit(dtype: type, size: int) -> None:
    ours, theirs = ([floats((size,), 0, dtype), floats((size,), 1, dtype), floats((size,), 2, dtype), np.abs(floats((size,), 3, dtype))]
                    for _ in range(2))
    with unchanged(ours[1]):
        step(k, *ours)
    step(numpy_backend, *theirs)
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(got, expected)


@dtypes
@given(shape=shapes, seed=seeds, orders=st.tuples(layouts, layouts, layouts, layouts))
def test_steps_take_every_order_of_memory(dtype: type, shape: tuple[int, ...], seed: int, orders: tuple[str, ...]) -> None:
    values = [np.array(floats(shape, seed + i, dtype)) for i in range(3)] + [np.array(np.abs(floats(shape, seed + 3, dtype)))]
    ours = [in_layout(a.copy(), order) for a, order in zip(values, orders, strict=True)]
    ours = [a if i == 1 or a.flags.writeable else a.copy() for i, a in enumerate(ours)]       # only g may be read-only
    theirs = [a.copy() for a in values]
    with unchanged(ours[1]):
        step(k, *ours)
    step(numpy_backend, *theirs)
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(got, expected)


def test_steps_with_what_is_no_number() -> None:
    """Without weight decay an infinite p is not multiplied by 0; a NaN stays in its place."""
    p, g = np.array([np.inf, 1, 2, np.nan, 3], np.float32), np.array([1, np.nan, np.inf, 1, 1], np.float32)
    ours, theirs = [[p.copy(), g, np.zeros_like(p), np.zeros_like(p)] for _ in range(2)]
    with np.errstate(all="ignore"):
        for backend, arrays in ((k, ours), (numpy_backend, theirs)):
            backend.sgd_step(*arrays[:2], None, 0.1, 0.0, 0.0, 0.0, False)
            backend.sgd_step(*arrays[:3], 0.1, 0.9, 0.0, 0.0, True)
            backend.adam_step(*arrays, 1, 0.1, 0.9, 0.9, 1e-8, 0.0, False)
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(got, expected)
    assert np.isinf(ours[0][0])


def test_a_gradient_of_another_shape_is_numpys_matter() -> None:
    p = np.zeros((2, 3), np.float32)
    k.sgd_step(p, np.ones(3, np.float32), None, 1.0, 0.0, 0.0, 0.0, False)
    assert_equal(p, np.full((2, 3), -1, np.float32))
    with pytest.raises(ValueError, match="broadcast"):
        k.sgd_step(p, np.ones(4, np.float32), None, 1.0, 0.0, 0.0, 0.0, False)


# Threads and subnormal numbers

compiled = pytest.mark.skipif(PLAIN, reason="plain Python has no threads of ours")


def everything(dtype: type) -> list[np.ndarray]:
    """One result of every kernel, on arrays that are worth threads."""
    x, dy = (in_layout(floats((9, 31, 40, 41), seed, dtype), "channels-last") for seed in (0, 1))
    c = np.abs(floats((31,), 2, dtype))
    mean, var = k.batch_norm_statistics(x)
    results = [k.relu(x), k.relu_grad(dy, x), k.add(x, dy), mean, var, k.batch_norm(x, c, c, mean, var, EPS)]
    for of_batch in (True, False):
        results += k.batch_norm_grad(dy, x, c, mean, var, EPS, of_batch)
    results += [k.batch_norm_pool(x, c, c, mean, var, EPS), *k.batch_norm_pool_grad(dy[:, :, ::2, 1::2], x, c, c, mean, var, EPS)]
    for N, K in ((20_000, 10), (70, 1000)):
        logits, labels = floats((N, K), 3, dtype), np.arange(N) % K
        losses, p = k.softmax_cross_entropy(logits, labels)
        results += [losses, p, k.softmax_cross_entropy_grad(losses, p, labels)]
    state = [floats((300_001,), seed, dtype) for seed in (4, 5, 6)] + [np.abs(floats((300_001,), 7, dtype))]
    step(k, *state)
    return results + state


@compiled
@dtypes
def test_the_number_of_threads_changes_no_bit(dtype: type, every_thread_count: list[int]) -> None:
    results = []
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        results.append([a.tobytes() for a in everything(dtype)])
    assert results[0] == results[1] == results[2]


@compiled
@dtypes
def test_each_thread_has_sums_of_its_own(dtype: type) -> None:
    """What a chunk writes beside its results lies in the memory of its worker, here number 1 of 3."""
    x, dy = floats((4000,), 0, dtype), floats((4000,), 1, dtype)
    L, size, chunks = rows.cut(x.size, 2, x.itemsize)
    lanes, n = np.ones((6, L), dtype), BYTES // x.itemsize
    for call, shape, own in (
        (lambda s: batch_norm.sums_of(n)(0, 1, dy, x, lanes, s, size, True, np.zeros((chunks, 2, 2))), (3, 2, L), [1]),
        (lambda s: moments.chunk_of(n)(0, 1, x, size, s, np.empty((3, 3, 2)), np.empty((chunks, 3, 2))), (3, 3, L), [1]),
        (lambda s: moments.chunk_of(n)(0, 1, x, size, np.empty((3, 3, L), dtype), s, np.empty((chunks, 3, 2))), (3, 3, 2), [1]),
        (lambda s: loss._chunk(x.dtype)(0, 1, x, np.zeros(40, int), dy[:40], dy.copy(), 5, s), (3, 100), [1]),
    ):
        scratch = np.ones(shape, np.float64 if shape in ((3, 3, 2), (3, 2, L)) else dtype)
        call(scratch)
        changed = [i for i in range(len(scratch)) if (scratch[i] != 1).any()]
        assert set(changed) <= set(own)
        assert changed


@compiled
def test_a_read_only_array_has_no_kernel_compiled_anew() -> None:
    x = floats((2, 3, 4, 5), 0)
    for layout in ("contiguous", "read-only", "channels-last", "strided"):
        k.relu(in_layout(x, layout))
    assert all(array.mutable and array.layout == "C" for x, y, _ in activation._relu.signatures for array in (x, y))


@compiled
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"), reason="there is no flag to set")
def test_subnormals_are_flushed_and_the_mode_is_restored(every_thread_count: list[int]) -> None:
    tiny = np.float32(2.0**-130)
    x, zero, one = np.full((4, 16, 60, 60), tiny), np.zeros((4, 16, 60, 60), np.float32), np.ones(16, np.float32)
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        p = x.copy()
        k.sgd_step(p, x, None, 1e-3, 0.0, 0.0, 0.0, False)
        for result in (k.relu(x), k.add(x, zero), k.batch_norm_statistics(x)[0], k.batch_norm(x, one, None, 0 * one, one, 0.0),
                       k.batch_norm_grad(x, x, one, 0 * one, one, 0.0, True)[0], p,
                       k.softmax_cross_entropy_grad(np.full(90, tiny), np.full((90, 1000), np.float32(0.5)), np.full(90, 0))):
            assert not result.any()
        assert tiny * np.float32(0.5) > 0


def test_add_is_used_for_residual_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the tape's +, for two images of one shape; not where something is broadcast, or no floating-point array."""
    seen: list[tuple[int, ...]] = []

    def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        seen.append(a.shape)
        return a + b

    monkeypatch.setattr(numpy_backend, "add", add)
    with kernels.use_backend("numpy"):
        a, pixel, n = Tensor(integers((2, 3, 4, 5), 0)), Tensor(integers((3, 1, 1), 1)), Tensor(np.arange(120).reshape(2, 3, 4, 5))
        assert_equal(a + a, 2 * a.array)
        assert_equal(a + pixel, a.array + pixel.array)
        assert_equal(n + n, 2 * n.array)
        assert_equal(a + 1.0, a.array + 1)
    assert seen == [a.shape]
