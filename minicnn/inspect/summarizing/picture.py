"""The picture of a summary: three bars a layer."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from minicnn import figures
from minicnn.inspect.summarizing.layers import LayerSummary
from minicnn.inspect.summarizing.units import short, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.summarizing.result import Summary

ROW = 0.19                     # inches


def bars(summary: Summary) -> Figure:
    """One row a layer, from input to output: multiply-adds forward, parameters, bytes saved for backward."""
    rows = summary.layers
    figure = figures.new(10, 1.6 + ROW * len(rows), f"{summary.model} on {' x '.join(map(str, summary.input_shape))}, layer by layer")
    axes = figure.subplots(1, 3, sharey=True, squeeze=False)[0]
    panels: list[tuple[str, Callable[[LayerSummary], int], Callable[[int], str], str]] = [
        ("MACs forward", lambda row: row.macs, short, figures.BLUE),
        ("parameters", lambda row: row.parameters, short, figures.ORANGE),
        ("bytes saved for backward", lambda row: row.saved_bytes, size, figures.GREEN)]
    for axis, (head, value, text, colour) in zip(axes, panels, strict=True):
        values = [value(row) for row in rows]
        most = max(values, default=0) or 1
        axis.barh(range(len(rows)), values, color=colour, height=0.75)
        for i, n in enumerate(values):
            if n:
                axis.text(n + most * 0.02, i, text(n), va="center", fontsize=6.5)
        axis.set_xlim(0, most * 1.22)
        axis.set_title(head, fontsize=9)
        axis.xaxis.set_major_locator(_few_ticks())
        axis.xaxis.set_major_formatter(lambda n, _, text=text: text(int(n)))
        axis.tick_params(axis="x", labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), [row.name for row in rows], fontsize=7)
    for text in (*axes[0].get_yticklabels(), *figure.texts):
        text.set_parse_math(False)                             # a class or layer named with dollar signs
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def _few_ticks() -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)
