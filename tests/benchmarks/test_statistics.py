"""Quartiles, the median's interval against its exact coverage, and the verdicts."""
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.benchmarks.statistics import compare, geometric_mean, median_interval, quartiles

times = st.floats(1e-7, 1e3)


def test_quartiles_of_known_samples() -> None:
    assert quartiles([5, 1, 3, 2, 4]) == (2, 3, 4)
    assert quartiles([1, 2]) == (1.25, 1.5, 1.75)
    assert quartiles([7]) == (7, 7, 7)
    with pytest.raises(ValueError, match=r"^quartiles: no times$"):
        quartiles([])


@given(st.lists(times, min_size=1, max_size=20))
def test_quartiles_are_numpys(sample: list[float]) -> None:
    np.testing.assert_allclose(quartiles(sample), np.quantile(sample, [0.25, 0.5, 0.75]), rtol=1e-12)


def rank(n: int) -> int:
    """The k for which the interval of n values goes from the k-th smallest to the k-th largest."""
    low, high = median_interval([float(i) for i in reversed(range(n))])
    assert low + high == n - 1
    return int(low) + 1


def coverage(n: int, k: int) -> float:
    """How likely at least k of n values fall on either side of the true median."""
    return sum(math.comb(n, below) for below in range(k, n - k + 1)) / 2**n


@pytest.mark.parametrize("n", range(6, 60))
def test_the_interval_is_the_narrowest_that_covers_the_median(n: int) -> None:
    k = rank(n)
    assert coverage(n, k) >= 0.95
    assert k + 1 > n - k or coverage(n, k + 1) < 0.95


def test_the_interval_of_tables() -> None:
    """Ranks as in textbooks' tables of the sign test, at 5 % two-sided."""
    assert {n: rank(n) for n in (6, 8, 9, 12, 15, 17, 20, 25, 50)} == {6: 1, 8: 1, 9: 2, 12: 3, 15: 4, 17: 5, 20: 6, 25: 8, 50: 18}


@pytest.mark.parametrize("n", [6, 9, 12])
def test_every_way_to_fall_around_the_median(n: int) -> None:
    """Each value is above or below the true median 0, all 2^n ways equally likely: count those whose interval holds 0."""
    held = sum(low <= 0 <= high for signs in itertools.product((-1, 1), repeat=n)
               for low, high in [median_interval([sign * (i + 1) for i, sign in enumerate(signs)])])
    assert held / 2**n == coverage(n, rank(n)) >= 0.95


@pytest.mark.parametrize("n", range(1, 6))
def test_a_few_values_give_their_whole_range(n: int) -> None:
    assert rank(n) == 1


def test_another_coverage_is_kept_too() -> None:
    assert median_interval(range(9), coverage=0.99) == (0, 8)
    assert median_interval(range(9), coverage=0.5) == (2, 6)


@pytest.mark.parametrize(("ratios", "verdict"), [
    ([1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.0], "SAME"),
    ([1.01, 1.02, 1.01, 1.02, 1.01, 1.02, 1.01], "SAME"),              # always faster, by nothing that matters
    ([1.01, 1.05, 1.02, 1.04, 1.03, 1.02, 1.02], "FASTER"),            # the interval passes 3 %, and does not reach 1
    ([2.0] * 7, "FASTER"),
    ([0.5] * 6, "SLOWER"),
    ([0.96, 0.99, 0.97, 0.98, 0.95, 0.98, 0.96], "SLOWER"),
    ([0.9, 1.2, 1.1, 1.1, 1.2, 1.1, 1.1], "UNCLEAR"),
    ([2.0] * 5, "UNCLEAR"),                                            # too few rounds
    ([1.0] * 5, "UNCLEAR"),
])
def test_verdicts(ratios: list[float], verdict: str) -> None:
    found = compare(ratios, [1.0] * len(ratios))
    assert found.verdict == verdict
    assert found.value == np.median(ratios)
    assert (found.low, found.high) == (min(ratios), max(ratios))       # up to eight rounds, the whole range


@given(st.lists(times, min_size=6, max_size=9))
def test_a_slow_minute_that_hits_both_cancels(slowness: list[float]) -> None:
    found = compare([2 * s for s in slowness], slowness)
    assert (found.value, found.low, found.high, found.verdict) == (2, 2, 2, "FASTER")


def test_rounds_must_pair() -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter than argument 1"):
        compare([1.0, 1.0], [1.0])


def test_the_geometric_mean_balances_twice_and_half() -> None:
    assert geometric_mean([2, 0.5]) == pytest.approx(1)
    assert geometric_mean([1, 10, 100]) == pytest.approx(10)
