"""minicnn.nn.functional as a whole: torch's names and arguments; one_hot and normalize, which live there."""
from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor
from tests.against_torch import close
from tests.compare import assert_equal
from tests.strategies import floats, seeds

LEFT_OUT = {"size_average", "reduce", "_stacklevel", "out", "antialias", "weight"}     # deprecated, or not here


def parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def with_signatures() -> list[str]:
    """Those of our functions whose torch namesakes have a signature that Python can see."""
    names = []
    for name in F.__all__:
        try:
            theirs = parameters(getattr(TF, name))
        except ValueError:
            continue
        if {p.name for p in theirs} != {"args", "kwargs"}:
            names.append(name)
    return names


@pytest.mark.parametrize("name", with_signatures())
def test_same_arguments_and_defaults_in_the_same_order(name: str) -> None:
    theirs = {p.name: p.default for p in parameters(getattr(TF, name))}
    ours = {p.name: p.default for p in parameters(getattr(F, name))}
    expected = {n: d for n, d in theirs.items() if n in ours or n not in LEFT_OUT}
    if name in ("softmax", "log_softmax"):
        expected["dim"] = inspect.Parameter.empty              # torch's None guesses, and warns
    assert list(ours.items()) == list(expected.items())


def test_every_name_is_torchs() -> None:
    assert len(F.__all__) >= 35
    assert [n for n in F.__all__ if not hasattr(TF, n)] == []
    assert [n for n in F.__all__ if not getattr(F, n).__doc__] == []


def test_arguments_that_torch_names_but_python_cannot_see() -> None:
    x, w, b = floats((2, 4, 7, 6), 0), floats((6, 2, 3, 2), 1), floats((6,), 2)
    keywords: dict[str, Any] = {"stride": 2, "padding": 1, "dilation": (1, 2), "groups": 2}
    close(lambda x, w, b: F.conv2d(input=x, weight=w, bias=b, **keywords),
          lambda x, w, b: TF.conv2d(input=x, weight=w, bias=b, **keywords), x, w, b)
    close(lambda x, w, b: F.conv2d(x, w, b, 2, 1, (1, 2), 2), lambda x, w, b: TF.conv2d(x, w, b, 2, 1, (1, 2), 2), x, w, b)
    close(lambda x: F.max_pool2d(x, 3, 2, 1, 1, True), lambda x: TF.max_pool2d(x, 3, 2, 1, 1, True), x)
    close(lambda x: F.avg_pool2d(x, 3, 2, 1, True, False, 7), lambda x: TF.avg_pool2d(x, 3, 2, 1, True, False, 7), x)
    close(lambda x, w: F.linear(input=x, weight=w), lambda x, w: TF.linear(input=x, weight=w), x, floats((5, 6), 3))


@given(shape=st.lists(st.integers(0, 3), max_size=3), classes=st.integers(4, 6), seed=seeds)
def test_one_hot(shape: list[int], classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, shape)
    assert_equal(F.one_hot(Tensor(labels), classes), TF.one_hot(torch.tensor(labels), classes))
    if labels.size:
        assert_equal(F.one_hot(Tensor(labels)), TF.one_hot(torch.tensor(labels)))


def test_one_hot_errors() -> None:
    def fails(error: type[Exception], message: str, labels: Any, *classes: int) -> None:
        with pytest.raises(error, match=f"^{re.escape(f'one_hot: {message}')}$"):
            F.one_hot(Tensor(np.array(labels)), *classes)

    fails(ValueError, "label 5 at index 1 is out of range: there are 3 classes, so labels are 0..2", [0, 5], 3)
    fails(ValueError, "label -1 at index 0 is out of range: there are 3 classes, so labels are 0..2", [-1, 2])
    fails(TypeError, "labels must be integers, got float64: convert them with .long()", [0.0, 1.0])
    fails(ValueError, "no labels to find the number of classes from: give num_classes", np.zeros(0, np.int64))


@pytest.mark.parametrize("options", [{}, {"dim": 0}, {"p": 1}, {"p": 3, "dim": -1}, {"dim": 1, "eps": 2.0}])
def test_normalize(options: dict[str, Any]) -> None:
    x = floats((3, 4, 5), 0)
    x[1] = 0                                                   # zeros stay, and their gradient is finite
    close(lambda a: F.normalize(a, **options), lambda a: TF.normalize(a, **options), x)


def test_ops_of_one_chain_share_gradients_with_torch() -> None:
    """A small residual network of most functions here, forward and every gradient."""
    def network(f: Any) -> Any:
        def forward(x: Any, w1: Any, w2: Any, g: Any, b: Any, w3: Any) -> Any:
            y = f.silu(f.group_norm(f.conv2d(x, w1, padding=1), 2, g, b))
            y = f.relu(f.batch_norm(f.conv2d(y, w2, padding=1, groups=2), None, None, g, b, training=True) + y)
            y = f.interpolate(f.max_pool2d(y, 2), scale_factor=2, mode="bilinear") + f.pad(f.avg_pool2d(y, 3, 2), (2, 3, 3, 2), "replicate")
            y = f.linear(f.normalize(f.adaptive_avg_pool2d(y, (1, 2)).flatten(1)), w3)
            return f.log_softmax(f.gelu(y), 1)
        return forward

    arrays = [floats(s, i) for i, s in enumerate([(2, 3, 8, 8), (4, 3, 3, 3), (4, 2, 3, 3), (4,), (4,), (5, 8)])]
    close(network(F), network(TF), *arrays)
