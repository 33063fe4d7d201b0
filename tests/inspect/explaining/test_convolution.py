"""Explanations of Conv2d and ConvTranspose2d: exact on whole numbers, within the bound on floats, each index read back from the arrays."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import nn
from minicnn.inspect import explain, explain_grad
from minicnn.inspect.explaining import Explanation
from minicnn.kernels.numpy_backend.im2col import im2col
from minicnn.kernels.window import Window2d
from tests.inspect.explaining.checks import each_backend, explained, filled, in_the_simulator, some_index
from tests.ops.test_conv2d import transposed
from tests.strategies import Geometry, conv_geometries, floats, in_layout, integers

WRT = st.sampled_from([None, "input", "weight", "bias"])


def conv(g: Geometry, bias: bool, mode: str = "zeros") -> nn.Conv2d:
    if mode == "reflect" and any(p >= g.size[i // 2] for i, p in enumerate(g.window.padding)):
        mode = "replicate"                                     # which has no limit
    return nn.Conv2d(g.C, g.F, g.window.kernel, g.window.stride, g.window.padding, g.window.dilation, g.groups, bias, mode)


@each_backend
@given(g=conv_geometries(), wrt=WRT, mode=st.sampled_from(["zeros", "zeros", "reflect", "replicate"]))
def test_conv2d_is_exact_on_whole_numbers(backend: str, g: Geometry, wrt: str | None, mode: str) -> None:
    layer, x = filled(conv(g, bias=True, mode=mode), g.seed), in_layout(integers(g.x_shape, g.seed + 50), g.layout)
    found, dy = explained(backend, layer, x, g.seed, wrt)
    assert found.error == 0
    assert found.total == sum(term.product for term in found.terms) + (found.bias or 0)
    {None: reads_right, "input": lands_right, "weight": correlates_right, "bias": lambda *_: None}[wrt](found, layer, g, x, dy)


@each_backend
@given(g=conv_geometries(), wrt=WRT, bias=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]))
def test_conv2d_is_within_the_bound_on_floats(backend: str, g: Geometry, wrt: str | None, bias: bool, dtype: Any) -> None:
    layer = filled(conv(g, bias or wrt == "bias").to(np.dtype(dtype)), g.seed, whole=False)
    found, _ = explained(backend, layer, floats(g.x_shape, g.seed + 50, dtype), g.seed, wrt, whole=False)
    assert (found.dtype, found.roundings) == (np.dtype(dtype).name, len(found.terms) + (found.bias is not None))


@in_the_simulator
@settings(max_examples=4)
@given(g=conv_geometries(), wrt=WRT)
def test_conv2d_on_the_simulated_gpu(backend: str, g: Geometry, wrt: str | None) -> None:
    layer, x = filled(conv(g, bias=True), g.seed), integers(g.x_shape, g.seed + 50)
    found, _ = explained(backend, layer, x, g.seed, wrt)
    assert found.error == 0


def geometry_of(layer: nn.Conv2d, g: Geometry, x: np.ndarray) -> tuple[np.ndarray, Window2d]:
    """The image as the window sees it, padded by other values than zeros where the layer does; and the window that is left."""
    if layer.padding_mode == "zeros":
        return x, g.window
    top, bottom, left, right = g.window.padding
    mode: Any = {"reflect": "reflect", "replicate": "edge"}[layer.padding_mode]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode)
    return padded, Window2d(g.window.kernel, g.window.stride, (0, 0, 0, 0), g.window.dilation)


def reads_right(found: Explanation, layer: nn.Conv2d, g: Geometry, x: np.ndarray, _: Any) -> None:
    """Each term is at its place in x, in the weight, and in the im2col matrix."""
    n, f, _, _ = found.index
    image, window = geometry_of(layer, g, x)
    cols = im2col(image, window).reshape(g.N, g.C * g.window.kernel[0] * g.window.kernel[1], -1)
    first = f // (g.F // g.groups) * (g.C // g.groups)
    assert len(found.terms) == g.terms
    for term in found.terms:
        c, at = term.place["c"], term.place["input"]
        assert term.left == (0 if at == "padding" else x[(n, c, *at)])
        assert term.left == cols[n, term.place["row"], found.matrix["im2col_column"]]
        assert term.right == layer.weight.array[f, c - first, term.place["kh"], term.place["kw"]]
    weights = layer.weight.array[f].reshape(-1)                # the cell of the matrix product
    low, high = found.matrix["im2col_rows"]
    assert weights @ cols[n, low:high + 1, found.matrix["im2col_column"]] + (found.bias or 0) == found.kernel


def lands_right(found: Explanation, layer: nn.Conv2d, g: Geometry, x: np.ndarray, dy: np.ndarray) -> None:
    """im2col copied just this pixel to each of the named cells and nowhere else, and the copies' gradients are what col2im would add."""
    n, c, h, w = found.index
    numbered = np.arange(1.0, 1 + x[0, 0].size).reshape(1, 1, *g.size)
    image, window = geometry_of(layer, g, np.broadcast_to(numbered, (1, g.C, *g.size)))
    cols = im2col(image, window)[0, c]
    where = {tuple(at) for at in np.argwhere(cols == numbered[0, 0, h, w]).tolist()}
    assert {(t["kh"], t["kw"], t["oh"], t["ow"]) for t in found.numbers["copies"]} == where
    assert sum(t["gradient"] for t in found.numbers["copies"]) == found.total
    matrix = im2col(image, window)[0].reshape(-1, cols[0, 0].size)
    assert all(matrix[row, column] == numbered[0, 0, h, w] for row, column in found.matrix["im2col_copies"])
    assert {(t.place["row"], t.place["column"]) for t in found.terms} == {tuple(cell) for cell in found.matrix["im2col_copies"]}
    FG = g.F // g.groups
    assert len(found.terms) == FG * len(where) == FG * found.numbers["reads"]["here"]
    for term in found.terms:
        p = term.place
        assert term.left == dy[n, p["f"], p["oh"], p["ow"]]
        assert term.right == layer.weight.array[p["f"], c % (g.C // g.groups), p["kh"], p["kw"]]
    seen = int((geometry_of(layer, g, np.broadcast_to(numbered, (1, g.C, *g.size)))[0][0, 0] == numbered[0, 0, h, w]).sum())
    assert len(where) + len(found.numbers["missed"]) == seen * g.window.kernel[0] * g.window.kernel[1]


def correlates_right(found: Explanation, layer: nn.Conv2d, g: Geometry, x: np.ndarray, dy: np.ndarray) -> None:
    """Each term is at its place in x and dy."""
    f, i, _, _ = found.index
    c = f // (g.F // g.groups) * (g.C // g.groups) + i
    assert len(found.terms) == dy[:, 0].size
    for term in found.terms:
        n, at = term.place["n"], term.place["input"]
        assert term.left == dy[n, f, term.place["oh"], term.place["ow"]]
        assert term.right == (0 if at == "padding" else x[(n, c, *at)])
    image, window = geometry_of(layer, g, x)
    cols = im2col(image, window).reshape(g.N, g.C * g.window.kernel[0] * g.window.kernel[1], -1)
    row, (filters, cell) = found.matrix["im2col_row"], found.matrix["cell"]
    assert all(term.right == cols[term.place["n"], row, term.place["column"]] for term in found.terms)
    low = c // (g.C // g.groups) * g.terms                     # the rows of this filter's group
    product = sum(dy[n].reshape(g.F, -1)[filters] @ cols[n, low:low + g.terms].T for n in range(g.N))
    assert product[cell] == found.kernel


@each_backend
@given(case=transposed(), wrt=WRT)
def test_conv_transpose2d_is_exact_on_whole_numbers(backend: str, case: Any, wrt: str | None) -> None:
    layer, x, seed = _transposed(case)
    found, dy = explained(backend, layer, x, seed, wrt)
    assert found.error == 0
    group = {None: "c", "input": "f", "weight": "n", "bias": "n"}[wrt]
    assert found.group == group
    assert all(group in term.place for term in found.terms)
    if wrt == "input":
        four = dy.reshape(-1, *dy.shape[-3:])
        for term in found.terms:
            at = term.place["input"]
            assert term.left == (0 if at == "padding" else four[(found.index[0], term.place["f"], *at)])


@in_the_simulator
@settings(max_examples=2)
@given(case=transposed())
def test_conv_transpose2d_on_the_simulated_gpu(backend: str, case: Any) -> None:
    layer, x, seed = _transposed(case)
    assert explained(backend, layer, x, seed, None)[0].error == 0


def _transposed(case: Any) -> tuple[nn.ConvTranspose2d, np.ndarray, int]:
    g, options, arrays = case
    layer = nn.ConvTranspose2d(g.F, g.C, g.window.kernel, **options)
    return filled(layer, g.seed), arrays[0], g.seed


@given(g=conv_geometries(symmetric=True), wrt=st.sampled_from(["input", "weight", "bias"]))
def test_gradients_are_those_of_torch(g: Geometry, wrt: str) -> None:
    layer, x = filled(conv(g, bias=True), g.seed), integers(g.x_shape, g.seed + 50)
    found, dy = explained("numpy", layer, x, g.seed, wrt)
    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, layer.weight.array, layer.bias.array)]
    (PT, _, PL, _), window = g.window.padding, g.window
    y = torch.nn.functional.conv2d(*leaves, window.stride, (PT, PL), window.dilation, g.groups)
    y.backward(torch.tensor(dy, dtype=torch.float64))
    grad = leaves[["input", "weight", "bias"].index(wrt)].grad
    assert grad is not None
    assert found.total == grad[found.index].item()


