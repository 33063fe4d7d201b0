"""The CUDA kernels that are no convolutions, where they can go wrong alone: parts of a channel, seams between vectors and between blocks,
memory that begins anywhere, what is empty and what is no number. What they compute is tested with all backends, in test_pool2d,
test_other_kernels, test_linear and test_im2col."""
from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import cuda_backend, numpy_backend, reference
from minicnn.kernels.cuda_backend import channel, layout, nvrtc, simulator, source
from minicnn.kernels.window import Window2d
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.kernels.on_device import CUDA_DEVICES, OnDevice, needs_nvrtc
from tests.strategies import floats, in_layout, integers, layouts, seeds

channel_sum = import_module("minicnn.kernels.cuda_backend.channel_sum")
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FOLDER = Path(source.__file__).parent
EPS = 1e-3
WIDE: dict[type, type] = {np.float32: np.float64, np.float64: np.longdouble}        # what is exact beside a dtype


@pytest.fixture(scope="module", params=CUDA_DEVICES)
def k(request: Any) -> OnDevice:
    return OnDevice(cuda_backend, request.param)


def shifted(x: np.ndarray) -> np.ndarray:
    """The same values in memory that does not begin at a multiple of 16 bytes, on the device as here."""
    memory = np.empty(x.size + 32, x.dtype)
    first = next(i for i in range(1, 32) if memory[i:].ctypes.data % 16)
    memory[first:first + x.size] = x.reshape(-1)
    return memory[first:first + x.size].reshape(x.shape)


# What the host and the kernels must agree on

def test_constants_are_those_of_the_kernels() -> None:
    assert f"const int THREADS = {channel.THREADS}, EACH = {channel.EACH}, PART = THREADS * EACH;" in source.text("batch_norm.cu")
    assert channel.PART == channel.THREADS * channel.EACH
    assert f"const int ROWS = {channel_sum.ROWS}, WARPS = {channel_sum.WARPS};" in source.text("channel_sum.cu")


@needs_nvrtc
@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("*.cu")))
def test_no_atomics(file: str) -> None:
    """So the order of all sums is the program's, and a rerun gives the same bits."""
    ptx, _ = nvrtc.compile(source.text(file), file, 80, "ptx", ("-DREAL=float",))
    assert not re.search(rb"^\s*(@%p\d+ )?(atom|red)\.", ptx, re.M)


def test_images_that_32_bits_cannot_number() -> None:
    message = "images of 4 x 5 are 2,147,483,652 x 5 with their padding; kernels count pixels in 32 bits"
    with pytest.raises(ValueError, match=f"^{message}$"):
        layout.window_fields(1, (4, 5), Window2d.of(2, 1, (2**31, 0, 0, 0)))


# What makes them fast, as the simulator counts it

def device(*shape: int) -> Any:
    return simulator.to_device(floats(shape, 0))


def pooled(x: Any, window: Window2d) -> None:
    """All but max_pool2d_grad, which reads dy only where a pixel won."""
    cuda_backend.max_pool2d(x, window)
    cuda_backend.avg_pool2d_grad(cuda_backend.avg_pool2d(x, window), x.shape, window)
    cuda_backend.col2im(cuda_backend.im2col(x, window), x.shape[2:], window)


COALESCED: dict[str, Any] = {
    "elementwise": lambda: (cuda_backend.relu(device(4096)), cuda_backend.relu_grad(device(4096), device(4096)),
                            cuda_backend.add(device(4096), device(4096))),
    "batch norm": lambda: cuda_backend.batch_norm_statistics(device(4, 3, 32, 32)),
    "channel sum": lambda: (cuda_backend.channel_sum(device(4, 3, 32, 32)), cuda_backend.channel_sum(device(128, 64))),
    "optimiser": lambda: cuda_backend.adam_step(*(device(4096) for _ in range(4)), 1, 0.1, 0.9, 0.9, 1e-8, 0.0, False),
    "softmax": lambda: cuda_backend.softmax_cross_entropy(device(8, 96), simulator.to_device(np.arange(8))),
    "windows side by side": lambda: pooled(device(2, 3, 16, 32), Window2d.of((2, 1), (2, 1))),
}


