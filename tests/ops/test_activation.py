"""relu and its relatives against torch: values, gradients, the kinks, NaN and infinities, dtypes."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given

import minicnn.nn.functional as F
from minicnn import Tensor, ops, use_backend
from minicnn.ops.erf import erf
from tests.against_torch import close, exact
from tests.compare import assert_bounded, assert_equal
from tests.ops.arrays import one
from tests.ops.neural import each_backend
from tests.strategies import floats, integers

EXACT: dict[str, Any] = {
    "relu": lambda f, x: f.relu(x),
    "leaky_relu": lambda f, x: f.leaky_relu(x, 0.25),
    "leaky_relu-negative": lambda f, x: f.leaky_relu(x, -2),
    "elu of what is positive": lambda f, x: f.elu(abs(x) + 1, 3.0),
}
CLOSE: dict[str, Any] = {
    "leaky_relu": lambda f, x: f.leaky_relu(x),
    "elu": lambda f, x: f.elu(x),
    "elu-alpha": lambda f, x: f.elu(x, alpha=-1.5),
    "gelu": lambda f, x: f.gelu(x),
    "gelu-tanh": lambda f, x: f.gelu(x, approximate="tanh"),
    "silu": lambda f, x: f.silu(x),
    "hardswish": lambda f, x: f.hardswish(x),
    "logsigmoid": lambda f, x: f.logsigmoid(x),
    "sigmoid": lambda f, x: f.sigmoid(x),
    "tanh": lambda f, x: f.tanh(x),
}
EDGES = np.array([0, -0.0, 3, -3, 2.999, -2.999, 6, -6, 20, -20, 60, -60, 87, -87, 700, -700, 1e4, -1e4])


@each_backend
@pytest.mark.parametrize("name", EXACT)
@given(x=one())
def test_exact(name: str, backend: str, x: np.ndarray) -> None:
    with use_backend(backend):
        exact(lambda a: EXACT[name](F, a), lambda a: EXACT[name](TF, a), x)


@each_backend
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 40, 50)], ids=str)
def test_relu_of_a_sum(backend: str, shape: tuple[int, ...]) -> None:
    a, b = (integers(shape, seed) for seed in (0, 1))
    with use_backend(backend):
        exact(lambda a, b: ops.add_relu(a, b), lambda a, b: TF.relu(a + b), a, b)
        exact(lambda a: ops.add_relu(a, a), lambda a: TF.relu(a + a), a)


def test_relu_of_a_sum_wants_equal_shapes() -> None:
    with pytest.raises(ValueError, match=r"add_relu: a has shape \(2, 3\), b \(3,\); they must be equal"):
        ops.add_relu(Tensor(np.zeros((2, 3), np.float32)), Tensor(np.zeros(3, np.float32)))


@pytest.mark.parametrize("name", CLOSE)
@given(x=one(floats))
def test_close(name: str, x: np.ndarray) -> None:
    close(lambda a: CLOSE[name](F, a), lambda a: CLOSE[name](TF, a), 3 * x)


@pytest.mark.parametrize("name", CLOSE)
def test_far_out_and_at_the_kinks(name: str) -> None:
    close(lambda a: CLOSE[name](F, a), lambda a: CLOSE[name](TF, a), EDGES)


@each_backend
@pytest.mark.parametrize("name", ["relu", *CLOSE])
def test_nan_and_infinity(name: str, backend: str) -> None:
    function, x = {**EXACT, **CLOSE}[name], np.array([np.nan, np.inf, -np.inf], np.float32)
    with use_backend(backend), np.errstate(invalid="ignore"):
        assert_equal(function(F, Tensor(x)), function(TF, torch.tensor(x.astype(np.float64))))     # torch's float32 gelu(inf) is NaN


@each_backend
def test_relu_derivative_at_zero_is_zero_and_inf_stays_outside_closed_gates(backend: str) -> None:
    x = Tensor(np.array([0.0, -0.0, -1.0, 2.0], np.float32), requires_grad=True)
    with use_backend(backend):
        F.relu(x).backward(np.array([np.inf, np.nan, np.inf, 3.0], np.float32))
    assert x.grad is not None
    assert_equal(x.grad, np.array([0, 0, 0, 3], np.float32))


def test_erf_to_rounding() -> None:
    x = np.concatenate([np.linspace(-7, 7, 9001), [1e-30, -1e30, np.inf, 0]])
    assert_bounded(erf(x), torch.erf(torch.tensor(x)), 1, terms=4)
    assert_bounded(erf(x.astype(np.float32)), torch.erf(torch.tensor(x.astype(np.float32).astype(np.float64))), 1, terms=4)
    assert np.isnan(erf(np.array([np.nan])))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "silu", "hardswish"])
def test_inplace_gives_the_result_to_the_input(name: str) -> None:
    def ours(x: Tensor) -> Tensor:
        y = x * 2
        getattr(F, name)(y, inplace=True)
        return y * 3

    def theirs(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        getattr(TF, name)(y, inplace=True)
        return y * 3

    close(ours, theirs, floats((3, 4), 0))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "gelu", "silu", "hardswish", "logsigmoid"])
def test_integers_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: x is int64; it needs floating point: convert it with .float\(\)$"):
        getattr(F, name)(Tensor([1, -1]))


def test_gelu_unknown_approximation() -> None:
    with pytest.raises(ValueError, match=r"^gelu: approximate is 'erf': must be 'none' or 'tanh'$"):
        F.gelu(Tensor([1.0]), approximate="erf")