@pytest.mark.parametrize("padding", ["same", "valid", (0, 1, 2, 0)])
def test_padding_in_words_and_on_four_sides(padding: Any) -> None:
    layer = filled(nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=padding), 3)
    x = integers((2, 7, 8), 4)
    y = layer(nn.Parameter(x).detach())
    for seed in range(6):
        found = explain(layer, x, some_index(y.shape, seed))
        assert found.total == found.kernel
    assert explain_grad(layer, x, integers(y.shape, 5), (-1, -1, -1)).error == 0


def test_a_frozen_layer_and_one_image() -> None:
    layer = filled(nn.Conv2d(1, 1, 2), 0).requires_grad_(False)
    for wrt, index in (("input", (0, 1, 1)), ("weight", (0, 0, 1, 1)), ("bias", 0)):
        assert explain_grad(layer, integers((1, 3, 3), 1), integers((1, 2, 2), 2), index, wrt).error == 0


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_kernel_that_computes_whole_tiles(kind: Any) -> None:
    """At zeros beside other numbers the error may be more than the plain sum's bound, but not more than that of the tile."""
    x = np.zeros((2, 16, 32, 32), np.float32)
    x[..., 5::7, 5::7] = floats((2, 16, 4, 4), 0)
    layer = kind(16, 32, 3, padding=1)
    dy = floats((2, 32, 32, 32), 1)
    dy[..., ::3] = 0
    for at in ((0, 0, 6, 7), (0, 3, 4, 5), (1, 9, 12, 14), (1, 0, 0, 0)):
        for found in (explain(layer, x, at), explain_grad(layer, x, dy, at)):
            assert found.tiled
            assert found.within, found
    found = explain_grad(layer, x, dy, (1, 2, 0, 1), "weight")
    assert found.tiled
    assert found.within, found
    assert "of its tile (Winograd)" in str(found)
