"""Lattice: which pixels of an endless image the units of an endless map see, on one axis, where that repeats regularly.

Unit o sees first(o)..last(o), padding counted as pixels. After convolutions and poolings all units see alike: period 1, each a jump
further. After upsampling they alternate: with period P, unit o + P sees what unit o sees, `advance` pixels further on.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Span = tuple[int, int] | None                                  # first and last pixel; None: sees nothing


@dataclass(frozen=True)
class Lattice:
    """spans: what units 0..P-1 see. advance: in pixels, from a unit to the one P further. axis: of the tensor, along which units lie."""
    spans: tuple[Span, ...]
    advance: int
    axis: int

    @classmethod
    def of_image(cls, axis: int) -> Lattice:
        """Every pixel sees itself."""
        return cls(((0, 0),), 1, axis)

    def __call__(self, o: int) -> Span:
        """What unit o sees; o may lie outside the map."""
        turns, phase = divmod(o, len(self.spans))
        return _moved(self.spans[phase], turns * self.advance)

    @property
    def jump(self) -> Fraction:
        """Pixels from a unit to the next, on average."""
        return Fraction(self.advance, len(self.spans))

    @property
    def size(self) -> int:
        """The pixels that a unit spans; where units differ, the most."""
        return max((span[1] - span[0] + 1 for span in self.spans if span), default=0)

    def stepped(self, start: int, step: int, offsets: Sequence[int] = (0,)) -> Lattice:
        """The lattice of units that read those at start + o*step + j, for each j of the offsets: a window, or a slice."""
        period = len(self.spans) // math.gcd(len(self.spans), step)
        spans = tuple(_hull(self(start + o * step + j) for j in offsets) for o in range(period))
        return Lattice(spans, self.advance * step * period // len(self.spans), self.axis)

    def spread(self, kernel: int, stride: int, dilation: int, padding: int) -> Lattice:
        """That of a transposed convolution: unit o reads (o + padding - j*dilation) / stride for those j where it is whole."""
        period = len(self.spans) * stride
        read = [[(o + padding - j * dilation) // stride for j in range(kernel) if (o + padding - j * dilation) % stride == 0]
                for o in range(period)]
        return Lattice(tuple(_hull(self(h) for h in hs) for hs in read), self.advance, self.axis)._simplest()

    def repeated(self, factor: int, offsets: Sequence[Sequence[int]]) -> Lattice:
        """That of `factor` units for each: unit o reads o // factor + j, for each j of offsets[o % factor]."""
        period = len(self.spans) * factor
        spans = tuple(_hull(self(o // factor + j) for j in offsets[o % factor]) for o in range(period))
        return Lattice(spans, self.advance, self.axis)._simplest()

    def along(self, axis: int) -> Lattice:
        return Lattice(self.spans, self.advance, axis)

    def _simplest(self) -> Lattice:
        """The same with the shortest period."""
        P = len(self.spans)
        for p in (p for p in range(1, P) if P % p == 0 and self.advance * p % P == 0):
            short = Lattice(self.spans[:p], self.advance * p // P, self.axis)
            if all(short(o) == self.spans[o] for o in range(P)):
                return short
        return self


def hull(lattices: Iterable[Lattice | None]) -> Lattice | None:
    """What units that read the same place of several maps see; None where they move at different speeds."""
    found = list(lattices)
    regular = [one for one in found if one is not None]
    if not regular or len(regular) < len(found) or len({(one.jump, one.axis) for one in regular}) > 1:
        return None
    period = math.lcm(*(len(one.spans) for one in regular))
    spans = tuple(_hull(one(o) for one in regular) for o in range(period))
    return Lattice(spans, int(regular[0].jump * period), regular[0].axis)._simplest()


def _moved(span: Span, by: int) -> Span:
    return span and (span[0] + by, span[1] + by)


def _hull(spans: Iterable[Span]) -> Span:
    seen = [span for span in spans if span]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None
