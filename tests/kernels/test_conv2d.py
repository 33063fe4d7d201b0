"""Every way to compute a convolution against the nested loops, and the loops against torch: exact, bounded, adjoint, gradient check."""
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from minicnn import kernels
from minicnn.kernels import cuda_backend, reference
from tests.compare import assert_bounded, assert_equal, unchanged
from tests.kernels.on_device import OnDevice, needs_nvrtc
from tests.strategies import Geometry, conv_geometries, floats, in_layout, integers

USABLE = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]
IMPLEMENTATIONS = {**{rung.name: rung.load() for rung in kernels.LADDER if not rung.on_cuda and not rung.missing()},
                   **{name: kernels.get(name) for name in USABLE}}
every_implementation = pytest.mark.parametrize("k", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())

# The CUDA rungs, in the simulator, which takes a thousand times as long: fewer examples.
CUDA = {rung.name: OnDevice(rung.load()) for rung in kernels.LADDER if rung.on_cuda} | {"cuda": OnDevice(cuda_backend)}
every_cuda_rung = pytest.mark.parametrize("k", [pytest.param(k, id=name, marks=needs_nvrtc) for name, k in CUDA.items()])
few = settings(max_examples=max(4, settings().max_examples // 12))
TF32 = 2**14 + 8                 # rounding both factors of a product to TF32 is worth as many roundings to float32


def arrays(g: Geometry, random=integers, dtype=np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, w, b and dy, in the geometry's memory layout."""
    shapes = g.x_shape, g.w_shape, (g.F,), g.y_shape
    x, w, b, dy = (in_layout(random(shape, g.seed + i, dtype=dtype), g.layout) for i, shape in enumerate(shapes))
    return x, w, b, dy


# torch gets contiguous copies: for float64 weights in channels-last order its weight gradient is wrong (seen in 2.13.0).
@given(conv_geometries(symmetric=True))
def test_the_loops_equal_torch(g: Geometry) -> None:
    x, w, b, dy = arrays(g)
    tx, tw, tb = (torch.tensor(a.astype(np.float64, order="C"), requires_grad=True) for a in (x, w, b))
    padding = g.window.padding[0], g.window.padding[2]
    y = torch.nn.functional.conv2d(tx, tw, tb, g.window.stride, padding, g.window.dilation, g.groups)
    y.backward(torch.tensor(dy.astype(np.float64)))
    assert_equal(reference.conv2d(x, w, b, g.window, g.groups), y)
    assert_equal(reference.conv2d_grad_input(dy, w, x.shape, g.window, g.groups), tx.grad)
    assert_equal(reference.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups), tw.grad)


@every_implementation
@given(g=conv_geometries())
def test_exact(k: Any, g: Geometry) -> None:
    check_exact(k, g)


@every_cuda_rung
@few
@given(g=conv_geometries())
def test_exact_on_cuda(k: Any, g: Geometry) -> None:
    check_exact(k, g)


def check_exact(k: Any, g: Geometry) -> None:
    x, w, b, dy = arrays(g)
    with unchanged(x, w, b, dy):
        assert_equal(k.conv2d(x, w, b, g.window, g.groups), reference.conv2d(x, w, b, g.window, g.groups), "y")
        assert_equal(k.conv2d(x, w, None, g.window, g.groups), reference.conv2d(x, w, None, g.window, g.groups), "y without bias")
        assert_equal(k.conv2d_grad_input(dy, w, x.shape, g.window, g.groups),
                     reference.conv2d_grad_input(dy, w, x.shape, g.window, g.groups), "dx")
        assert_equal(k.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups),
                     reference.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups), "dw")


@every_implementation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(g=conv_geometries())
def test_bounded(k: Any, dtype: type, g: Geometry) -> None:
    check_bounded(k, dtype, g)


@every_cuda_rung
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@few
@given(g=conv_geometries())
def test_bounded_on_cuda(k: Any, dtype: type, g: Geometry) -> None:
    check_bounded(k, dtype, g, TF32 if k is CUDA["cuda-tensor-cores"] and dtype is np.float32 else 0)


