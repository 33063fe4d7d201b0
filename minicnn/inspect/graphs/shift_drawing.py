"""Error against shift, as a curve."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.inspect.graphs.shifts import Shifts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.graphs.variants import ShiftStudy

STYLES = ((figures.BLUE, "o", "-"), (figures.ORANGE, "s", "--"), (figures.GREEN, "^", "-."), (figures.RED, "D", ":"),
          (figures.PURPLE, "v", "-"))


def draw(results: Sequence[tuple[str, Shifts]], title: str) -> Figure:
    """One panel; of a map with a line each for the interior and the border."""
    figure = figures.new(6.5, 4, title)
    axes = figure.add_subplot()
    _, found = results[0]
    parts = ("interior", "border", "all") if found.spatial else ("all",)
    for part, style in zip(parts, STYLES, strict=False):
        _line(axes, found, part, part, style)
    _finish(axes, found, "")
    return figure


def study(found: ShiftStudy) -> Figure:
    """Equivariance of interior units on the left, invariance on the right."""
    changes = any(result.rows[0].changed is not None for result in found.invariance.values()) and len(found.invariance) == 1
    panels = 3 if changes else 2
    figure = figures.new(4.6 * panels, 4, found.title)
    grid = figure.subplots(1, panels)
    for k, (name, result) in enumerate(found.equivariance.items()):
        _line(grid[0], result, "interior", f"{name}" if len(found.equivariance) > 1 else "interior", STYLES[k])
    if len(found.equivariance) == 1:
        _line(grid[0], result, "border", "border", STYLES[1])
    _finish(grid[0], result, "equivariance" + (", interior" if len(found.equivariance) > 1 else f" of {result.layer}"))
    for k, (name, result) in enumerate(found.invariance.items()):
        _line(grid[1], result, "all", name if len(found.invariance) > 1 else "output", STYLES[k])
    _finish(grid[1], result, "invariance")
    if changes:
        _line(grid[2], result, "changed", "", STYLES[3])
        _finish(grid[2], result, "another class")
        grid[2].set_ylabel("part of the images", fontsize=9)
    return figure


def _line(axes: Any, result: Shifts, part: str, label: str, style: tuple[str, str, str]) -> None:
    colour, marker, line = style
    rows = [row for row in result.rows if getattr(row, part) is not None]
    if not rows:
        return
    axes.plot([row.shift for row in rows], [getattr(row, part) for row in rows], line, marker=marker, color=colour, label=label,
              markersize=5)


def _finish(axes: Any, result: Shifts, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(f"shift along the {result.axis} in pixels", fontsize=9)
    axes.set_ylabel("||difference|| / ||expected||", fontsize=9)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    if axes.get_legend_handles_labels()[1] not in ([], [""]):
        axes.legend(fontsize=8)
