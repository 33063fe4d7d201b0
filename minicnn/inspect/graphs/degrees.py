"""Degrees: how many units have how many edges."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Degrees:
    """counts: degree -> units, by rising degree."""
    counts: dict[int, int]

    @classmethod
    def of(cls, degrees: np.ndarray) -> Degrees:
        """From the degree of every unit.

        >>> from minicnn.inspect.graphs.degrees import Degrees
        >>> found = Degrees.of(np.array([4, 6, 4, 6, 9, 6, 4, 6, 4]))       # a 3x3 convolution over 3x3 pixels, padded by 1
        >>> found.counts, found.least, found.most, found.edges
        ({4: 4, 6: 4, 9: 1}, 4, 9, 49)
        """
        counts = np.bincount(degrees)
        return cls({int(degree): int(counts[degree]) for degree in np.flatnonzero(counts)})

    @property
    def units(self) -> int:
        return sum(self.counts.values())

    @property
    def edges(self) -> int:
        return sum(degree * units for degree, units in self.counts.items())

    @property
    def least(self) -> int:
        return min(self.counts, default=0)

    @property
    def most(self) -> int:
        """That of units whose window lies inside the image altogether, if there are any."""
        return max(self.counts, default=0)

    @property
    def mean(self) -> float:
        return self.edges / self.units if self.units else 0.0

    def text(self) -> str:
        """The range, such as 4..9."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,}..{self.most:,}"
