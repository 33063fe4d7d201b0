"""The picture of how gradients flow."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.inspect.showing import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.showing.flow import GradientFlow


def draw(found: GradientFlow) -> Figure:
    """Left: the norm at the output of each layer. Right: the ratio of gradient to weight of each weight. Both over depth, logarithmic."""
    figure = drawing.new(11, 4.8, f"{found.about.network}: gradient of the loss from the last layer back to the first ({found.state})")
    left, right = figure.subplots(1, 2)
    layers = [r for r in found.layers if r.norm and math.isfinite(r.norm)]
    _over(left, [r.name for r in layers], [r.norm for r in layers], figures.BLUE, "norm of d loss / d output of the layer")
    known = {r.weight for r in found.layers}
    weights = [p for p in found.parameters if p.name in known and p.ratio and math.isfinite(p.ratio)]
    _over(right, [p.name.removesuffix(".weight") for p in weights], [p.ratio for p in weights], figures.RED,
          "norm of gradient / norm of weight")
    return figure


def _over(axes: Any, names: list[str], values: list[Any], colour: str, label: str) -> None:
    axes.plot(range(len(values)), values, marker="o", markersize=4, color=colour, linewidth=1)
    axes.set_yscale("log")
    if values:
        low, high = min(values), max(values)
        centre = math.sqrt(low * high)
        axes.set_ylim(min(low / 1.5, centre / 10), max(high * 1.5, centre * 10))         # at least two decades: less would look dramatic
    step = -(-len(names) // 32) if names else 1
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_ylabel(label, fontsize=8)
    axes.set_title(f"first layer at the left{f'; one of {step} is named' if step > 1 else ''}", fontsize=8)
    axes.grid(alpha=0.3)
