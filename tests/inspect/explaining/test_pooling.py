"""Explanations of max and average pooling: who wins and why, who shared what."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import nn
from minicnn.inspect import explain, explain_grad
from tests.inspect.explaining.checks import each_backend, explained, in_the_simulator
from tests.strategies import Geometry, floats, in_layout, integers, pool_geometries

WRT = st.sampled_from([None, "input"])


def max_pool(g: Geometry) -> nn.MaxPool2d:
    w = g.window
    return nn.MaxPool2d(w.kernel, w.stride, w.padding, w.dilation, ceil_mode=w.ceil_mode)


def avg_pool(g: Geometry, count: bool, override: int | None) -> nn.AvgPool2d:
    return nn.AvgPool2d(g.window.kernel, g.window.stride, g.window.padding, g.window.ceil_mode, count, override)


@each_backend
@given(g=pool_geometries(torch_padding=True), wrt=WRT, ties=st.booleans())
def test_max_pool2d(backend: str, g: Geometry, wrt: str | None, ties: bool) -> None:
    x = in_layout(integers(g.x_shape, g.seed, -1, 1) if ties else floats(g.x_shape, g.seed), g.layout)
    found, _ = explained(backend, max_pool(g), x, g.seed, wrt)
    assert found.error == 0
    if wrt is None:
        assert found.numbers["winner"] == (None if found.numbers["argmax"] is None else tuple(found.numbers["argmax"]))
        assert sum(term.right for term in found.terms) == (found.numbers["winner"] is not None)


@each_backend
@given(g=pool_geometries(dilation=1, torch_padding=True), wrt=WRT, count=st.booleans(), override=st.sampled_from([None, None, 3, -2]))
def test_avg_pool2d(backend: str, g: Geometry, wrt: str | None, count: bool, override: int | None) -> None:
    found, _ = explained(backend, avg_pool(g, count, override), in_layout(floats(g.x_shape, g.seed), g.layout), g.seed, wrt, whole=False)
    assert found.roundings == len(found.terms) + 2
    if wrt is None:
        assert found.numbers["divisor"] == (override or found.numbers["divisor"])


@in_the_simulator
@settings(max_examples=3)
@given(g=pool_geometries(dilation=1, torch_padding=True), wrt=WRT)
def test_pooling_on_the_simulated_gpu(backend: str, g: Geometry, wrt: str | None) -> None:
    x = integers(g.x_shape, g.seed)
    assert explained(backend, max_pool(g), x, g.seed, wrt)[0].error == 0
    assert explained(backend, avg_pool(g, True, None), x, g.seed, wrt)[0].within


@given(g=pool_geometries(dilation=1, torch_padding=True), count=st.booleans())
def test_the_divisor_is_torchs(g: Geometry, count: bool) -> None:
    (PT, _, PL, _), w, ones = g.window.padding, g.window, np.ones(g.x_shape, np.float32)
    found, _ = explained("numpy", avg_pool(g, count, None), ones, g.seed, None)
    there = torch.nn.functional.avg_pool2d(torch.from_numpy(ones).double(), w.kernel, w.stride, (PT, PL), w.ceil_mode, count)
    assert found.total == there[found.index].item()


def test_ties_and_nan_in_words() -> None:
    x = np.array([[[5, 1, 5], [5, 2, 0], [0, 0, 0]]], np.float32)
    found = explain(nn.MaxPool2d(2), x, (0, 0, 0))
    assert found.words[0] == ("2 candidates are equal, 5, at (0, 0), (1, 0): the first in row-major order wins, (0, 0), and gets the whole "
                              "gradient.")
    assert (found.total, found.numbers["winner"]) == (5, (0, 0))
    x[0, 1, 1] = np.nan
    found = explain(nn.MaxPool2d(2), x, (0, 0, 0))
    assert found.words[0] == "NaN counts as larger than every number: pixel (1, 1) decides, and the result is NaN."
    assert found.within
    assert math.isnan(found.kernel)
    assert '"kernel": "nan"' in found.to_json()
    found = explain(nn.MaxPool2d((1, 2), dilation=(1, 3), padding=(0, 1)), np.ones((1, 1, 2), np.float32), (0, 0, 0))
    assert found.words[0] == "The window sees padding only, so nothing wins: the result is -inf and no pixel gets a gradient."
    assert (found.kernel, found.within) == (-math.inf, True)


def test_what_a_pixel_won() -> None:
    x, dy = np.array([[[1, 9, 2], [3, 4, 8], [5, 6, 7]]], np.float32), np.array([[[10, 20], [30, 40]]], np.float32)
    found = explain_grad(nn.MaxPool2d(2, 1), x, dy, (0, 0, 1))
    assert (found.total, found.kernel, found.numbers["won"]) == (30, 30, [[0, 0], [0, 1]])
    found = explain_grad(nn.MaxPool2d(2, 1), x, dy, (0, 1, 1))
    assert found.total == 0
    assert found.words == [
        "4 windows cover pixel (1, 1) of channel 0, whose value is 4. It won 0 of them, lost (0, 0) to (0, 1), (0, 1) to (0, 1), (1, 0) to "
        "(2, 1), "
        "(1, 1) to (1, 2). Each window hands its whole dy to its winner, and what one pixel wins adds up."]


@pytest.mark.parametrize("index", [(0, 0, 0), (0, 1, 1)])
def test_a_pool_that_returns_indices(index: tuple[int, ...]) -> None:
    x = integers((1, 4, 4), 3)
    assert explain(nn.MaxPool2d(2, return_indices=True), x, index).total == explain(nn.MaxPool2d(2), x, index).kernel
