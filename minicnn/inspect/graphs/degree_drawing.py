"""How many units have how many edges, as a picture."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.inspect.graphs.tables import size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.graphs.connectivity import Connectivity
    from minicnn.inspect.graphs.degrees import Degrees
    from minicnn.inspect.graphs.layer_graph import LayerGraph

MOST = 8                           # layers in one picture
BARS = 30                          # different degrees up to which each has a bar of its own


def draw(found: Connectivity, layers: Sequence[LayerGraph]) -> Figure:
    """A row for each layer: edges into its units on the left, out of those it reads on the right."""
    shown = layers[:MOST]
    more = f"; the first {MOST} of {len(layers)} layers where they differ" if len(layers) > MOST else ""
    figure = figures.new(9, 1.9 * len(shown) + 0.8, f"{found.model}, {size(found.input_shape)} input: degrees of units{more}")
    grid = figure.subplots(len(shown), 2, squeeze=False)
    for row, layer in zip(grid, shown, strict=True):
        _bars(row[0], layer.in_degrees, f"{layer.name}: edges into a unit", figures.BLUE)
        _bars(row[1], layer.out_degrees, f"{layer.name}: edges out of a unit that it reads", figures.ORANGE)
    return figure


def _bars(axes: Any, degrees: Degrees, title: str, colour: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylabel("units", fontsize=8)
    axes.tick_params(labelsize=8)
    if len(degrees.counts) <= BARS:
        places = range(len(degrees.counts))
        bars = axes.bar(places, degrees.counts.values(), color=colour, width=0.7)
        axes.set_xticks(list(places), [f"{degree:,}" for degree in degrees.counts],
                        rotation=0 if len(degrees.counts) <= 9 else 60, fontsize=8)
        if len(degrees.counts) <= 9:
            axes.bar_label(bars, labels=[f"{units:,}" for units in degrees.counts.values()], fontsize=7)
        axes.set_xlim(-0.8, max(len(degrees.counts), 4) - 0.2)
        axes.margins(y=0.18)
    else:
        axes.hist(list(degrees.counts), weights=list(degrees.counts.values()), bins=BARS, color=colour)
    axes.set_xlabel("edges", fontsize=8)
