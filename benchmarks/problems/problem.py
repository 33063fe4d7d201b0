"""What every kind of problem has: a string that names it, inputs, right answers, and counts of what it takes."""
from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]
U = 2.0**-24                                  # float32's unit roundoff


class Problem(Protocol):
    """One shape of one operation. str(problem) is its problem string; `parse` reads it back."""
    family: ClassVar[str]                     # conv, pool, ...: the command, and the name of its result file
    bound: ClassVar[str]                      # "compute" or "memory": what its speed is held against
    directions: ClassVar[tuple[str, ...]]     # what can be computed: forward, and the gradients

    def arrays(self, seed: int) -> Arrays:
        """The inputs of every direction, float32 (labels int64), by name. Where the operation only multiplies and adds they are
        integers, so small that every sum is exact in float32."""

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """The right outputs, by name, computed in float64 by other code than any contestant's."""

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        """For each output how far float32 may be off: value by value, or one number that bounds the root mean square over the array."""

    def macs(self, direction: str) -> int:
        """Multiply-adds (1 MAC = 2 FLOP); for operations that hardly multiply, half of the floating-point operations."""

    def bytes(self, direction: str) -> int:
        """Bytes read and written when every array passes through memory once."""


def small_integers(shape: tuple[int, ...], most: int, random: Any) -> np.ndarray:
    """Integers in -most..most, as float32."""
    return random.integers(-most, most + 1, shape).astype(np.float32)


def exact_range(terms: int) -> int:
    """The largest a up to 8 for which `terms` products of numbers in -a..a always add up below 2^24: exactly, in float32."""
    return max(1, int(min(8, (2**24 / max(terms, 1)) ** 0.5)))


def rounding_bound(roundings: int, magnitudes: Arrays) -> Arrays:
    """gamma_K * magnitude with gamma_K = K*u / (1 - K*u), u = 2^-24: the bound of rounding analysis (Higham, 2002, section 3.1).

    K: how many roundings an output goes through, in any order. magnitudes: the output's formula with every term's absolute value.
    """
    return {name: roundings * U / (1 - roundings * U) * magnitude for name, magnitude in magnitudes.items()}
