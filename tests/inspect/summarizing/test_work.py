"""Counts of multiply-adds equal those that the nested loops of the reference make: each product asks its factors for their values."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import minicnn
from minicnn import nn
from minicnn.inspect.recorder import record
from minicnn.inspect.summarizing.work import Work, work
from minicnn.kernels import reference
from minicnn.kernels.window import Window2d
from minicnn.nn import functional as F
from minicnn.tensor import Tensor
from tests.strategies import Geometry, conv_geometries, pool_geometries


class Counted:
    """A factor, 1, that counts how often it is used."""

    def __init__(self) -> None:
        self.uses = 0

    def __float__(self) -> float:
        self.uses += 1
        return 1.0


def counting(shape: tuple[int, ...]) -> tuple[np.ndarray, Any]:
    """An array of such factors, and the sum of their uses as a function."""
    array = np.empty(shape, object)
    for index in np.ndindex(shape):
        array[index] = Counted()
    return array, lambda: sum(factor.uses for factor in array.flat)


class Function(nn.Module):
    """A model that is one function of the input and of parameters."""

    def __init__(self, function: Any, **parameters: tuple[int, ...]) -> None:
        super().__init__()
        self.function, self.names = function, list(parameters)
        for name, shape in parameters.items():
            self.register_parameter(name, nn.Parameter(minicnn.zeros(*shape)))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(getattr(self, name) for name in self.names))


def counted(model: nn.Module, x_shape: tuple[int, ...], needs_input: bool = True) -> Work:
    op, = record(model, minicnn.ones(*x_shape)).ops
    return work(op, needs_input)


@given(conv_geometries())
def test_conv2d_makes_the_products_of_the_nested_loops(g: Geometry) -> None:
    model = Function(lambda x, w: F.conv2d(x, w, None, g.window.stride, g.window.padding, g.window.dilation, g.groups), w=g.w_shape)
    found = counted(model, g.x_shape)
    x, w, dy = np.ones(g.x_shape), np.ones(g.w_shape), np.ones(g.y_shape)
    factors, uses = counting(g.w_shape)
    reference.conv2d(x, factors, None, g.window, g.groups)
    assert found.inside == uses()
    factors, uses = counting(g.w_shape)
    reference.conv2d_grad_input(dy, factors, g.x_shape, g.window, g.groups)
    assert found.inside_dx == uses()
    factors, uses = counting(g.x_shape)
    reference.conv2d_grad_weight(dy, factors, g.w_shape, g.window, g.groups)
    assert found.inside_dw == uses()
    padded, whole = g.window.pad(x), Window2d(g.window.kernel, g.window.stride, (0, 0, 0, 0), g.window.dilation)
    factors, uses = counting(w.shape)
    reference.conv2d(padded, factors, None, whole, g.groups)
    assert found.macs == found.macs_dx == found.macs_dw == uses()


@given(conv_geometries(symmetric=True))
def test_conv_transpose2d_makes_those_of_the_input_gradient(g: Geometry) -> None:
    (top, _, left, _), window = g.window.padding, g.window
    extra = [(n + 2 * p - e) % s for n, p, e, s in zip(g.size, (top, left), window.extent, window.stride, strict=True)]
    model = Function(lambda x, w: F.conv_transpose2d(x, w, None, window.stride, (top, left), extra, g.groups, window.dilation), w=g.w_shape)
    found = counted(model, g.y_shape)
    factors, uses = counting(g.w_shape)
    reference.conv2d_grad_input(np.ones(g.y_shape), factors, g.x_shape, g.window, g.groups)
    assert found.inside == found.inside_dx == found.inside_dw == uses()
    assert found.macs == math.prod(g.y_shape) * g.terms


@given(pool_geometries(torch_padding=True, dilation=1))
def test_pooling_makes_no_products_and_reads_each_tap_inside(g: Geometry) -> None:
    window, padding = g.window, (g.window.padding[0], g.window.padding[2])
    found = counted(Function(lambda x: F.max_pool2d(x, window.kernel, window.stride, padding, 1, window.ceil_mode)), g.x_shape)
    taps = sum(0 <= oh * window.stride[0] + kh - padding[0] < g.size[0] and 0 <= ow * window.stride[1] + kw - padding[1] < g.size[1]
               for oh, ow in np.ndindex(*window.output_size(g.size)) for kh, kw in np.ndindex(*window.kernel))
    assert found == Work(others=g.N * g.C * taps)


def test_linear_batch_norm_and_adaptive_pooling() -> None:
    assert counted(Function(F.linear, w=(5, 7), b=(5,)), (3, 4, 7)) == Work(420, 420, 420, 420, 420, 420, 60)
    norm = counted(nn.BatchNorm2d(3).eval(), (2, 3, 4, 5))
    assert norm == Work(others=120), "one scale and shift for each value"
    assert counted(Function(lambda x: F.adaptive_avg_pool2d(x, (2, 3))), (1, 2, 5, 3)) == Work(others=2 * 6 * 3)


@pytest.mark.parametrize(("needs", "trainable"), [(True, False), (False, True), (False, False)])
def test_backward_counts_only_the_gradients_that_are_wanted(needs: bool, trainable: bool) -> None:
    model = nn.Conv2d(2, 3, 3)
    model.weight.requires_grad = trainable
    found = counted(model, (1, 2, 5, 5), needs)
    assert (found.macs_dx, found.macs_dw) == (486 * needs, 486 * trainable)
    assert found.macs_backward == found.macs_dx + found.macs_dw == found.inside_backward
