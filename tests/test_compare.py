"""The comparator must fail whenever it should: NaN, Inf, wrong shape, wrong dtype, a value off by one bit, a changed input."""
import re

import numpy as np
import pytest

from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged

X = np.array([[1.0, -2.0], [0.0, 3.0]], np.float32)
ONE_BIT_OFF = X.copy()
ONE_BIT_OFF[1, 1] = np.nextafter(np.float32(3), np.float32(4))


def with_value(value: float) -> np.ndarray:
    x = X.copy()
    x[0, 1] = value
    return x


WRONG = {
    "one bit": ONE_BIT_OFF,
    "nan": with_value(np.nan),
    "inf": with_value(np.inf),
    "shape": X.reshape(4),
    "broadcastable shape": X[:1, :1],
    "empty": X[:0],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_equal_fails(wrong: str) -> None:
    with pytest.raises(AssertionError):
        assert_equal(WRONG[wrong], X)
    with pytest.raises(AssertionError):
        assert_equal(X, WRONG[wrong])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float16])
def test_equal_fails_on_another_dtype(dtype: type) -> None:
    with pytest.raises(AssertionError, match="dtype"):
        assert_equal(X, X.astype(dtype))


def test_equal_casts_a_float64_oracle_only_when_that_is_exact() -> None:
    assert_equal(X, X.astype(np.float64))
    with pytest.raises(AssertionError, match="dtype float32, expected float64"):
        assert_equal(X, X.astype(np.float64) / 3)


def test_equal_accepts_equal_nan_and_inf() -> None:
    assert_equal(with_value(np.nan), with_value(np.nan))
    assert_equal(with_value(-np.inf), with_value(-np.inf))
    with pytest.raises(AssertionError):
        assert_equal(with_value(-np.inf), with_value(np.inf))


@pytest.mark.parametrize("wrong", ["nan", "inf", "shape", "broadcastable shape", "empty"])
def test_bounded_fails(wrong: str) -> None:
    with pytest.raises(AssertionError):
        assert_bounded(WRONG[wrong], X.astype(np.float64), np.abs(X), 100)


def test_bounded_fails_when_the_expected_value_is_not_finite() -> None:
    with pytest.raises(AssertionError):
        assert_bounded(X, with_value(np.nan).astype(np.float64), np.abs(X), 100)
    with pytest.raises(AssertionError):
        assert_bounded(X, with_value(np.inf).astype(np.float64), np.full(X.shape, np.inf), 100)


def test_bounded_takes_the_rounding_of_one_operation_and_not_of_three() -> None:
    third = np.float64(1) / 3
    assert 0 < assert_bounded(np.array([third], np.float32), np.array([third]), np.array([third]), 1) <= 1
    off = np.nextafter(np.nextafter(np.float32(third), np.float32(1)), np.float32(1))
    with pytest.raises(AssertionError, match="bound there"):
        assert_bounded(np.array([off]), np.array([third]), np.array([third]), 1)


def test_bounded_wants_floating_point() -> None:
    with pytest.raises(AssertionError, match="dtype int32, expected floating point"):
        assert_bounded(X.astype(np.int32), X, np.abs(X), 1)


@pytest.mark.parametrize("wrong", ["nan", "inf", "shape", "broadcastable shape", "empty"])
def test_close64_fails(wrong: str) -> None:
    with pytest.raises(AssertionError):
        assert_close64(WRONG[wrong].astype(np.float64), X.astype(np.float64), tolerance=1e-3)


def test_close64_wants_float64() -> None:
    with pytest.raises(AssertionError, match="expected float64 both"):
        assert_close64(X, X, tolerance=1e-3)


def test_unchanged_sees_one_bit_and_a_new_nan() -> None:
    for value in (-0.0, np.nan):
        x = np.zeros(3, np.float32)
        with pytest.raises(AssertionError, match=re.escape("input 1 (shape (3,)) was changed")), unchanged(X, x):
            x[1] = value


def test_unchanged_does_not_hide_an_error() -> None:
    with pytest.raises(KeyError), unchanged(X):
        raise KeyError
