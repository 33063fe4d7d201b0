"""conv2d and conv_transpose2d on Tensors against torch: every geometry torch knows, values and all gradients."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor, use_backend
from tests.against_torch import close, exact
from tests.ops.neural import conv_arguments, each_backend
from tests.strategies import Geometry, conv_geometries, floats, in_layout, integers


@each_backend
@given(g=conv_geometries(symmetric=True), bias=st.booleans(), unbatched=st.booleans())
def test_conv2d(backend: str, g: Geometry, bias: bool, unbatched: bool) -> None:
    options = {**conv_arguments(g), "groups": g.groups}
    x_shape = g.x_shape[1:] if unbatched else g.x_shape
    arrays = [in_layout(integers(shape, g.seed), g.layout) for shape in (x_shape, g.w_shape, (g.F,))[:2 + bias]]
    with use_backend(backend):
        exact(lambda *a: F.conv2d(*a, **options), lambda *a: TF.conv2d(*a, **options), *arrays)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 5), (4, 1)])
def test_conv2d_padding_in_words(kernel: tuple[int, int], padding: str) -> None:
    options: dict[str, Any] = {"padding": padding, "dilation": (1, 2)}
    close(lambda *a: F.conv2d(*a, **options), lambda *a: TF.conv2d(*a, **options), floats((2, 2, 7, 9), 0), floats((3, 2, *kernel), 1))


def _smallest_input(g: Geometry) -> list[int]:
    """The smallest (H, W) that the convolution maps to its output size: (o - 1)*s - 2*p + extent."""
    w = g.window
    return [(o - 1) * s - 2 * p + e for o, s, p, e in zip(g.y_shape[2:], w.stride, w.padding[::2], w.extent, strict=True)]


@st.composite
def transposed(draw: st.DrawFn) -> tuple[Geometry, dict[str, Any], list[np.ndarray]]:
    """The geometry of a convolution, run backwards; output_padding up to the stride or the dilation, and enough for one output."""
    g = draw(conv_geometries(symmetric=True))
    axes = zip(_smallest_input(g), g.window.stride, g.window.dilation, strict=True)
    extra = tuple(draw(st.integers(max(0, 1 - n), max(s, d) - 1)) for n, s, d in axes)
    shapes = [g.y_shape, g.w_shape, (g.C,)]
    if draw(st.booleans()):
        shapes[0] = shapes[0][1:]
    options = {**conv_arguments(g), "groups": g.groups, "output_padding": extra}
    return g, options, [in_layout(integers(shape, g.seed), g.layout) for shape in shapes[:draw(st.integers(2, 3))]]


@each_backend
@given(case=transposed())
def test_conv_transpose2d(backend: str, case: tuple[Geometry, dict[str, Any], list[np.ndarray]]) -> None:
    _, options, arrays = case
    with use_backend(backend):
        exact(lambda *a: F.conv_transpose2d(*a, **options), lambda *a: TF.conv_transpose2d(*a, **options), *arrays)


@given(g=conv_geometries(symmetric=True))
def test_conv_transpose2d_is_the_adjoint_of_conv2d(g: Geometry) -> None:
    """<conv2d(x), c> = <x, conv_transpose2d(c)>, exactly; output_padding makes up for what the stride leaves over."""
    x, w, c = (Tensor(integers(shape, g.seed + i)) for i, shape in enumerate((g.x_shape, g.w_shape, g.y_shape)))
    extra = [n - small for n, small in zip(g.size, _smallest_input(g), strict=True)]
    y = F.conv2d(x, w, **conv_arguments(g), groups=g.groups)
    z = F.conv_transpose2d(c, w, **conv_arguments(g), output_padding=extra, groups=g.groups)
    assert np.vdot(y.numpy().astype(np.float64), c.numpy()) == np.vdot(x.numpy().astype(np.float64), z.numpy())


def test_conv_transpose2d_takes_torchs_argument_order() -> None:
    arrays = floats((2, 4, 3, 5), 0), floats((4, 3, 3, 2), 1), floats((6,), 2)
    close(lambda *a: F.conv_transpose2d(*a, 2, 1, 1, 2, (1, 2)), lambda *a: TF.conv_transpose2d(*a, 2, 1, 1, 2, (1, 2)), *arrays)


ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (((2, 3, 8, 8), (4, 2, 3, 3), None), {}, "conv_transpose2d: x has 3 channels (shape (2, 3, 8, 8)), w expects 4 (shape (4, 2, 3, 3))"),
    (((2, 4, 8, 8), (4, 2, 3), None), {}, "conv_transpose2d: w must be (C, F/groups, KH, KW), got shape (4, 2, 3)"),
    (((8, 8), (4, 2, 3, 3), None), {}, "conv_transpose2d: x must be (N, C, H, W) or (C, H, W), got 2 axes (shape (8, 8))"),
    (((2, 4, 8, 8), (4, 2, 3, 3), None), {"groups": 3}, "conv_transpose2d: groups = 3 must divide the input channels C = 4"),
    (((2, 4, 8, 8), (4, 2, 3, 3), (2,)), {"groups": 2},
     "conv_transpose2d: b has shape (2,), w has 2 * groups 2 = 4 filters (shape (4, 2, 3, 3)), so b must be (4,)"),
    (((2, 4, 8, 8), (4, 2, 3, 3), (4,)), {}, "conv_transpose2d: b has shape (4,), w has 2 filters (shape (4, 2, 3, 3)), so b must be (2,)"),
    (((2, 4, 8, 8), (4, 2, 3, 3), None), {"stride": 2, "output_padding": (1, 2)},
     "conv_transpose2d: output_padding 2 (width) must be smaller than the stride 2 or the dilation 1"),
    (((2, 4, 1, 8), (4, 2, 3, 3), None), {"padding": 2},
     "conv_transpose2d: no output: height (n - 1)*stride - padding + dilation*(kernel - 1) + output_padding + 1 = "
     "(1 - 1)*1 - 2 - 2 + 1*(3 - 1) + 0 + 1 = -1; use less padding"),
    (((2, 4, 8, 8), (4, 2, 3, 3), None), {"padding": "same"}, "conv_transpose2d: padding is 'same': give it in numbers"),
    (((2, 4, 8, 8), (4, 2, 3, 3), None), {"output_padding": -1}, "output_padding is -1: must be at least 0"),
]


@pytest.mark.parametrize(("shapes", "options", "message"), ERRORS)
def test_conv_transpose2d_errors(shapes: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.conv_transpose2d(*(None if shape is None else Tensor(np.zeros(shape, np.float32)) for shape in shapes), **options)


CONV_ERRORS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (((2, 3, 8, 8), (16, 4, 3, 3), None), {}, "conv2d: x has 3 channels (shape (2, 3, 8, 8)), w expects 4 (shape (16, 4, 3, 3))"),
    (((2, 4, 8, 8), (6, 4, 3, 3), None), {"groups": 2},
     "conv2d: x has 4 channels (shape (2, 4, 8, 8)), w expects 4 * groups 2 = 8 (shape (6, 4, 3, 3))"),
    (((2, 4, 8, 8), (6, 4, 3, 3), None), {"groups": 3}, "conv2d: groups = 3 must divide the input channels C = 4 and the filters F = 6"),
    (((2, 4, 8, 8), (6, 4, 3, 3), (4,)), {}, "conv2d: b has shape (4,), w has 6 filters (shape (6, 4, 3, 3)), so b must be (6,)"),
    (((2, 4, 8, 8), (6, 4, 3), None), {}, "conv2d: w must be (F, C/groups, KH, KW), got shape (6, 4, 3)"),
    (((8, 8), (6, 4, 3, 3), None), {}, "conv2d: x must be (N, C, H, W) or (C, H, W), got 2 axes (shape (8, 8))"),
]


@pytest.mark.parametrize(("shapes", "options", "message"), CONV_ERRORS)
def test_conv2d_errors(shapes: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.conv2d(*(None if shape is None else Tensor(np.zeros(shape, np.float32)) for shape in shapes), **options)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_dtypes(name: str) -> None:
    x, w = np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 2, 2))
    with pytest.raises(TypeError, match=rf"^{name}: x is uint8; it needs floating point: convert it with .float\(\)$"):
        getattr(F, name)(Tensor(x.astype(np.uint8)), Tensor(w))
    with pytest.raises(TypeError, match=rf"^{name}: dtypes differ: x is float32, w is float64; convert with .float\(\) or .double\(\)$"):
        getattr(F, name)(Tensor(x.astype(np.float32)), Tensor(w))
    with pytest.raises(TypeError, match=rf"^{name}: x is of type ndarray; it must be a Tensor: minicnn.as_tensor\(x\) makes one$"):
        getattr(F, name)(x, Tensor(w))
