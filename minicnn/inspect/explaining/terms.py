"""Term: one product of the sum behind a number. Panel: a part of an image or of a kernel, with some of its cells marked."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

PADDING = "padding"
MARGIN, MOST = 2, 12                                           # cells shown around a window, and at most in all, on each axis


@dataclass(frozen=True)
class Term:
    """product = left * right. place: where the two were read, by name, for instance {"c": 0, "kh": 1, "kw": 2, "padded": (1, 2)}."""
    place: dict[str, Any]
    left: float
    right: float
    product: float

    @classmethod
    def of(cls, left: Any, right: Any, **place: Any) -> Term:
        """The product in float64; where one of the two is not finite too, without a warning."""
        with np.errstate(invalid="ignore", over="ignore"):
            return cls(place, float(left), float(right), float(np.float64(left) * np.float64(right)))


@dataclass(eq=False)
class Panel:
    """A part of a plane, drawn cell by cell.

    values (rows, columns); start: the coordinates of its first cell; axes: their names; marked: cells that take part; hollow: cells without
    a value of their own, for the reason in `empty`; best: one cell that stands out, or None.
    """
    title: str
    values: np.ndarray
    marked: np.ndarray
    hollow: np.ndarray
    start: tuple[int, int] = (0, 0)
    axes: tuple[str, str] = ("h", "w")
    best: tuple[int, int] | None = None
    cut: bool = False                                          # whether there is more of the plane than is shown
    empty: str = PADDING

    def cropped(self) -> Panel:
        """The marked part, with one cell around it."""
        rows, columns = (_around(np.flatnonzero(self.marked.any(axis=1 - axis)), n, 1) for axis, n in enumerate(self.marked.shape))
        part = np.s_[rows, columns]
        best = None if self.best is None else (self.best[0] - rows.start, self.best[1] - columns.start)
        cut = self.cut or self.values[part].shape != self.values.shape
        return replace(self, values=self.values[part], marked=self.marked[part], hollow=self.hollow[part], best=best, cut=cut,
                       start=(self.start[0] + rows.start, self.start[1] + columns.start))


def panel(title: str, plane: np.ndarray, cells: Iterable[Sequence[int]], hollow: np.ndarray | None = None, origin: Sequence[int] = (0, 0),
          axes: tuple[str, str] = ("h", "w"), best: Sequence[int] | None = None, empty: str = PADDING) -> Panel:
    """The part of a plane around `cells`, (row, column) each; origin: what is subtracted from a row and a column to name them."""
    marked = np.zeros(plane.shape, bool)
    for cell in cells:
        marked[tuple(cell)] = True
    hollow = np.zeros(plane.shape, bool) if hollow is None else hollow
    rows, columns = (_part(np.flatnonzero(marked.any(axis=1 - axis)), n) for axis, n in enumerate(plane.shape))
    part = np.s_[rows, columns]
    inside = best is not None and rows.start <= best[0] < rows.stop and columns.start <= best[1] < columns.stop
    return Panel(title, plane[part], marked[part], hollow[part], (rows.start - origin[0], columns.start - origin[1]), axes,
                 (best[0] - rows.start, best[1] - columns.start) if inside and best is not None else None,
                 plane[part].shape != plane.shape, empty)


def _around(marked: np.ndarray, n: int, margin: int) -> slice:
    """From the first of the marked positions to the last, with a margin; all n where none is marked."""
    return slice(max(0, int(marked[0]) - margin), min(n, int(marked[-1]) + 1 + margin)) if len(marked) else slice(0, n)


def _part(marked: np.ndarray, n: int) -> slice:
    """What is shown of an axis: all of a short one, else the marked part with a margin, and no more than MOST cells."""
    if n <= MOST:
        return slice(0, n)
    first, last = (int(marked[0]), int(marked[-1])) if len(marked) else (0, 0)
    first = max(0, min(first - MARGIN, n - MOST))
    return slice(first, min(n, first + MOST, max(last + 1 + MARGIN, first + 1)))
