"""Every matrix against the kernels: the product is the layer, exactly on whole numbers, and units one by one find no other edges."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, kernels, nn
from minicnn.inspect.graphs import LayerGraph, connectivity
from minicnn.kernels import reference
from minicnn.nn import functional as F
from tests import compare
from tests.strategies import Geometry, conv_geometries, floats, integers, pool_geometries, seeds

BACKENDS = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]


class Runs(nn.Module):
    """A function as a model; tensors that it uses are parameters."""

    def __init__(self, function: Callable[..., Tensor], **parameters: np.ndarray) -> None:
        super().__init__()
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(Tensor(value)))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *(parameter for _, parameter in self.named_parameters()))


def check(model: nn.Module, shape: tuple[int, ...], seed: int = 0) -> LayerGraph:
    """The product of all layers, one after the other, against the model on whole numbers; counts against the matrices. The first layer."""
    layers = connectivity(model, shape[1:]).layers
    x = integers((1, *shape[1:]), seed)
    y = x.reshape(-1)
    for graph in layers:
        y = (graph.matrix() @ y + graph.offset()).astype(np.float32)
        counts(graph)
    compare.assert_equal(y, model(Tensor(x)).array.reshape(-1))
    return layers[0]


def counts(graph: LayerGraph) -> None:
    """What is counted axis by axis against the listed edges."""
    edges = [graph.listed(k) for k in range(len(graph.wirings))]
    assert graph.edges == sum(len(e.row) for e in edges)
    starts = np.cumsum([0, *(w.inputs for w in graph.wirings)])
    row = np.concatenate([e.row for e in edges])
    column = np.concatenate([e.column + start for e, start in zip(edges, starts, strict=False)])
    assert len(set(zip(row.tolist(), column.tolist(), strict=True))) == len(row), "an edge is listed twice"
    for found, units, n in ((graph.in_degrees, row, graph.units), (graph.out_degrees, column, graph.inputs)):
        degree, how_many = np.unique(np.bincount(units, minlength=n), return_counts=True)
        assert found.counts == dict(zip(degree.tolist(), how_many.tolist(), strict=True))
        assert (found.edges, found.units) == (graph.edges, n)
    assert graph.weights == sum(len(np.unique(e.tap)) for e, w in zip(edges, graph.wirings, strict=True) if w.learnt)


def conv_of(g: Geometry, w: np.ndarray, b: np.ndarray | None) -> nn.Module:
    window = g.window
    return Runs(lambda x, w, *b: F.conv2d(x, w, b[0] if b else None, window.stride, window.padding, window.dilation, g.groups),
                w=w, **({} if b is None else {"b": b}))


@given(conv_geometries(), st.booleans())
def test_the_matrix_of_a_convolution_is_the_convolution(g: Geometry, bias: bool) -> None:
    model = conv_of(g, integers(g.w_shape, g.seed), integers((g.F,), g.seed + 1) if bias else None)
    check(model, g.x_shape, g.seed)


@pytest.mark.parametrize("backend", BACKENDS)
@given(g=conv_geometries())
def test_the_matrix_within_the_rounding_bound(backend: str, g: Geometry) -> None:
    w, b, x = floats(g.w_shape, g.seed), floats((g.F,), g.seed + 1), floats((1, *g.x_shape[1:]), g.seed + 2)
    model = conv_of(g, w, b)
    with minicnn.use_backend(backend):
        y = model(Tensor(x)).array.reshape(-1)
        graph = connectivity(model, g.x_shape[1:]).layers[-1]
        b_of_units = graph.offset()
    M = graph.matrix().astype(np.float64)
    compare.assert_bounded(y, M @ x.reshape(-1).astype(np.float64) + b_of_units, abs(M) @ abs(x.reshape(-1)) + abs(b_of_units), g.terms + 1)


@given(conv_geometries())
def test_units_one_by_one_find_the_same_matrix(g: Geometry) -> None:
    """Column i is what the reference kernel makes of the unit vector i."""
    w = integers(g.w_shape, g.seed, 1, 8)
    graph = connectivity(conv_of(g, w, None), g.x_shape[1:]).layers[-1]
    n = graph.inputs
    vectors = np.eye(n, dtype=np.float32).reshape(n, *g.x_shape[1:])
    columns = reference.conv2d(vectors, w, None, g.window, g.groups).reshape(n, -1)
    compare.assert_equal(graph.matrix().toarray(), columns.T)
    assert graph.edges == np.count_nonzero(columns)


@given(conv_geometries(symmetric=True), st.integers(0, 2), st.integers(0, 2))
def test_transposed_convolutions(g: Geometry, extra_h: int, extra_w: int) -> None:
    """As its own adjoint: the matrix is the transpose of the convolution's that maps the other way."""
    window = g.window
    extra = [min(e, max(s, d) - 1) for e, s, d in zip((extra_h, extra_w), window.stride, window.dilation, strict=True)]
    left = [(n - 1) * s - 2 * p + e for n, s, p, e in zip(g.size, window.stride, window.padding[::2], window.extent, strict=True)]
    padding = window.padding[::2] if min(left) >= 1 else (0, 0)
    w, b = integers((g.C, g.F // g.groups, *window.kernel), g.seed), integers((g.F,), g.seed + 1)
    model = Runs(lambda x, w, b: F.conv_transpose2d(x, w, b, window.stride, padding, tuple(extra), g.groups, window.dilation), w=w, b=b)
    graph = check(model, g.x_shape, g.seed)
    if extra[0] < window.stride[0] and extra[1] < window.stride[1]:        # otherwise b alone is added at the end
        forward = Runs(lambda x, w: F.conv2d(x, w, None, window.stride, padding, window.dilation, g.groups), w=w)
        back = connectivity(forward, graph.shape).layers[-1]
        compare.assert_equal(graph.matrix().toarray(), back.matrix().toarray().T)


@given(pool_geometries(), st.booleans(), st.sampled_from([None, 2, 4]))
def test_average_pooling(g: Geometry, count: bool, override: int | None) -> None:
    """float64 numbers against the reference, where every window averages something."""
    options = {"count_include_pad": count, "divisor_override": override}
    x = floats((1, *g.x_shape[1:]), g.seed, np.float64)
    expected = reference.avg_pool2d(x, g.window, **options)
    from minicnn.inspect.graphs.rules import wired
    from minicnn.inspect.recorder import Op
    from minicnn.ops.avg_pool2d import avg_pool2d_forward
    start = Op(None, (), {}, Tensor(x), "", nn.Identity(), 1)
    graph = LayerGraph("pool", "pool", Op(avg_pool2d_forward, (start,), {"window": g.window, **options}, Tensor(expected), "",
                                          nn.Identity(), 1), ["input"], "linear", [])
    found = wired(graph.op)
    assert found is not None
    assert found.how == "linear"
    graph.wirings = found.wirings
    y = graph.matrix() @ x.reshape(-1)
    seen = ~np.isnan(expected.reshape(-1))
    compare.assert_close64(y[seen], expected.reshape(-1)[seen])
    counts(graph)


@given(pool_geometries())
def test_max_pooling_reads_its_window(g: Geometry) -> None:
    """One pixel much larger than the rest is what every window that reads it gives."""
    from minicnn.inspect.graphs.rules import wired
    from minicnn.inspect.recorder import Op
    from minicnn.ops.max_pool2d import max_pool2d_forward
    n = int(np.prod(g.x_shape[1:]))
    vectors = np.eye(n, dtype=np.float32).reshape(n, *g.x_shape[1:])
    y = reference.max_pool2d(vectors, g.window)[0]
    start = Op(None, (), {}, Tensor(vectors[:1]), "", nn.Identity(), 1)
    op = Op(max_pool2d_forward, (start,), {"window": g.window}, Tensor(y[:1]), "", nn.Identity(), 1)
    found = wired(op)
    assert found is not None
    assert found.how == "choice"
    graph = LayerGraph("pool", "pool", op, ["input"], "choice", found.wirings)
    compare.assert_equal(graph.matrix().toarray(), (y.reshape(n, -1).T == 1).astype(np.float32))
    counts(graph)


LINEAR: dict[str, tuple[Callable[..., Tensor], dict[str, np.ndarray]]] = {
    "linear after flatten": (lambda x, w, b: F.linear(x.flatten(1), w, b), {"w": integers((3, 40), 1), "b": integers((3,), 2)}),
    "linear on the last axis": (lambda x, w: F.linear(x, w), {"w": integers((7, 5), 1)}),
    "matmul": (lambda x, w: x @ w, {"w": integers((5, 2), 1)}),
    "reshape": (lambda x: x.reshape(1, 4, 10), {}),
    "permute": (lambda x: x.permute(0, 2, 3, 1), {}),
    "flip": (lambda x: x.flip((2, 3)), {}),
    "slice": (lambda x: x[:, 1:, ::2, 1:-1], {}),
    "index arrays": (lambda x: x[:, :, [3, 0, 0]], {}),
    "expand": (lambda x: x[:, :1].expand(1, 3, 4, 5), {}),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3), value=3), {}),
    "crop": (lambda x: F.pad(x, (-1, 2, 0, -1)), {}),
    "reflect": (lambda x: F.pad(x, (1, 2, 0, 3), mode="reflect"), {}),
    "circular": (lambda x: F.pad(x, (1, 2, 0, 3), mode="circular"), {}),
    "cat with itself": (lambda x: minicnn.cat([x, x], 2), {}),
    "cat with a constant": (lambda x: minicnn.cat([Tensor(integers((1, 1, 4, 5), 3)), x], 1), {}),
    "plus a constant": (lambda x, b: x + b, {"b": integers((2, 1, 1), 3)}),
    "minus": (lambda x: 3 - x, {}),
    "negative": (lambda x: -x, {}),
    "scaled": (lambda x, s: x * s, {"s": integers((1, 2, 1, 5), 3, 1)}),
    "divided": (lambda x: x / 4, {}),
    "sum over channels": (lambda x: x.sum(1), {}),
    "mean of columns": (lambda x: x.mean(2, keepdim=True), {}),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (2, 5)), {}),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), {}),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), {}),
    "average pool": (lambda x: F.avg_pool2d(x, (2, 1)), {}),
    "added twice": (lambda x: x + x, {}),
    "difference": (lambda x: x - x, {}),
    "broadcast sum": (lambda x: x[:, :1] + x, {}),
}


