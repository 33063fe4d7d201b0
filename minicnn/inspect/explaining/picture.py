"""An explanation as a figure: the window on the image, the weights under it, the products, and their sum."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures
from minicnn.inspect.explaining.terms import Panel
from minicnn.inspect.explaining.text import short
from minicnn.inspect.explaining.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from minicnn.inspect.explaining.explanation import Explanation

CELL, LEAST, BARS = 0.42, 1.7, 30                             # inches a cell, inches a panel at least, terms in a bar chart


def draw(found: Explanation) -> Figure:
    """Panels where the layer has images, bars of the largest terms where it has none."""
    return _panels(found) if found.rows else _bars(found)


def _title(found: Explanation) -> str:
    return f"{found.name}: {found.of}, {found.function}"


def _last_line(found: Explanation) -> str:
    """The sum, and what the kernel gave."""
    kernel = f"kernel ({found.backend}): {number(found.kernel)};  error {number(found.error)}, bound {found.bound:.2g}"
    if found.function == "max_pool2d" and found.of == "output":
        return f"the largest of the candidates: {number(found.total)};  {kernel}"
    groups = {term.place[found.group] for term in found.terms} if found.group and found.rows else set()
    hidden = f" (drawn: {len(found.rows)} of {len(groups)})" if len(groups) > len(found.rows) else ""
    bias = f" + bias {number(found.bias)} = {number(found.total)}" if found.bias is not None else ""
    count = f"{len(found.terms)} {'term' if len(found.terms) == 1 else 'terms'}{hidden}"
    return f"{count}, sum {number(found.total - (found.bias or 0))}{bias};  {kernel}"


def _panels(found: Explanation) -> Figure:
    first = found.rows[0]
    widths = [max(LEAST, CELL * p.values.shape[1] + 0.7) for p in first]
    heights = [max(max(LEAST, CELL * p.values.shape[0]) for p in row) + 0.75 for row in found.rows]
    figure = figures.new(max(sum(widths) + 0.6, 6.0), sum(heights) + 0.9, _title(found))
    grid = figure.add_gridspec(len(found.rows), len(first), width_ratios=widths, height_ratios=heights)
    for i, row in enumerate(found.rows):
        for j, p in enumerate(row):
            _panel(figure.add_subplot(grid[i, j]), p)
    figure.supxlabel(_last_line(found), fontsize=9)
    return figure


def _panel(axes: Axes, p: Panel) -> None:
    from matplotlib.patches import Rectangle

    finite = np.where(np.isfinite(p.values), p.values, np.nan)
    visible = np.where(p.hollow & ~np.isfinite(p.values), np.nan, finite)
    limit = float(np.nanmax(np.abs(visible))) if np.isfinite(visible).any() else 0.0
    axes.imshow(visible, cmap="PuOr_r", vmin=-(limit or 1) * 1.6, vmax=(limit or 1) * 1.6, aspect="equal")
    rows, columns = p.values.shape
    font = 8 if max(len(short(float(value))) for value in p.values.flat) <= 4 else 6
    for i, j in np.ndindex(rows, columns):
        if p.hollow[i, j]:
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="#e6e6e6", edgecolor="#b0b0b0", hatch="////", linewidth=0))
        if p.marked[i, j] and not p.marked.all():
            axes.add_patch(Rectangle((j - 0.44, i - 0.44), 0.88, 0.88, fill=False, edgecolor=figures.BLACK, linewidth=1.5))
        if p.best == (i, j):
            axes.add_patch(Rectangle((j - 0.4, i - 0.4), 0.8, 0.8, fill=False, edgecolor=figures.BLACK, linewidth=4))
        text = "" if p.hollow[i, j] and (p.values[i, j] == 0 or math.isinf(p.values[i, j])) else short(float(p.values[i, j]))
        axes.text(j, i, text, ha="center", va="center", fontsize=font)
    axes.set_title(p.title + (" (part)" if p.cut else ""), fontsize=9)
    axes.set_xticks(range(columns), [str(p.start[1] + j) for j in range(columns)], fontsize=7)
    axes.set_yticks(range(rows), [str(p.start[0] + i) for i in range(rows)], fontsize=7)
    axes.set_xlabel(p.axes[1], fontsize=8)
    axes.set_ylabel(p.axes[0], fontsize=8)
    axes.tick_params(length=0)


def _bars(found: Explanation) -> Figure:
    terms = [term for term in found.terms if math.isfinite(term.product)]
    order = sorted(range(len(terms)), key=lambda i: -abs(terms[i].product))[:BARS]
    chosen = [terms[i] for i in sorted(order)]
    figure = figures.new(7.5, max(2.0, 0.24 * len(chosen) + 1.5), _title(found))
    axes: Any = figure.add_subplot()
    axes.barh(range(len(chosen)), [t.product for t in chosen], color=[figures.BLUE if t.product >= 0 else figures.RED for t in chosen])
    labels = [", ".join(f"{key}={value}" for key, value in t.place.items() if not isinstance(value, tuple)) for t in chosen]
    axes.set_yticks(range(len(chosen)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color=figures.BLACK, linewidth=0.8)
    part = f" (the {len(chosen)} largest of {len(found.terms)})" if len(chosen) < len(found.terms) else ""
    axes.set_xlabel(f"{found.factors[0]} * {found.factors[1]}{part}", fontsize=9)
    figure.supxlabel(_last_line(found), fontsize=9)
    return figure
