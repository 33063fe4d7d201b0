"""One request of a warp for global memory and one for shared memory, drawn for each rung: which sectors, which banks."""
from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.benchmarks.simulation.requests import MOST_LINES, WORDS, Grid, telling
from minicnn.benchmarks.simulation.run import Simulated
from minicnn.kernels.cuda_backend.simulator.counts import BANK, SECTOR, WARP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, ROW, DPI = 15.0, 0.34, 110    # inches of the picture and of a row of words; dots an inch
DARK = 14                        # threads below that have dark colours


def save(path: str | Path, found: Sequence[Simulated]) -> Path:
    """Draw them into a file, whose name decides the format (.png, .svg, .pdf). Raises ImportError without matplotlib."""
    figures.check_format(path)
    return figures.save(draw(found), path, DPI)


def draw(found: Sequence[Simulated]) -> Figure:
    """A rung a row: on the left the request for global memory that touches the most sectors, on the right that for shared memory that
    takes the most wavefronts, of warp 0 of the kernel that makes the product."""
    pairs = [(s, telling(s, "global"), telling(s, "shared")) for s in found]
    heights = [2.8 + max(len(g.rows) + (g.left_out > 0) for g in (a, b) if g) if a or b else 3.0 for _, a, b in pairs]
    figure = figures.new(WIDTH, ROW * sum(heights) + 0.9)
    figure.suptitle(f"{found[0].problem}, {found[0].direction}: what one warp asks of memory. Each cell is a word of 4 bytes; number and "
                    "colour are the thread that asks for it.", fontsize=11)
    grid = figure.subplots(len(pairs), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, (s, left, right) in zip(grid, pairs, strict=True):
        _panel(row[0], s.name, left, "no kernel of its own reads global memory")
        _panel(row[1], s.name, right, "it does not use shared memory")
    return figure


def _panel(axes: Any, name: str, g: Grid | None, otherwise: str) -> None:
    axes.set_axis_off()
    if g is None:
        axes.set_title(f"{name}: {otherwise}", fontsize=9, loc="left")
        return
    rows = len(g.rows) + (g.left_out > 0)
    axes.set(xlim=(-2.6, WORDS), ylim=(rows + 0.1, -1.1))
    axes.set_title("\n".join(textwrap.wrap(f"{name}: {g.title}", 105)), fontsize=9, loc="left")
    for i, (label, words) in enumerate(zip(g.rows, g.lanes, strict=True)):
        axes.text(-0.3, i + 0.5, label, ha="right", va="center", fontsize=7)
        for j, lanes in enumerate(words):
            _cell(axes, j, i, lanes)
    _scale(axes, g, len(g.rows))
    if g.left_out:
        axes.text(0, rows - 0.5, f"and {g.left_out} more", va="center", fontsize=8, style="italic")


def _cell(axes: Any, x: int, y: int, lanes: list[int]) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colour = colormaps["viridis"](0.25 + 0.75 * lanes[0] / WARP) if lanes else "#f2f2f2"
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.6))
    if lanes:
        axes.text(x + 0.5, y + 0.5, str(lanes[0]) if len(lanes) == 1 else f"×{len(lanes)}", ha="center", va="center", fontsize=6,
                  color="white" if lanes[0] < DARK else "black")


def _scale(axes: Any, g: Grid, rows: int) -> None:
    """Above the words: the sectors that they lie in, outlined where any of theirs is asked for, or the banks."""
    from matplotlib.patches import Rectangle

    if g.request.space == "shared":
        axes.text(-0.3, -0.45, "bank", ha="right", va="center", fontsize=7)
        for bank in range(WORDS):
            axes.text(bank + 0.5, -0.45, str(bank), ha="center", va="center", fontsize=6)
        return
    each = SECTOR // BANK
    axes.text(-0.3, -0.45, "byte", ha="right", va="center", fontsize=7)
    for sector in range(WORDS // each):
        axes.text(sector * each + 0.1, -0.45, f"sector {sector}", va="center", fontsize=7)
        for i in range(min(rows, MOST_LINES)):
            if any(g.lanes[i][sector * each:(sector + 1) * each]):
                axes.add_patch(Rectangle((sector * each, i), each, 1, fill=False, edgecolor="#D55E00", linewidth=1.6))
