"""Explanations of Linear and BatchNorm2d."""
from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import nn
from minicnn.inspect import explain, explain_grad
from tests.compare import assert_close64
from tests.inspect.explaining.checks import each_backend, explained, filled, in_the_simulator
from tests.strategies import floats, in_layout, integers, layouts, seeds

ANY = st.sampled_from([None, "input", "weight", "bias"])
leading = st.sampled_from([(), (1,), (3,), (2, 3), (2, 1, 2)])


@each_backend
@given(rows=leading, features=st.tuples(st.integers(1, 6), st.integers(1, 5)), seed=seeds, wrt=ANY, layout=layouts)
def test_linear(backend: str, rows: tuple[int, ...], features: tuple[int, int], seed: int, wrt: str | None, layout: str) -> None:
    layer = filled(nn.Linear(*features), seed)
    found, _ = explained(backend, layer, in_layout(integers((*rows, features[0]), seed + 9), layout), seed, wrt)
    assert found.error == 0
    found, _ = explained(backend, filled(layer, seed, whole=False), floats((*rows, features[0]), seed + 9), seed, wrt, whole=False)
    assert found.roundings == len(found.terms) + (wrt is None)


@each_backend
@given(shape=st.tuples(*[st.integers(1, n) for n in (3, 3, 4, 5)]), seed=seeds, wrt=ANY, training=st.booleans(),
       far=st.sampled_from([0, 100]))
def test_batch_norm(backend: str, shape: tuple[int, ...], seed: int, wrt: str | None, training: bool, far: int) -> None:
    if training and shape[0] * shape[2] * shape[3] == 1:
        shape = (2, *shape[1:])
    layer = filled(nn.BatchNorm2d(shape[1]), seed, whole=False).train(training)
    before = layer.running_mean.array.copy()
    found, _ = explained(backend, layer, floats(shape, seed + 5) + np.float32(far), seed, wrt, whole=False)
    assert np.array_equal(layer.running_mean.array, before)
    if wrt == "input":
        assert len(found.terms) == (1 + 2 * shape[0] if training else 1)


@in_the_simulator
@settings(max_examples=2)
@given(seed=seeds, wrt=ANY)
def test_on_the_simulated_gpu(backend: str, seed: int, wrt: str | None) -> None:
    assert explained(backend, filled(nn.Linear(3, 2), seed), integers((2, 3), seed), seed, wrt)[0].error == 0
    assert explained(backend, filled(nn.BatchNorm2d(2), seed, False), floats((2, 2, 3, 3), seed), seed, wrt, False)[0].within


@given(seed=seeds, wrt=st.sampled_from(["input", "weight", "bias"]))
def test_batch_norm_gradients_are_those_of_torch(seed: int, wrt: str) -> None:
    layer = filled(nn.BatchNorm2d(2, dtype=np.float64), seed, whole=False)
    x = floats((3, 2, 2, 3), seed + 5, np.float64)
    found, dy = explained("numpy", layer, x, seed, wrt, whole=False)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, layer.weight.array, layer.bias.array)]
    torch.nn.functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=layer.eps).backward(torch.tensor(dy))
    grad = leaves[["input", "weight", "bias"].index(wrt)].grad
    assert grad is not None
    assert_close64(np.array(found.total), np.array(grad[found.index].item()))


def test_batch_norm_without_weights_or_statistics() -> None:
    x, dy = floats((2, 3, 2, 2), 1), floats((2, 3, 2, 2), 2)
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False).eval()
    assert explain(layer, x, (0, 1, 1, 1)).bias is None
    found = explain_grad(layer, x, dy, (1, 2, 0, 0))
    assert found.within
    assert found.numbers["statistics"]["of_batch"]             # also in eval mode: it has no others
