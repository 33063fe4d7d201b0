"""sum, mean, var, std, logsumexp, and the extremes, against torch: every axis, several, all, kept or not; ties, NaN, nothing."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor
from tests.against_torch import close, exact
from tests.compare import assert_equal
from tests.ops.arrays import SPECIAL, one
from tests.strategies import floats


@st.composite
def reductions(draw: st.DrawFn, values: Any, least_side: int = 1) -> tuple[np.ndarray, Any, bool]:
    """An array, dim (None, an axis, or several, also negative) and keepdim."""
    x = draw(one(values, least_axes=1, least_side=least_side))
    axes = st.integers(-x.ndim, x.ndim - 1)
    dim = draw(st.none() | axes | st.lists(axes, min_size=1, max_size=x.ndim, unique_by=lambda d: d % x.ndim).map(tuple))
    return x, dim, draw(st.booleans())


EXACT = ["sum", "amax", "amin"]
CLOSE = ["mean", "var", "std", "logsumexp"]


def call(name: str, dim: Any, keepdim: bool) -> Any:
    if dim is None and name == "logsumexp":
        return lambda x: x.logsumexp(tuple(range(x.ndim)), keepdim)
    if dim is None and isinstance(name, str) and name in ("amax", "amin"):
        return lambda x: getattr(x, name)((), keepdim)
    return lambda x: getattr(x, name)(dim, keepdim=keepdim)


@pytest.mark.parametrize("name", EXACT)
@given(case=reductions(lambda shape, seed: np.round(floats(shape, seed) * 2)))
def test_exact(name: str, case: tuple[np.ndarray, Any, bool]) -> None:
    x, dim, keepdim = case
    values = x if name == "sum" else np.sign(x) * 2            # ties in plenty, but gradients shared among 3 are no integers
    (exact if name == "sum" else close)(call(name, dim, keepdim), call(name, dim, keepdim), values)


@pytest.mark.parametrize("name", CLOSE)
@given(case=reductions(floats))
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")      # torch's warning; NaN comes out of both
def test_close(name: str, case: tuple[np.ndarray, Any, bool]) -> None:
    x, dim, keepdim = case
    close(call(name, dim, keepdim), call(name, dim, keepdim), x)


@given(case=reductions(floats, least_side=2), correction=st.sampled_from([0, 1, 0.5]))
def test_correction(case: tuple[np.ndarray, Any, bool], correction: float) -> None:
    x, dim, keepdim = case
    close(lambda x: x.var(dim, keepdim=keepdim, correction=correction), lambda x: x.var(dim, keepdim=keepdim, correction=correction), x)
    close(lambda x: x.std(dim, unbiased=False), lambda x: x.std(dim, unbiased=False), x)


@given(case=reductions(floats, least_side=0))
def test_sums_of_nothing(case: tuple[np.ndarray, Any, bool]) -> None:
    x, dim, keepdim = case
    close(call("sum", dim, keepdim), call("sum", dim, keepdim), x)
    close(call("mean", dim, keepdim), call("mean", dim, keepdim), x)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@given(x=one(least_axes=1, least_side=1), data=st.data())
def test_extremes(name: str, x: np.ndarray, data: st.DataObject) -> None:
    """With dim the first of equal values gets the whole gradient; without, they share it."""
    dim, keepdim = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.booleans())
    x = np.minimum(np.maximum(x, -2), 2)
    if name.startswith("arg"):
        for arguments in ((dim, keepdim), (None, keepdim)):
            assert_equal(getattr(Tensor(x), name)(*arguments), getattr(torch.tensor(x.copy()), name)(*arguments))
    else:
        exact(lambda t: getattr(t, name)(dim, keepdim)[0], lambda t: getattr(t, name)(dim, keepdim)[0], x)
        got, expected = getattr(Tensor(x), name)(dim, keepdim), getattr(torch.tensor(x.copy()), name)(dim, keepdim)
        assert_equal(got.indices, expected.indices)
        assert_equal(got.values, expected.values)
        close(lambda t: getattr(t, name)(), lambda t: getattr(t, name)(), x)


SPECIALS = {
    **{name: lambda x, name=name: getattr(x, name)(0) for name in ("sum", "mean", "var", "std", "logsumexp", "amax", "amin")},
    **{f"{name} of all": lambda x, name=name: getattr(x, name)() for name in ("max", "min", "sum", "std")},
    **{f"{name} along": lambda x, name=name: getattr(x, name)(0)[0] for name in ("max", "min")},
}


VALUES = [
    SPECIAL, SPECIAL[1:], [1.0, np.nan, np.nan], [np.inf, 1.0], [np.inf, np.inf], [-np.inf, -np.inf], [-np.inf, 1.0], [3.0, 3.0], [np.nan],
    [1e4, 1e4, 0.0],
]
# torch's amax hands NaN to every value if one is NaN, its max does not; our amax is our max.
SPECIAL_CASES = [(name, values) for name in SPECIALS for values in VALUES if not (name in ("amax", "amin") and np.isnan(values).any())]


@pytest.mark.parametrize(("name", "values"), SPECIAL_CASES, ids=str)
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_special_values(name: str, values: Any) -> None:
    close(SPECIALS[name], SPECIALS[name], np.array(values))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_integers(dtype: str) -> None:
    x = np.array([[1, 0, 1], [1, 1, 0]]).astype(dtype)
    for function in (lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.amax(1), lambda x: x.max(0)[0], lambda x: x.max()):
        assert_equal(function(Tensor(x)), function(torch.tensor(x)))


def test_a_single_number_has_axis_0() -> None:
    for function in (lambda x: x.sum(0), lambda x: x.mean(-1), lambda x: x.amax(0), lambda x: x.max(0)[0], lambda x: x.logsumexp(0)):
        close(function, function, np.array(3.0))
    assert_equal(Tensor(3.0).argmax(0), torch.tensor(3.0).argmax(0))
    assert_equal(Tensor(3.0).max(0).indices, torch.tensor(3.0).max(0).indices)


def test_axis_and_keepdims_are_numpys_words_for_the_same() -> None:
    x = Tensor(floats((2, 3), 1))
    for name in ("sum", "mean", "var", "std", "argmax", "argmin"):
        assert_equal(getattr(x, name)(axis=1, keepdims=True), getattr(x, name)(1, True))
        assert_equal(getattr(x, name)(axis=0), getattr(x, name)(0))
    assert_equal(x.max(axis=0).values, x.max(0)[0])


def test_variance_beside_a_large_mean() -> None:
    """The textbook formula E[x²] - E[x]² gives 0 or worse here."""
    x = Tensor(np.array([10000.0, 10001.0, 10002.0], np.float32))
    assert_equal(x.var(), np.float32(1))


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda x: x.sum(2), IndexError, "sum: dim 2 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: x.mean((0, -3)), IndexError, "mean: dim -3 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: x.sum((0, -2)), ValueError, "sum: dim (0, -2) names an axis twice (shape (2, 3))"),
    (lambda x: x.sum(1.0), TypeError, "sum: dim must be an integer, got 1.0"),
    (lambda x: x.long().mean(), TypeError, "mean: x is int64; it needs floating point: convert it with .float()"),
    (lambda x: x.long().var(), TypeError, "var: x is int64; it needs floating point: convert it with .float()"),
    (lambda x: x.long().std(), TypeError, "std: x is int64; it needs floating point: convert it with .float()"),
    (lambda x: x[:, :0].max(1), ValueError, "max: axis 1 of shape (2, 0) is empty; there is no value to choose"),
    (lambda x: x[:, :0].max(), ValueError, "amax: axis 1 of shape (2, 0) is empty; there is no value to choose"),
    (lambda x: x[:, :0].argmin(), ValueError, "argmin: axis 1 of shape (2, 0) is empty; there is no value to choose"),
    (lambda x: x.max((0, 1)), TypeError, "max: dim must be an integer, got (0, 1)"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call(minicnn.ones(2, 3))
    assert str(raised.value) == text
