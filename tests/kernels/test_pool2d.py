"""Max and average pooling against the nested loops, and the loops against torch where torch is safe to call."""
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import reference
from minicnn.kernels.window import Window2d
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.kernels.on_device import every_backend
from tests.strategies import Geometry, floats, in_layout, integers, pool_geometries


def arrays(g: Geometry, random=integers) -> tuple[np.ndarray, np.ndarray]:
    """x with many ties, and dy."""
    return in_layout(random(g.x_shape, g.seed), g.layout), in_layout(random(g.y_shape, g.seed + 1), g.layout)


# torch corrupts memory when a window sees only padding (with dilation), so it gets dilation 1 and its own rule for padding.
@given(pool_geometries(dilation=1, torch_padding=True))
def test_the_loops_equal_torch(g: Geometry) -> None:
    x, dy = arrays(g)
    tx = torch.tensor(x.astype(np.float64), requires_grad=True)
    padding = g.window.padding[0], g.window.padding[2]
    ty, targmax = torch.nn.functional.max_pool2d(tx, g.window.kernel, g.window.stride, padding, 1, g.window.ceil_mode, return_indices=True)
    ty.backward(torch.tensor(dy.astype(np.float64)))
    y, argmax = reference.max_pool2d(x, g.window)
    assert_equal(y, ty)
    assert_equal(argmax, targmax)
    assert_equal(reference.max_pool2d_grad(dy, argmax, x.shape, g.window), tx.grad)


@given(pool_geometries(dilation=1, torch_padding=True), st.booleans(), st.sampled_from([None, 3]))
def test_the_average_of_the_loops_equals_torch(g: Geometry, count_include_pad: bool, divisor: int | None) -> None:
    x, dy = (a.astype(np.float64) for a in arrays(g))
    tx = torch.tensor(x, requires_grad=True)
    padding = g.window.padding[0], g.window.padding[2]
    ty = torch.nn.functional.avg_pool2d(tx, g.window.kernel, g.window.stride, padding, g.window.ceil_mode, count_include_pad, divisor)
    ty.backward(torch.tensor(dy))
    terms = int(np.prod(g.window.kernel)) + 2
    assert_bounded(reference.avg_pool2d(x, g.window, count_include_pad, divisor), ty,
                   reference.avg_pool2d(abs(x), g.window, count_include_pad, divisor), 2 * terms)
    assert_bounded(reference.avg_pool2d_grad(dy, x.shape, g.window, count_include_pad, divisor), tx.grad,
                   reference.avg_pool2d_grad(abs(dy), x.shape, g.window, count_include_pad, divisor), 2 * terms)


@every_backend()
@given(g=pool_geometries())
def test_max_pool_exact(k: ModuleType, g: Geometry) -> None:
    x, dy = arrays(g)
    with unchanged(x, dy):
        y, argmax = k.max_pool2d(x, g.window)
        expected, where = reference.max_pool2d(x, g.window)
        assert_equal(y, expected)
        assert_equal(argmax.astype(np.int64), where)
        assert_equal(k.max_pool2d_grad(dy, argmax, x.shape, g.window), reference.max_pool2d_grad(dy, where, x.shape, g.window))


@every_backend()
@given(g=pool_geometries(), specials=st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=4))
def test_max_pool_of_nan_and_infinities(k: ModuleType, g: Geometry, specials: list[float]) -> None:
    x = integers(g.x_shape, g.seed)
    x.flat[np.random.default_rng(g.seed).integers(0, x.size, len(specials))] = specials
    y, argmax = k.max_pool2d(x, g.window)
    expected, where = reference.max_pool2d(x, g.window)
    assert_equal(y, expected)
    assert_equal(argmax.astype(np.int64), where)


@every_backend()
@pytest.mark.parametrize("divisor", [None, 3])
@given(g=pool_geometries(), count_include_pad=st.booleans())
def test_avg_pool_bounded(k: ModuleType, divisor: int | None, g: Geometry, count_include_pad: bool) -> None:
    options = {"count_include_pad": count_include_pad, "divisor_override": divisor}
    x, dy = arrays(g, floats)
    bx, bdy = x.astype(np.float64), dy.astype(np.float64)
    terms = int(np.prod(g.window.kernel)) + 2                  # the additions, the divisor and the division
    with unchanged(x, dy):
        assert_bounded(k.avg_pool2d(x, g.window, **options), reference.avg_pool2d(bx, g.window, **options),
                       reference.avg_pool2d(abs(bx), g.window, **options), terms)
        assert_bounded(k.avg_pool2d_grad(dy, x.shape, g.window, **options), reference.avg_pool2d_grad(bdy, x.shape, g.window, **options),
                       reference.avg_pool2d_grad(abs(bdy), x.shape, g.window, **options), terms)


@every_backend()
@given(g=pool_geometries())
def test_avg_pool_adjoint(k: ModuleType, g: Geometry) -> None:
    """<avg(x), c> = <x, avg_grad(c)>, exact when the divisor is a power of two."""
    x, c = arrays(g)
    forward = np.vdot(k.avg_pool2d(x, g.window, True, 4).astype(np.float64), c)
    assert forward == np.vdot(x.astype(np.float64), k.avg_pool2d_grad(c, x.shape, g.window, True, 4))


@every_backend()
def test_a_window_that_sees_only_padding(k: ModuleType) -> None:
    """Where torch corrupts memory, ours gives -inf, argmax -1 and no gradient."""
    window = Window2d.of((2, 4), 1, (1, 0), (2, 1))
    x = integers((2, 8, 1, 11), 0)
    y, argmax = k.max_pool2d(x, window)
    assert_equal(y, np.full(y.shape, -np.inf, np.float32))
    assert_equal(argmax.astype(np.int64), np.full(y.shape, -1))
    assert_equal(k.max_pool2d_grad(np.ones_like(y), argmax, x.shape, window), np.zeros_like(x))


@every_backend()
def test_an_infinite_gradient_reaches_the_winner_only(k: ModuleType) -> None:
    x = np.array([[[[1, 2], [3, 0]]]], np.float32)
    window = Window2d.of(2)
    _, argmax = k.max_pool2d(x, window)
    dx = k.max_pool2d_grad(np.full((1, 1, 1, 1), np.inf, np.float32), argmax, x.shape, window)
    assert_equal(dx, np.array([[[[0, 0], [np.inf, 0]]]], np.float32))


@every_backend()
def test_the_first_of_equal_maxima_gets_the_whole_gradient(k: ModuleType) -> None:
    x = np.ones((1, 1, 2, 2), np.float32)
    _, argmax = k.max_pool2d(x, Window2d.of(2))
    assert_equal(k.max_pool2d_grad(np.full((1, 1, 1, 1), 5, np.float32), argmax, x.shape, Window2d.of(2)),
                 np.array([[[[5, 0], [0, 0]]]], np.float32))
