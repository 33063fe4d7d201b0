"""exp, log, sqrt and the like, and the step functions, against torch; clone and cast."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

import minicnn
from minicnn import Tensor, ops
from tests.against_torch import ROUNDINGS32, close, exact
from tests.compare import assert_bounded, assert_equal
from tests.ops.arrays import SPECIAL, one, positive
from tests.strategies import floats

SMOOTH = ["exp", "sin", "cos", "tanh", "sigmoid", "abs", "square"]
ON_POSITIVE = ["log", "sqrt"]
STEPS = ["round", "floor", "ceil", "sign"]


def both(name: str) -> tuple:
    return lambda x: getattr(x, name)(), lambda x: getattr(x, name)()


@pytest.mark.parametrize("name", SMOOTH + STEPS)
@given(x=one(floats))
def test_close(name: str, x: np.ndarray) -> None:
    close(*both(name), x)


@pytest.mark.parametrize("name", ON_POSITIVE)
@given(x=one(positive))
def test_close_on_positive_numbers(name: str, x: np.ndarray) -> None:
    close(*both(name), x)


@pytest.mark.parametrize("name", ["abs", "square", "clone", *STEPS])
@given(x=one())
def test_exact(name: str, x: np.ndarray) -> None:
    exact(*both(name), x / np.float32(2))                      # halves, for round


@pytest.mark.parametrize("name", SMOOTH + ON_POSITIVE + STEPS)
def test_special_values(name: str) -> None:
    """Among them abs'(0) = 0, sqrt'(0) = inf, log(0) = -inf, and NaN everywhere."""
    close(*both(name), np.concatenate([SPECIAL, [80.0, -80.0, 1000.0, -1000.0, 0.5, -0.5, 2.5]]))


@pytest.mark.parametrize("name", SMOOTH + ON_POSITIVE + STEPS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers(name: str, dtype: str) -> None:
    """Integers stay integers or become float32, as in torch."""
    x = np.array([1, 2, 7], dtype)
    got, expected = getattr(Tensor(x), name)(), getattr(torch.tensor(x), name)().numpy()
    assert got.dtype == expected.dtype
    assert_bounded(got.float(), expected, expected, ROUNDINGS32)


@pytest.mark.parametrize("function", [lambda x: x.to(np.float64) * 2, lambda x: x.double().float(), lambda x: x.type(np.float64)])
def test_cast_is_recorded(function: object) -> None:
    x = minicnn.tensor([1.0, 2.0], requires_grad=True)
    y = function(x)
    y.backward(minicnn.tensor([3.0, 4.0], dtype=y.dtype))
    assert x.grad.dtype == np.float32
    assert_equal(x.grad, np.array([3, 4], np.float32) * (2 if y.array[0] == 2 else 1))


def test_cast() -> None:
    x = minicnn.tensor([0.0, 1.9, -1.9], requires_grad=True)
    assert x.float() is x
    assert x.to("cpu") is x
    for y, dtype in ((x.long(), np.int64), (x.int(), np.int32), (x.bool(), np.bool_)):
        assert (y.dtype, y.requires_grad) == (dtype, False)
    assert_equal(x.long(), np.array([0, 1, -1]))
    assert_equal(x.bool(), np.array([False, True, True]))


def test_clone_has_memory_of_its_own() -> None:
    x = minicnn.zeros(3)
    x.clone().fill_(1)
    assert_equal(x, np.zeros(3, np.float32))


def test_sigmoid_needs_no_large_exponential() -> None:
    with np.errstate(all="raise"):
        y, _ = ops.elementwise.sigmoid_forward(np.array([-80.0, 0.0, 80.0, -1e4 + 9999.0], np.float32))
    assert_equal(y[1:3], np.array([0.5, 1.0], np.float32))
