"""Line charts as SVG, drawn here: sharp at any size, in the colours of the page, light or dark, and a few kilobytes each."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minicnn.report.markup import Html, element

W, H = 360, 220                                                # units of the drawing
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 28
MOST_DOTS = 60                                                 # more would run into one another
MOST_POINTS = 1000


@dataclass(frozen=True)
class Line:
    """label: in the legend. points: (x, y). style: a class of the page's style sheet, which has the colour."""
    label: str
    points: Sequence[tuple[float, float]]
    style: str


def line_chart(title: str, lines: Sequence[Line], text: Callable[[float], str], mark: float | None = None, zero: bool = False) -> Html:
    """A figure: title and legend above, epochs from left to right. text: of a value. mark: an epoch to point at. zero: hold 0."""
    lines = [line for line in lines if line.points]
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    if not xs:
        return Html("")
    base = [0.0] if zero else []
    marks = ticks(min(base + ys), max(base + ys))
    low, high = min(marks[0], *ys), max(marks[-1], *ys)
    first, last = min(xs), max(xs)

    def across(x: float) -> float:
        return round(LEFT + (W - LEFT - RIGHT) * ((x - first) / (last - first) if last > first else 0.5), 1)

    def down(y: float) -> float:
        return round(TOP + (H - TOP - BOTTOM) * (1 - (y - low) / (high - low)), 1)

    drawn = [_grid_line(down(y), text(y)) for y in marks]
    drawn += [element("text", f"{x:g}", x=across(x), y=H - BOTTOM + 16, text_anchor="middle") for x in whole_ticks(first, last)]
    if mark is not None and first <= mark <= last:
        drawn.append(element("line", x1=across(mark), x2=across(mark), y1=TOP, y2=H - BOTTOM, class_="mark"))
    for line in lines:
        drawn += _drawn(line, across, down, text)
    said = "; ".join(f"{line.label or title}: {text(line.points[0][1])} in epoch {line.points[0][0]:g}, "
                     f"{text(line.points[-1][1])} in epoch {line.points[-1][0]:g}" for line in lines)
    picture = element("svg", *drawn, viewBox=f"0 0 {W} {H}", role="img", aria_label=f"{title} after each epoch. {said}")
    keys = [element("span", element("i", class_=f"key {line.style}"), line.label) for line in lines if line.label]
    return element("figure", element("figcaption", element("b", title), *keys), picture, class_="chart")


def _grid_line(y: float, text: str) -> Html:
    return element("g", element("line", x1=LEFT, x2=W - RIGHT, y1=y, y2=y, class_="grid"),
                   element("text", text, x=LEFT - 6, y=y + 4, text_anchor="end"))


def _drawn(line: Line, across: Callable[[float], float], down: Callable[[float], float], text: Callable[[float], str]) -> list[Html]:
    """The line, with a dot for each point that says what it is when the mouse rests on it, unless there are too many."""
    step = -(-len(line.points) // MOST_POINTS)
    points = [*line.points[::step], *([line.points[-1]] if (len(line.points) - 1) % step else [])]
    path = element("polyline", points=" ".join(f"{across(x)},{down(y)}" for x, y in points), class_=f"line {line.style}")
    if len(points) > MOST_DOTS:
        return [path]
    return [path, *(element("circle", element("title", f"epoch {x:g}: {text(y)}{f' ({line.label})' if line.label else ''}"),
                            cx=across(x), cy=down(y), r=3, class_=line.style) for x, y in points)]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from about `low` to at least `high`, at most `most` steps apart; two of them at least.

    >>> ticks(0.12, 0.71), ticks(3, 3)
    ([0.0, 0.2, 0.4, 0.6, 0.8], [2.5, 2.75, 3.0, 3.25, 3.5])
    """
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-100):
        spare = abs(high) / 6 or 0.5
        low, high = low - spare, high + spare
    step = next(m * 10.0**power for power in range(math.floor(math.log10((high - low) / most)) - 1, 400) for m in (1, 2, 2.5, 5)
                if (high - low) / (m * 10.0**power) <= most - 1)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(start, end + 1)]


def whole_ticks(first: float, last: float, most: int = 6) -> list[int]:
    """Whole numbers from first to last, with the first and evenly apart.

    >>> whole_ticks(1, 20), whole_ticks(1, 1)
    ([1, 5, 10, 15, 20], [1])
    """
    a, b = math.ceil(first), math.floor(last)
    step = next(m * 10**power for power in range(20) for m in (1, 2, 5) if (b - a) / (m * 10**power) <= most - 1)
    return sorted({a, *(n for n in range(a - a % step, b + 1, step) if n - a > step / 2)}) if step > 1 else list(range(a, b + 1))
