"""What is refused a time: wrong numbers, NaN, infinity, another shape, dtype or name."""
import numpy as np
import pytest

from minicnn.benchmarks.problems.problem import U, rounding_bound
from minicnn.benchmarks.verify import Wrong, verify

ANSWER = {"y": np.array([[1.0, -2.0, 3.0], [0.0, 5.0, 6.0]])}
BOUND = {"y": np.full((2, 3), 1e-6)}


def y(values: object = ANSWER["y"], dtype: type = np.float32) -> dict[str, np.ndarray]:
    return {"y": np.array(values, dtype)}


def never() -> dict[str, np.ndarray]:
    raise AssertionError("bounds were not needed")


def test_equal_is_exact_and_needs_no_bound() -> None:
    assert verify(y(), ANSWER, never).tier == "exact"


def test_within_the_bound() -> None:
    got = y()
    got["y"][1, 1] += np.spacing(np.float32(5))                # 4.8e-7
    verified = verify(got, ANSWER, lambda: BOUND)
    assert (verified.tier, round(verified.error, 3)) == ("bounded", 0.477)


@pytest.mark.parametrize(("got", "text"), [
    (y([[1, -2, 3], [0, 5.001, 7]]), "2 of 6 values of y are wrong, the first at (1, 1): 5.001, expected 5, give or take 1e-06"),
    (y([[1, -2, 3], [0, 5, np.nan]]), "1 of 6 values of y are wrong, the first at (1, 2): nan, expected 6, give or take 1e-06"),
    (y([[1, -2, np.inf], [0, 5, 6]]), "1 of 6 values of y are wrong, the first at (0, 2): inf, expected 3, give or take 1e-06"),
    (y([[1, -2, 3]]), "y has shape (1, 3), expected (2, 3)"),
    (y(dtype=np.float64), "y is float64, expected float32"),
    ({}, "gave nothing, expected y"),
    ({"z": y()["y"]}, "gave z, expected y"),
    ({**y(), "z": y()["y"]}, "gave y, z, expected y"),
])
def test_wrong(got: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(Wrong) as raised:
        verify(got, ANSWER, lambda: BOUND)
    assert str(raised.value) == text


def test_one_bound_for_a_whole_array() -> None:
    """It bounds the root mean square of the errors; NaN is over it."""
    got = y()
    got["y"] += np.float32(0.001)
    assert verify(got, ANSWER, lambda: {"y": np.asarray(0.0011)}).tier == "bounded"
    for wrong, error in ((got["y"], 0.001), (np.where(got["y"] > 5, np.nan, got["y"]), np.nan)):
        with pytest.raises(Wrong) as raised:
            verify({"y": wrong}, ANSWER, lambda: {"y": np.asarray(0.0009)})
        assert str(raised.value) == f"y is wrong: the root mean square of its errors is {error:.3g}, at most 0.0009 is rounding"


def test_flushing_adds_to_the_bound() -> None:
    tiny = {"y": np.full((2, 3), 1e-40)}
    with pytest.raises(Wrong):
        verify(y(np.zeros((2, 3))), tiny, lambda: {"y": np.zeros((2, 3))})
    assert verify(y(np.zeros((2, 3))), tiny, lambda: {"y": np.zeros((2, 3))}, flushed=1e-39).tier == "bounded"


def test_the_rounding_bound() -> None:
    """gamma_K = K*u / (1 - K*u), times the magnitude."""
    assert rounding_bound(1000, {"y": np.array([2.0])})["y"][0] == pytest.approx(2 * 1000 * U / (1 - 1000 * U), rel=1e-15)
