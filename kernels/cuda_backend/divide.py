"""Division by multiplication: the host's part of divide.cuh."""
from __future__ import annotations


def divisor(d: int) -> tuple[int, int]:
    """(multiplier, shift) with which n // d == (2 * n * multiplier >> 32) >> shift for 0 <= n < 2^31 and 1 <= d < 2^31.

    With 2^shift >= d, the multiplier ceil(2^(31 + shift) / d) is at most d / 2^(31 + shift) too large in proportion (Granlund and
    Montgomery, 1994). It has 32 bits, and is given as a signed int.
    """
    shift = (d - 1).bit_length()
    multiplier = -(-(1 << (31 + shift)) // d)
    return multiplier - (1 << 32 if multiplier >= 1 << 31 else 0), shift