@pytest.mark.parametrize("name", LINEAR)
def test_each_linear_operation(name: str) -> None:
    function, parameters = LINEAR[name]
    model = Runs(function, **parameters)
    x = integers((1, 2, 4, 5), 0)
    found = connectivity(model, (2, 4, 5))
    graph = found.layers[-1]
    assert graph.linear
    assert graph.note == ""
    y = model(Tensor(x)).array
    sources = [op.output.array for op in graph.op.sources]
    recorded = np.concatenate([s.reshape(-1) for s in sources])
    y_recorded = graph.op.output.array.reshape(-1)             # of the random input that was recorded
    compare.assert_bounded(y_recorded, graph.matrix().astype(np.float64) @ recorded.astype(np.float64) + graph.offset(),
                           abs(graph.matrix()) @ abs(recorded) + abs(graph.offset()), graph.in_degrees.most + 4)
    if len(found.layers) == 1:
        compare.assert_equal((graph.matrix() @ np.tile(x.reshape(-1), len(sources)) + graph.offset()).astype(np.float32), y.reshape(-1))
    if name not in ("added twice", "difference"):
        counts(graph)


def test_uneven_bins_and_batch_norm() -> None:
    x = floats((1, 3, 5, 7), 0, np.float64)
    norm = nn.BatchNorm2d(3).double().eval()
    for tensor, least in ((norm.running_mean, -8), (norm.running_var, 1), (norm.weight, -8), (norm.bias, -8)):
        tensor.array[...] = integers((3,), 1, least)
    for model, weights in ((nn.AdaptiveAvgPool2d((2, 3)), 0), (norm, 3)):
        graph = connectivity(nn.Sequential(nn.Identity(), model).double().eval(), (3, 5, 7)).layers[-1]
        graph64 = graph.wirings[0].matrix(np.float64)
        expected = model(Tensor(x)).array.reshape(-1)
        zero = model(Tensor(np.zeros_like(x))).array.reshape(-1)
        compare.assert_close64(graph64 @ x.reshape(-1) + zero, expected)
        assert graph.weights == weights
        counts(graph)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu, "gate": lambda x: x * x[:, :1], "softmax": lambda x: F.softmax(x, 1), "max": lambda x: x.max(3).values,
    "amax": lambda x: x.amax((1, 2)), "variance": lambda x: x.var(2), "adaptive max": lambda x: F.adaptive_max_pool2d(x, (3, 2)),
    "maximum": lambda x: minicnn.maximum(x, x.flip((3,))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_weighted_sum_has_a_pattern(name: str) -> None:
    """Changing one unit changes nothing but what it has an edge to."""
    graph = connectivity(Runs(FUNCTIONS[name]), (2, 4, 5)).layers[-1]
    assert not graph.linear
    counts(graph)
    pattern = graph.matrix().toarray()
    given = [s.output.array for s in graph.op.sources]
    moved = np.zeros_like(pattern, dtype=bool)
    before = _values(graph, given)
    for unit in range(graph.inputs):
        changed = [g.copy() for g in given]
        source, place = (0, unit) if unit < given[0].size else (1, unit - given[0].size)
        changed[source].reshape(-1)[place] += 100
        moved[:, unit] = _values(graph, changed) != before
    assert (moved <= (pattern > 0)).all()
    with pytest.raises(ValueError, match="is not linear: it has no b"):
        graph.offset()


def _values(graph: LayerGraph, given: list[np.ndarray]) -> np.ndarray:
    if graph.op.name == "pick":
        return given[0].max(axis=graph.op.options["dim"]).reshape(-1)
    y: Any = graph.op.function(*given, **graph.op.options)[0]  # type: ignore[misc]  # no input
    return np.asarray(y[0] if isinstance(y, tuple) else y).reshape(-1)


@given(seeds)
def test_a_residual_addition_has_two_matrices_side_by_side(seed: int) -> None:
    graph = connectivity(Runs(lambda x, w: x + F.conv2d(x, w, padding=1), w=integers((2, 2, 3, 3), seed)), (2, 3, 4)).layers[-1]
    assert graph.sources == ["input", "Runs/conv2d"]
    compare.assert_equal(graph.matrix().toarray(), np.hstack([np.eye(24), np.eye(24)]).astype(np.float32))
    compare.assert_equal(graph.matrix(1).toarray(), np.eye(24, dtype=np.float32))
    assert (graph.in_degrees.counts, graph.out_degrees.counts, graph.edges, graph.weights) == ({2: 24}, {1: 48}, 48, 0)
