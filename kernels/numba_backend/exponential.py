"""exp of many numbers in place, for softmax: the numbers are at most 0."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels.numba_backend.jit import jit

ONE, ZERO, LEAST = np.float32(1), np.float32(0), np.float32(-87.336544)      # e^LEAST is the smallest normal number
LOG2E, LN2_HIGH, LN2_LOW = np.float32(1 / math.log(2)), np.float32(0.693359375), np.float32(-2.12194440e-4)
ROUND = np.float32(1.5 * 2**23)                                  # float32 near it have no fraction: adding it rounds to an integer
C2, C3, C4, C5, C6, C7 = (np.float32(c) for c in (
    0.50000001201, 0.16666665459, 0.041665795894, 0.0083334519073, 0.0013981999507, 0.00019875691500))
BIAS, FRACTION_BITS = np.int32(127), np.int32(23)


@jit()
def exp32(a: Any) -> None:
    """a = exp(a) with an error below 1 unit in the last place; what would be subnormal is 0. NaN stays NaN. For numbers below 88.

        x = n ln 2 + r with an integer n and |r| <= ln(2) / 2;    exp(x) = 2^n (1 + r + c2 r² + ... + c7 r^7)

    Fast because it is arithmetic alone, no branch and no table, so that it works on a vector of numbers at a time: 2^n is n moved to where
    a float32 keeps its exponent, which moves ROUND's own bits out. ln 2 comes in two parts, of which n times the first is exact. The
    coefficients are those of Moshier's Cephes library, expf.
    """
    for j in range(a.size):
        x = a[j]
        shifted = x * LOG2E + ROUND
        n = shifted - ROUND
        r = x - n * LN2_HIGH - n * LN2_LOW
        polynomial = (((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * (r * r) + r + ONE
        power = np.int32((np.float32(shifted).view(np.int32) + BIAS) << FRACTION_BITS).view(np.float32)
        a[j] = ZERO if x < LEAST else polynomial * power


@jit()
def exp64(a: Any) -> None:
    """a = exp(a), number by number."""
    for j in range(a.size):
        a[j] = math.exp(a[j])