@needs_nvrtc
@pytest.mark.parametrize("run", COALESCED.values(), ids=COALESCED)
def test_neighbours_read_and_write_neighbours(run: Any) -> None:
    """No request takes more sectors than its bytes fill; some take fewer, where threads read the same."""
    with simulator.ENGINE.counting() as launches:
        run()
    for counts in launches:
        for kind in ("read", "write"):
            access = counts.total("global", kind)
            assert access.units <= access.ideal, f"{counts.kernel}: {kind}s take {access.per_request} sectors"
    assert launches


@needs_nvrtc
def test_relu_loads_and_stores_16_bytes_a_thread() -> None:
    with simulator.ENGINE.counting() as launches:
        cuda_backend.relu(device(4096))
    access = launches[0].total("global", "read")
    assert (access.requests, access.per_request) == (4096 // 4 // 32, 32 * 16 / 32)


# Elementwise

@dtypes
@pytest.mark.parametrize("size", [1, 3, 4, 1023, 1024, 1027, 5000])
def test_seams_of_elementwise_kernels(k: OnDevice, dtype: type, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block for 1024 numbers, or one that goes on and on; the last numbers one by one, or all."""
    a, b = integers((size,), 0, dtype=dtype), integers((size,), 1, dtype=dtype)
    for most in (1, layout.MOST_STRIDING):
        monkeypatch.setattr(layout, "MOST_STRIDING", most)
        for x, y in ((a, b), (shifted(a), b), (a, shifted(b))):
            with unchanged(x, y):
                assert_equal(k.relu(x), np.maximum(a, 0))
                assert_equal(k.relu_grad(x, y), np.where(b > 0, a, 0))
                assert_equal(k.add(x, y), a + b)
                assert_equal(k.add(x, y, relu=True), np.maximum(a + b, 0))


def test_what_is_no_number(k: OnDevice) -> None:
    x = np.resize(np.array([-1, -0.0, 0, 2, np.nan, np.inf, -np.inf], np.float32), 1021)
    dy = np.resize(np.array([np.inf, 3, np.nan, 3, 3, -np.inf, np.nan, 3, np.nan], np.float32), 1021)
    with np.errstate(invalid="ignore"):
        assert_equal(k.relu(x), np.maximum(x, 0))
        assert not np.signbit(k.relu(x)[1])
        assert_equal(k.relu_grad(dy, x), np.where(x > 0, dy, 0))
        assert_equal(k.add(x, dy), x + dy)
        assert_equal(k.add(x, dy, True), np.maximum(x + dy, 0))


@dtypes
@given(shape=st.lists(st.integers(0, 4), max_size=4).map(tuple), seed=seeds, layout=layouts, other=layouts)
def test_every_order_of_memory(k: OnDevice, dtype: type, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    a, b = integers(shape, seed, dtype=dtype), integers(shape, seed + 1, dtype=dtype)
    x, y = in_layout(a, layout), in_layout(b, other)
    with unchanged(x, y):
        assert_equal(k.relu(x), np.maximum(a, 0))
        assert_equal(k.relu_grad(x, y), np.where(b > 0, a, 0))
        assert_equal(k.add(x, y, relu=True), np.maximum(a + b, 0))


@pytest.mark.parametrize("dtype", [np.float16, np.int32])
def test_other_dtypes_are_left_to_array_functions(k: OnDevice, dtype: Any) -> None:
    x, dy, c = integers((2, 3, 4, 5), 0).astype(dtype), integers((2, 3, 4, 5), 1).astype(dtype), np.ones(3, dtype)
    window = Window2d.of(2, 2, 1)
    assert_equal(k.relu(x), numpy_backend.relu(x))
    assert_equal(k.relu_grad(dy, x), numpy_backend.relu_grad(dy, x))
    assert_equal(k.add(x, dy), x + dy)
    assert_equal(k.channel_sum(x), numpy_backend.channel_sum(x))
    assert_equal(k.im2col(x, window), numpy_backend.im2col(x, window))
    if dtype is np.float16:
        assert_equal(k.max_pool2d(x, window)[0], numpy_backend.max_pool2d(x, window)[0])
        assert_equal(k.avg_pool2d(x, window), numpy_backend.avg_pool2d(x, window))
        assert_equal(k.batch_norm(x, c, c, c, c, 1.0), numpy_backend.batch_norm(x, c, c, c, c, 1.0))


# Pooling

@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_winners_may_come_from_another_backend(k: OnDevice, dtype: type) -> None:
    x, window = integers((2, 3, 9, 8), 0), Window2d.of(3, 2, 1)
    y, argmax = numpy_backend.max_pool2d(x, window)
    dy = integers(y.shape, 1)
    assert_equal(k.max_pool2d_grad(dy, argmax.astype(dtype), x.shape, window), numpy_backend.max_pool2d_grad(dy, argmax, x.shape, window))


@pytest.mark.parametrize("window", [Window2d.of(2, 2), Window2d.of(3, 2, 1), Window2d.of((2, 3), (1, 2), (1, 0, 1, 1), (3, 1))])
def test_pooling_in_float64_and_of_several_blocks(k: OnDevice, window: Window2d) -> None:
    x = integers((2, 3, 13, 17), 0, dtype=np.float64)
    y, argmax = k.max_pool2d(x, window)
    for got, expected in zip((y, argmax), numpy_backend.max_pool2d(x, window), strict=True):
        assert_equal(got, expected)
    dy = integers(y.shape, 1, dtype=np.float64)
    assert_equal(k.max_pool2d_grad(dy, argmax, x.shape, window), numpy_backend.max_pool2d_grad(dy, argmax, x.shape, window))
    assert_equal(k.avg_pool2d(x, window, True, 4), numpy_backend.avg_pool2d(x, window, True, 4))
    assert_equal(k.avg_pool2d_grad(dy, x.shape, window, True, 4), numpy_backend.avg_pool2d_grad(dy, x.shape, window, True, 4))


def test_no_images(k: OnDevice) -> None:
    x, window, c = np.zeros((0, 3, 5, 6), np.float32), Window2d.of(3, 2, 1), np.ones(3, np.float32)
    y, argmax = k.max_pool2d(x, window)
    assert y.shape == argmax.shape == (0, 3, 3, 3)
    assert argmax.dtype == np.int64
    assert k.max_pool2d_grad(y, argmax, x.shape, window).shape == x.shape
    assert k.avg_pool2d_grad(k.avg_pool2d(x, window), x.shape, window).shape == x.shape
    assert k.col2im(k.im2col(x, window), (5, 6), window).shape == x.shape
    assert k.batch_norm(x, c, c, c, c, EPS).shape == x.shape
    dx, dgamma, dbeta = k.batch_norm_grad(x, x, c, c, c, EPS, False)
    assert dx.shape == x.shape
    for sums in (dgamma, dbeta, k.channel_sum(x), k.channel_sum(x.reshape(0, 3, 30)[:, :, 0])):
        assert_equal(sums, np.zeros(3, np.float32))
    losses, p = k.softmax_cross_entropy(x.reshape(0, 90), np.zeros(0, int))
    assert (losses.shape, p.shape) == ((0,), (0, 90))
    assert k.softmax_cross_entropy_grad(losses, p, np.zeros(0, int)).shape == p.shape


# Sums over channels

IMAGES = [(1, 1, 1, 2), (7, 40, 1, 1), (2, 3, 61, 70), (3, 2, 36, 40), (300, 2, 5, 3), (9000, 1, 1, 1)]
DEPTH = 64       # additions on the way of one value into a sum: 16 of a thread, 5 in a warp, 8 warps, the parts, and the mean


@dtypes
@pytest.mark.parametrize("shape", [*IMAGES, (1100, 3), (513, 33), (4, 2, 3)], ids=str)
def test_channel_sum_of_many_parts(k: OnDevice, dtype: type, shape: tuple[int, ...]) -> None:
    dy = floats(shape, 0, dtype)
    wide, axes = dy.astype(WIDE[dtype]), (0, *range(2, dy.ndim))
    with unchanged(dy):
        assert_bounded(k.channel_sum(dy), wide.sum(axis=axes), abs(wide).sum(axis=axes), 2 * DEPTH)


@dtypes
@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("offset", [0, 1e4])
def test_batch_norm_is_bounded_for_every_size(k: OnDevice, dtype: type, shape: tuple[int, ...], offset: float) -> None:
    """Statistics, y and the gradients, also with a mean that is ten thousand times the spread."""
    x, dy = floats(shape, 0, dtype) + dtype(offset), floats(shape, 1, dtype)
    C, axes, wide = x.shape[1], (0, 2, 3), WIDE[dtype]
    size = x.size // C

    def by_channel(values: np.ndarray) -> np.ndarray:
        return values.astype(wide)[:, None, None]

    xw, dyw = x.astype(wide), dy.astype(wide)
    mean, var = k.batch_norm_statistics(x)
    exact = xw.var(axis=axes)
    assert_bounded(mean, xw.mean(axis=axes), np.abs(xw.mean(axis=axes)) + np.sqrt(exact), DEPTH, "mean")
    assert_bounded(var, exact, exact, DEPTH, "var")
    gamma, beta = floats((C,), 2, dtype), floats((C,), 3, dtype)
    g, inverse_std = by_channel(gamma), 1 / np.sqrt(by_channel(var) + EPS)
    x_hat = (xw - by_channel(mean)) * inverse_std
    with unchanged(x, dy, gamma, beta, mean, var):
        y = k.batch_norm(x, gamma, beta, mean, var, EPS)
        dx, dgamma, dbeta = k.batch_norm_grad(dy, x, gamma, mean, var, EPS, True)
    assert_bounded(y, x_hat * g + by_channel(beta), np.abs(x_hat * g) + np.abs(by_channel(beta)), 8, "y")
    sums, magnitudes = [(f(dyw).sum(axis=axes), (f(dyw) * f(x_hat)).sum(axis=axes)) for f in (lambda a: a, np.abs)]
    assert_bounded(dbeta, sums[0], magnitudes[0], DEPTH, "dbeta")
    assert_bounded(dgamma, sums[1], magnitudes[1], DEPTH, "dgamma")
    (b, s), (B, S) = ([by_channel(a) / size for a in pair] for pair in (sums, magnitudes))
    scale = g * inverse_std
    assert_bounded(dx, scale * (dyw - b - x_hat * s), np.abs(scale) * (np.abs(dyw) + B + np.abs(x_hat) * S), DEPTH, "dx")


@dtypes
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 2, 3, 3), (2, 3, 41, 52)], ids=str)
@pytest.mark.parametrize("batch_statistics", [True, False])
def test_relu_after_batch_norm_changes_no_bit(k: OnDevice, dtype: type, shape: tuple[int, ...], batch_statistics: bool) -> None:
    """Nor does memory that begins anywhere, where values are taken one by one."""
    x, dy, C = floats(shape, 0, dtype), floats(shape, 1, dtype), shape[1]
    gamma, beta = floats((C,), 2, dtype), floats((C,), 3, dtype)
    mean, var = k.batch_norm_statistics(x)
    y = k.batch_norm(x, gamma, beta, mean, var, EPS)
    assert (y > 0).any()
    for one in (x, shifted(x)):
        assert_equal(k.batch_norm(one, gamma, beta, mean, var, EPS, relu=True), k.relu(y))
        expected = k.batch_norm_grad(k.relu_grad(dy, y), x, gamma, mean, var, EPS, batch_statistics)
        fused = k.batch_norm_grad(dy, one, gamma, mean, var, EPS, batch_statistics, beta, relu=True)
        for name, a, b in zip(("dx", "dgamma", "dbeta"), fused, expected, strict=True):
            assert_equal(a, b, name)


@pytest.mark.parametrize("first", [True, False])
def test_batch_norm_keeps_what_is_no_number_in_its_channel(k: OnDevice, first: bool) -> None:
    """Wherever it lies: in the first part of its channel, which the others are compared with, or in the last."""
    x, dy = floats((2, 6, 45, 47), 0), floats((2, 6, 45, 47), 1)
    at = (0, 0, 0) if first else (1, 44, 46)
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


# Softmax and cross-entropy

@dtypes
@pytest.mark.parametrize("K", [1, 10, 31, 32, 33, 1000])
def test_cross_entropy_is_bounded_for_every_number_of_classes(k: OnDevice, dtype: type, K: int) -> None:
    """The sum of K terms is K/32 + 5 additions deep; exp errs by two units, its argument by a rounding of x - max."""
    N = 5                                                      # more than a block of 4 warps
    x, labels = (4 * floats((N, K), N, dtype)).astype(dtype), np.random.default_rng(N).integers(0, K, N)
    dlosses = floats((N,), N + 1, dtype)
    losses, p = k.softmax_cross_entropy(x, labels)
    assert losses.dtype == p.dtype == dtype
    shifted = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    exp = np.exp(shifted)
    total, at = exp.sum(axis=1), (np.arange(N), labels)
    deep, reach = 10 + 5 + K // 32 + 1, 1 + np.abs(shifted)
    assert_bounded(losses, np.log(total) - shifted[at], np.log(total) - shifted[at] + reach.max(axis=1), deep, "loss")
    exact = exp / total[:, None]
    assert_bounded(p, exact, exact * (reach + reach.max(axis=1, keepdims=True)) + np.finfo(dtype).tiny, deep, "p")
    one_hot = np.arange(K) == labels[:, None]
    dx, p64 = k.softmax_cross_entropy_grad(dlosses, p, labels), p.astype(np.float64)
    assert_bounded(dx, dlosses[:, None].astype(np.float64) * (p64 - one_hot), np.abs(dlosses[:, None]) * (p64 + one_hot), 2, "dx")


@dtypes
@pytest.mark.parametrize("K", [3, 40])
def test_cross_entropy_of_what_is_no_number(k: OnDevice, dtype: type, K: int) -> None:
    """A row with NaN or +inf, or of -inf alone, is NaN throughout; one -inf is a class that cannot be; large numbers are nothing odd."""
    x = np.zeros((8, K), dtype)
    x[0, 1], x[1, 0], x[2, 2], x[3], x[4, 1], x[5], x[6, 0] = np.nan, -np.nan, np.inf, -np.inf, -np.inf, 3e38, -3e38
    labels = np.zeros(8, np.int64)
    with np.errstate(all="ignore"):
        got, expected = (b.softmax_cross_entropy(x, labels) for b in (k, numpy_backend))
        for one, other in zip(got, expected, strict=True):
            odd = ~np.isfinite(other)
            assert_equal(one[odd], other[odd])
            assert np.isfinite(one[~odd]).all()
    assert_equal(got[1][4], np.where(np.arange(K) == 1, 0, got[1][4, 0]).astype(dtype))


@pytest.mark.parametrize("label", [-1, 4, 2**40, -2**63])
def test_a_label_that_is_no_class_makes_its_loss_nan(k: OnDevice, label: int) -> None:
    """And nothing outside the row is read. A kernel cannot raise an exception."""
    labels, x = np.array([0, label, 2]), floats((3, 4), 0)
    losses, p = k.softmax_cross_entropy(x, labels)
    assert_equal(np.isnan(losses), np.array([False, True, False]))
    assert np.isfinite(p).all()
    assert_equal(k.softmax_cross_entropy_grad(np.ones(3, np.float32), p, labels)[1], p[1])         # no k equals it


@pytest.mark.parametrize("label_type", [np.int8, np.uint8, np.int32, np.uint64, np.int64])
@given(N=st.integers(1, 5), K=st.integers(1, 20), seed=seeds, layout=layouts, other=layouts)
def test_cross_entropy_takes_every_order_of_memory(k: OnDevice, label_type: type, N: int, K: int, seed: int, layout: str,
                                                   other: str) -> None:
    """And labels of every integer type."""
    a, l, d = floats((N, K), seed), np.random.default_rng(seed).integers(0, K, N), floats((N,), seed + 1)
    x, labels, dlosses = in_layout(a, layout), in_layout(l.astype(label_type), other), in_layout(d, layout)
    with unchanged(x, labels, dlosses):
        losses, p = k.softmax_cross_entropy(x, labels)
        same = k.softmax_cross_entropy_grad(np.broadcast_to(d[:1], (N,)), in_layout(p, other), labels)
    for got, expected in zip((losses, p), k.softmax_cross_entropy(a, l), strict=True):
        assert_equal(got, expected)
    assert_equal(same, k.softmax_cross_entropy_grad(np.repeat(d[:1], N), p, l))


# Optimisers

SGD = [(0.9, 0.0, 0.0, False), (0.9, 0.0, 0.1, True), (0.5, 0.2, 0.1, False), (0, 0, 0.1, False), (0.9, 0.0, 0.0, True)]
ADAM = [(1, 0.9, 0.999, 1e-8, 0.1, False), (3, 0.5, 0.8, 1e-3, 0.1, True), (7, 0.0, 0.0, 1e-8, 0.0, False)]
State = list[np.ndarray]


def state(size: int, dtype: type) -> State:
    """p, g, a velocity or first moment, a second moment."""
    return [floats((size,), 0, dtype), floats((size,), 1, dtype), floats((size,), 2, dtype), np.abs(floats((size,), 3, dtype))]


@dtypes
@pytest.mark.parametrize("size", [0, 1, 255, 1100])
def test_one_step_is_within_its_roundings(k: OnDevice, dtype: type, size: int) -> None:
    """Of float32 beside the reference in float64; of float64 beside NumPy's order of operations, which is ours."""
    sides = 1 if dtype is np.float32 else 2
    for momentum, dampening, decay, nesterov in SGD:
        (p, g, v, _), exact = state(size, dtype), [a.astype(np.float64) for a in state(size, dtype)]
        with unchanged(g):
            k.sgd_step(p, g, v if momentum else None, 0.1, momentum, dampening, decay, nesterov)
        reference.sgd_step(exact[0], exact[1], exact[2] if momentum else None, 0.1, momentum, dampening, decay, nesterov)
        magnitude = sum(map(np.abs, state(size, dtype)))
        assert_bounded(p, exact[0], magnitude, sides * 8, "p")
        assert_bounded(v, exact[2], magnitude, sides * 8, "v")
    for t, beta1, beta2, eps, decay, decoupled in ADAM:
        ours, exact = state(size, dtype), [a.astype(np.float64) for a in state(size, dtype)]
        with unchanged(ours[1]):
            k.adam_step(*ours, t, 0.01, beta1, beta2, eps, decay, decoupled)
        reference.adam_step(*exact, t, 0.01, beta1, beta2, eps, decay, decoupled)
        magnitude = sum(map(np.abs, state(size, dtype)))
        for name, got, expected in zip("pgmv", ours, exact, strict=True):
            assert_bounded(got, expected, magnitude + magnitude**2, sides * 12, name)


@pytest.mark.parametrize("layout", ["contiguous", "fortran", "strided", "reversed", "channels-last"])
def test_steps_take_every_order_of_memory(k: OnDevice, layout: str) -> None:
    """Where kernels cannot work in place, NumPy's functions do."""
    for call in (lambda b, p, g, m, v: b.sgd_step(p, g, m, 0.1, 0.9, 0.0, 0.1, True),
                 lambda b, p, g, m, v: b.sgd_step(p, g, None, 0.1, 0.0, 0.0, 0.0, False),
                 lambda b, p, g, m, v: b.adam_step(p, g, m, v, 2, 0.01, 0.9, 0.99, 1e-8, 0.1, False)):
        values = [a.reshape(2, 3, 4, 5) for a in state(120, np.float32)]
        for moved in ([0], [1], [2, 3], [0, 1, 2, 3]):
            ours, theirs = ([in_layout(a.copy(), layout) if i in moved else a.copy() for i, a in enumerate(values)] for _ in range(2))
            call(k, *ours)
            call(numpy_backend, *theirs)
            for got, expected in zip(ours, theirs, strict=True):
                assert_bounded(got, expected.astype(np.float64), np.abs(expected) + 2, 12)


def test_steps_with_what_is_no_number(k: OnDevice) -> None:
    """Without weight decay an infinite p is not multiplied by 0; a NaN stays in its place."""
    p, g = np.array([np.inf, 1, 2, np.nan, 3], np.float32), np.array([1, np.nan, np.inf, 1, 1], np.float32)
    ours, theirs = [[p.copy(), g, np.zeros_like(p), np.zeros_like(p)] for _ in range(2)]
    with np.errstate(all="ignore"):
        for backend, arrays in ((k, ours), (numpy_backend, theirs)):
            backend.sgd_step(*arrays[:2], None, 0.5, 0.0, 0.0, 0.0, False)
            backend.sgd_step(*arrays[:3], 0.5, 0.5, 0.0, 0.0, True)
            backend.adam_step(*arrays, 1, 0.5, 0.5, 0.5, 1e-8, 0.0, False)
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(np.isnan(got), np.isnan(expected))
        assert_equal(got[np.isinf(expected)], expected[np.isinf(expected)])
    assert np.isinf(ours[0][0])


# For inference

def test_prepared_layers(k: OnDevice) -> None:
    x, w, b = integers((2, 3, 7, 6), 0), integers((4, 3, 3, 3), 1), integers((4,), 2)
    window = Window2d.of(3, 1, 1)
    for relu in (False, True):
        for pool in ((1, 1), (2, 2)):
            assert_equal(k.prepare_conv2d(w, b, window, 1, relu, pool)(x), reference.prepare_conv2d(w, b, window, 1, relu, pool)(x))
        flat = integers((5, 126), 3)
        assert_equal(k.prepare_linear(flat, None, relu, (3, 7, 6))(x), reference.prepare_linear(flat, None, relu, (3, 7, 6))(x))
