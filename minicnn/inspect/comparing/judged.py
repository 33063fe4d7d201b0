"""One array of each side, judged: how far apart they are, as a multiple of what rounding allows."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Judged:
    """The element of one array where the two sides are furthest apart, measured by what rounding allows there.

    layer, direction ("forward" or "backward"), what ("output", "gradient of weight", ...), index: where.
    a, b, exact: the values of the sides, and of the operation in float64 with A's weights. ratio: |a - b| / (2 * bound), for each side may
    be off by the bound. error_a, error_b: |value - exact| / bound. largest: the largest |a - b| of all elements.
    problem: why the arrays cannot be compared at all; the ratio is infinite then. rough: the bound is a rule of thumb.
    """
    layer: str
    direction: str
    what: str
    index: tuple[int, ...] = ()
    a: float = 0.0
    b: float = 0.0
    exact: float = 0.0
    ratio: float = 0.0
    error_a: float = 0.0
    error_b: float = 0.0
    largest: float = 0.0
    problem: str = ""
    rough: bool = False

    @property
    def place(self) -> str:
        """Layer, pass and element in words."""
        element = f"{self.what}[{', '.join(map(str, self.index))}]" if self.index else self.what
        return f"layer {self.layer}, {self.direction}, {element}" if not self.problem else f"layer {self.layer}, {self.direction}"


def judge(layer: str, direction: str, what: str, a: Any, b: Any, exact: Any, bound: Any, rough: bool = False) -> Judged:
    """Compare a with b. Equal NaNs and equal infinities are equal."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return Judged(layer, direction, what, ratio=np.inf, problem=f"{what} has shape {a.shape} against {b.shape}")
    if not a.size:
        return Judged(layer, direction, what)
    exact, bound = np.broadcast_to(exact, a.shape), np.broadcast_to(bound, a.shape)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        apart = _apart(a, b)
        ratio = np.where(apart == 0, 0, apart / (2 * np.where(np.isnan(bound), 0, bound)))
    index = tuple(int(i) for i in np.unravel_index(np.argmax(ratio), a.shape))
    values = float(a[index]), float(b[index]), float(exact[index]), float(ratio[index])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error_a, error_b = (float(_apart(v[index], exact[index]) / bound[index]) for v in (a, b))
    return Judged(layer, direction, what, index, *values, error_a, error_b, float(apart.max()), rough=rough)


def _apart(a: Any, b: Any) -> Any:
    """|a - b| in float64: 0 for equal infinities and for two NaN, infinite for one NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    apart = np.abs(a - b)
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
