"""Cone: what the values of one tensor see of the input image."""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from minicnn.inspect.receptive_fields.boxes import NOTHING, Boxes
from minicnn.inspect.receptive_fields.lattice import Lattice

AXES = ("height", "width")
Number = int | float


class Box(NamedTuple):
    """Pixels top..bottom of left..right, all included."""
    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top + 1, self.right - self.left + 1


@dataclass(eq=False)
class Cone:
    """boxes: of every value, exactly, and within the image. lattices: (height, width), where units lie regularly: padding and all.

    image: (H, W). note: said where an operation is not known, so that its values are taken to see the whole image.

    All that follows is (height, width), in pixels of the input; pixel i has its centre at i.
    """
    boxes: Boxes
    lattices: tuple[Lattice | None, Lattice | None]
    image: tuple[int, int]
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.boxes.shape

    @property
    def empty(self) -> bool:
        """Whether nothing here depends on the input."""
        return bool((self.boxes.sides == NOTHING).all())

    @property
    def size(self) -> tuple[int, int]:
        """What a unit spans, padding included; where units differ, the most. Of units in no regular order: the most pixels of the image."""
        return self._size(0), self._size(1)

    def _size(self, axis: int) -> int:
        if lattice := self.lattices[axis]:
            return lattice.size
        first, last = self.boxes.sides[2 * axis], -self.boxes.sides[2 * axis + 1]
        return int(np.where(first == NOTHING, 0, last - first + 1).max(initial=0))

    @property
    def jump(self) -> tuple[Number | None, Number | None]:
        """From a unit to the next, on average; None where units lie in no regular order."""
        rows, columns = self.lattices
        return None if rows is None else plain(rows.jump), None if columns is None else plain(columns.jump)

    @property
    def centre(self) -> tuple[Number | None, Number | None]:
        """Of what unit (0, 0) sees, padding included; None when it sees nothing, and for features in a row that see different things."""
        return self._centre(0), self._centre(1)

    def _centre(self, axis: int) -> Number | None:
        if lattice := self.lattices[axis]:
            span = lattice(0)
            return None if span is None else plain(Fraction(sum(span), 2))
        if 0 in self.shape or (len(self.shape) < 3 and self.boxes.sides.size > 4):    # features in a row, which see this and that
            return None
        box = self.box((0,) * min(len(self.shape), 2))
        return None if box is None else plain(Fraction(box[2 * axis] + box[2 * axis + 1], 2))

    @property
    def whole(self) -> bool:
        """Whether every value sees the whole image."""
        H, W = self.image
        return bool((self.boxes.sides == np.reshape([0, 1 - H, 0, 1 - W], (4, *(1 for _ in self.shape)))).all())

    def ends(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """first[o] and last[o] pixel that row o (axis 0) or column o (axis 1) of the units sees, within the image; last < first: none."""
        ndim = len(self.shape)
        lattice = self.lattices[axis]
        own = lattice.axis if lattice else ndim - 2 + axis
        if own < 0:
            raise ValueError(f"units of shape {self.shape} lie in no rows and columns")
        sides = self.boxes.along(own).min(axis=tuple(i + 1 for i in range(ndim) if i != own), initial=NOTHING)
        return sides[2 * axis], -sides[2 * axis + 1]

    def box(self, unit: tuple[int, ...]) -> Box | None:
        """The pixels of the image that a unit sees; None: none. unit: its index along the last axes, such as (oh, ow), all others together.

        Raises ValueError for a unit that does not exist.
        """
        shape = self.shape[len(self.shape) - len(unit):] if len(unit) <= len(self.shape) else ()
        if len(shape) != len(unit) or any(not 0 <= o < n for o, n in zip(unit, shape, strict=True)):
            raise ValueError(f"there is no unit {unit} in an output of shape {self.shape}: give (row, column), or the index along its "
                             "last axes, counted from 0")
        place: tuple[Any, ...] = (..., *unit)
        sides = self.boxes.along(*range(len(self.shape) - len(unit), len(self.shape)))[place]
        top, bottom, left, right = sides.reshape(4, -1).min(axis=1, initial=NOTHING).tolist()
        return None if top == NOTHING else Box(top, -bottom, left, -right)

    def unclipped(self, unit: tuple[int, int]) -> Box | None:
        """The same with padding counted as pixels, below 0 and beyond the image; None where units lie in no regular order."""
        rows, columns = self.lattices
        ndim = len(self.shape)
        if rows is None or columns is None or {rows.axis, columns.axis} != {ndim - 2, ndim - 1}:
            return None
        oh, ow = unit[rows.axis - ndim], unit[columns.axis - ndim]
        spans = rows(oh), columns(ow)
        return None if spans[0] is None or spans[1] is None else Box(*spans[0], *spans[1])


def plain(number: Fraction) -> Number:
    """As an int where it is one, otherwise as a float."""
    return int(number) if number.denominator == 1 else float(number)