def check_bounded(k: Any, dtype: type, g: Geometry, more: int = 0) -> None:
    """|error| <= gamma_K * sum |x||w|, with the sums of absolute values taken by the reference itself. more: roundings in each product, in
    addition to those of float32."""
    x, w, b, dy = arrays(g, floats, dtype)
    if dtype is np.float64:                                    # the reference accumulates in float64 too: both errors count
        sides = 2
    else:
        sides = 1
    big = [a.astype(np.float64) for a in (x, w, b, dy)]
    size = [np.abs(a) for a in big]
    spread = int(np.prod(g.window.kernel)) * g.F // g.groups   # products that land on one pixel, at most
    shared = int(np.prod(g.y_shape)) // g.F                    # products that share one weight, at most
    assert_bounded(k.conv2d(x, w, b, g.window, g.groups), reference.conv2d(*big[:3], g.window, g.groups),
                   reference.conv2d(*size[:3], g.window, g.groups), sides * (g.terms + 1 + more), "y")
    assert_bounded(k.conv2d_grad_input(dy, w, x.shape, g.window, g.groups),
                   reference.conv2d_grad_input(big[3], big[1], x.shape, g.window, g.groups),
                   reference.conv2d_grad_input(size[3], size[1], x.shape, g.window, g.groups), sides * (spread + 1 + more), "dx")
    assert_bounded(k.conv2d_grad_weight(dy, x, w.shape, g.window, g.groups),
                   reference.conv2d_grad_weight(big[3], big[0], w.shape, g.window, g.groups),
                   reference.conv2d_grad_weight(size[3], size[0], w.shape, g.window, g.groups), sides * (shared + 1 + more), "dw")


@every_implementation
@given(g=conv_geometries())
def test_relu_in_the_same_pass(k: Any, g: Geometry) -> None:
    check_relu(k, g)


@every_cuda_rung
@few
@given(g=conv_geometries())
def test_relu_in_the_same_pass_on_cuda(k: Any, g: Geometry) -> None:
    check_relu(k, g)


def check_relu(k: Any, g: Geometry) -> None:
    """To the bit what the relu of the result is."""
    for random in (integers, floats):
        x, w, b, _ = arrays(g, random)
        with unchanged(x, w, b):
            assert_equal(k.conv2d(x, w, b, g.window, g.groups, True), np.maximum(k.conv2d(x, w, b, g.window, g.groups), 0))


@every_implementation
@given(g=conv_geometries())
def test_adjoint(k: Any, g: Geometry) -> None:
    check_adjoint(k, g)


@every_cuda_rung
@few
@given(g=conv_geometries())
def test_adjoint_on_cuda(k: Any, g: Geometry) -> None:
    check_adjoint(k, g)


def check_adjoint(k: Any, g: Geometry) -> None:
    """<conv(x, w), c> = <x, grad_input(c)> = <w, grad_weight(c)>: with this, forward and the two gradients cannot be wrong separately."""
    x, w, _, c = arrays(g)
    forward = np.vdot(k.conv2d(x, w, None, g.window, g.groups).astype(np.float64), c)
    assert forward == np.vdot(x.astype(np.float64), k.conv2d_grad_input(c, w, x.shape, g.window, g.groups))
    assert forward == np.vdot(w.astype(np.float64), k.conv2d_grad_weight(c, x, w.shape, g.window, g.groups))


@pytest.mark.parametrize("k", [*IMPLEMENTATIONS.values(), *(pytest.param(k, marks=needs_nvrtc) for k in CUDA.values())],
                         ids=[*IMPLEMENTATIONS, *CUDA])
def test_nan_and_inf_travel(k: Any) -> None:
    """A NaN reaches exactly the outputs whose window sees it; Inf too."""
    x = np.ones((1, 1, 5, 5), np.float32)
    x[0, 0, 0, 0], x[0, 0, 4, 4] = np.nan, np.inf
    window = kernels.window.Window2d.of(3, padding=1)
    y = k.conv2d(x, np.ones((1, 1, 3, 3), np.float32), None, window, 1)[0, 0]
    assert_equal(np.isnan(y), np.pad(np.ones((2, 2), bool), (0, 3)))
    assert_equal(np.isposinf(y), np.pad(np.ones((2, 2), bool), (3, 0)))
    y = k.conv2d(x, -np.ones((1, 1, 3, 3), np.float32), None, window, 1, True)[0, 0]
    assert_equal(y, np.pad(np.full((2, 2), np.nan, np.float32), (0, 3)))


@every_implementation
def test_a_whole_layer_of_real_size(k: Any) -> None:
    """16 channels on 14x14 for the loops' sake; several cache blocks of im2col for the others'."""
    N, C, F, H, W = (1, 3, 4, 9, 7) if k is reference or numba.config.DISABLE_JIT else (9, 32, 48, 40, 36)
    window = kernels.window.Window2d.of(3, padding=1)
    x, w, b = (integers(s, i) for i, s in enumerate([(N, C, H, W), (F, C, 3, 3), (F,)]))
    dy = integers((N, F, H, W), 3, -1, 1)
    tx, tw, tb = (torch.tensor(a.astype(np.float64), requires_grad=True) for a in (x, w, b))
    y = torch.nn.functional.conv2d(tx, tw, tb, padding=1)
    y.backward(torch.tensor(dy.astype(np.float64)))
    assert_equal(k.conv2d(x, w, b, window, 1), y)
    assert_equal(k.conv2d_grad_input(dy, w, x.shape, window, 1), tx.grad)
    assert_equal(k.conv2d_grad_weight(dy, x, w.shape, window, 1), tw.grad)
