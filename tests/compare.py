"""The one comparator of the test-suite: exact equality, or a bound from rounding analysis. Nowhere else is there a tolerance."""
from __future__ import annotations

from typing import Any

import numpy as np


def assert_equal(got: Any, expected: Any, what: str = "result") -> None:
    """Tier 1: same shape, same dtype, same values. Equal NaNs are equal; a NaN where a number is expected fails.

    One cast is allowed: a float64 oracle behind a float32 result, where every value of the oracle is a float32 number.
    """
    got, expected = _array(got), _array(expected)
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {expected.shape}")
    if got.dtype != expected.dtype:
        cast = expected.astype(got.dtype)
        oracle = got.dtype == np.float32 and expected.dtype == np.float64
        if not (oracle and np.array_equal(cast.astype(np.float64), expected, equal_nan=True)):
            raise AssertionError(f"{what}: dtype {got.dtype}, expected {expected.dtype}")
        expected = cast
    same = (got == expected) | (_isnan(got) & _isnan(expected))
    if not same.all():
        raise AssertionError(f"{what}: {_first_difference(got, expected, ~same)}")


def assert_bounded(got: Any, expected: Any, magnitude: Any, terms: int, what: str = "result") -> float:
    """Tier 2: |got - expected| <= gamma_K * magnitude, element by element, with gamma_K = K*u / (1 - K*u) (Higham, 2002, section 3.1).

    magnitude: the same sum as `expected` with every term replaced by its absolute value; terms: K, the roundings on the way to one element;
    u: the unit roundoff of got's dtype. `expected` is float64 (or better than got). Returns the largest error / bound, for reports.
    """
    got, expected, magnitude = _array(got), _array(expected), _array(magnitude)
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {expected.shape}")
    if got.dtype.kind != "f":
        raise AssertionError(f"{what}: dtype {got.dtype}, expected floating point")
    u = np.finfo(got.dtype).eps / 2
    gamma = terms * u / (1 - terms * u)
    bound = gamma * np.broadcast_to(np.abs(magnitude), expected.shape) + np.finfo(got.dtype).smallest_subnormal
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - expected)
        within = (np.isfinite(error) & (error <= bound)) | (_isnan(got) & _isnan(expected)) | (np.isinf(got) & (got == expected))
    if not within.all():
        raise AssertionError(f"{what}: {_first_difference(got, expected, ~within)}; bound there {bound[~within][0]:.3g}")
    finite = np.isfinite(error) & (bound > 0)
    return float((error[finite] / bound[finite]).max(initial=0.0))


# The three float64 tolerances there are, each for one kind of comparison, none for one test.
TOLERANCE64 = 1e-11      # the same formula computed in another order
TRAINING64 = 1e-10       # whole networks, forward, backward and ten steps of training
DIFFERENCE64 = 1e-7      # a gradient against differences of the function, whose own error is of that order


def assert_close64(got: Any, expected: Any, what: str = "result", tolerance: float = TOLERANCE64) -> None:
    """float64 against float64: |got - expected| <= tolerance * max(1, |expected|); NaN must match NaN."""
    got, expected = _array(got), _array(expected)
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {expected.shape}")
    if got.dtype != np.float64 or expected.dtype != np.float64:
        raise AssertionError(f"{what}: dtypes {got.dtype} and {expected.dtype}, expected float64 both")
    with np.errstate(invalid="ignore"):
        error, bound = np.abs(got - expected), tolerance * np.maximum(1, np.abs(expected))
        within = (np.isfinite(error) & (error <= bound)) | (got == expected) | (_isnan(got) & _isnan(expected))
    if not within.all():
        raise AssertionError(f"{what}: {_first_difference(got, expected, ~within)}; tolerance {tolerance:g}")


class unchanged:
    """`with unchanged(x, w):` fails if the block changes one of the arrays, by a single bit."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays = [_array(a) for a in arrays if a is not None]

    def __enter__(self) -> None:
        self.before = [a.tobytes() for a in self.arrays]

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            for i, (array, before) in enumerate(zip(self.arrays, self.before, strict=True)):
                if array.tobytes() != before:
                    raise AssertionError(f"input {i} (shape {array.shape}) was changed")


def _array(x: Any) -> np.ndarray:
    """A minicnn or torch tensor, or an array, as an ndarray."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def _isnan(x: np.ndarray) -> Any:
    return np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)


def _first_difference(got: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> str:
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} values differ, the first at {where}: got {got[where]!r}, expected {expected[where]!r}"
