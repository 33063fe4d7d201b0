"""Medians, quartiles, and whether one thing is faster than another beyond the noise."""
from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SAME = 1.03         # within 3 % of each other is the same speed
COVERAGE = 0.95     # how sure the interval of a ratio should be of holding the true median
ENOUGH = 6          # rounds: not even the range of fewer is an interval of that coverage


@dataclass(frozen=True)
class Ratio:
    """How many times as fast: the median over the rounds, an interval that holds the true median, and the verdict in a word."""
    value: float
    low: float
    high: float
    verdict: str


def quartiles(times: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third quartile (linear between neighbours, as NumPy's default)."""
    if not times:
        raise ValueError("quartiles: no times")
    if len(times) == 1:
        return times[0], times[0], times[0]
    q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
    return q1, median, q3


def median_interval(values: Sequence[float], coverage: float = COVERAGE) -> tuple[float, float]:
    """An interval for the median of whatever the values were drawn from, whatever its shape (the sign test's).

    Each value is above the true median with probability 1/2, so the k-th smallest and k-th largest of n enclose it unless fewer than
    k values fall on one side: with probability 1 - 2 * P(Binomial(n, 1/2) < k). k is the largest that gives `coverage`; where even
    the whole range cannot (n < 6 for 95 %), the range is returned.
    """
    ordered, n = sorted(values), len(values)
    k, outside = 1, 2 * 0.5**n                                  # outside: the chance that the interval misses the median
    while k < n // 2 and outside + 2 * math.comb(n, k) * 0.5**n <= 1 - coverage:
        outside += 2 * math.comb(n, k) * 0.5**n
        k += 1
    return ordered[k - 1], ordered[n - k]


def compare(reference: Sequence[float], times: Sequence[float]) -> Ratio:
    """How many times as fast as the reference `times` is, and the verdict.

    The i-th values are neighbours in time, so a slow minute hits both and cancels in the ratio. The verdict looks at the interval of
    the median ratio: SAME if it lies within 3 % of 1, FASTER or SLOWER if it lies on one side of 1, else UNCLEAR (also with fewer
    than six rounds, whose range is no 95 % interval).
    """
    ratios = [r / t for r, t in zip(reference, times, strict=True)]
    low, high = median_interval(ratios)
    if len(ratios) < ENOUGH:
        verdict = "UNCLEAR"
    elif low >= 1 / SAME and high <= SAME:
        verdict = "SAME"
    elif low > 1:
        verdict = "FASTER"
    elif high < 1:
        verdict = "SLOWER"
    else:
        verdict = "UNCLEAR"
    return Ratio(statistics.median(ratios), low, high, verdict)


def geometric_mean(values: Sequence[float]) -> float:
    """The mean for ratios: 2 and 1/2 balance."""
    return statistics.geometric_mean(values)
