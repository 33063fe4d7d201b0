"""Pictures of receptive fields: boxes on the image, their growth from layer to layer, and heat maps of what counts."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures
from minicnn.inspect.receptive_fields.cone import Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from minicnn.inspect.receptive_fields.effective import EffectiveField
    from minicnn.inspect.receptive_fields.field import LayerField, ReceptiveField

SHOWN = 8                        # boxes, at most: those of more layers would hide each other
LABELLED = 26                    # layers whose names fit below a plot
SMALL = 8


def growth(found: ReceptiveField) -> Figure:
    """Left: the image with the boxes of units at one place, a layer each. Right: the size of the field, layer by layer."""
    figure = figures.new(11, 5, f"{found.model}: what unit {found.unit.index} of {found.unit.layer} sees")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _plane(left, found.image)
    colours = _colours(len(steps := _steps(found.growth)))
    for (name, box), colour in zip(reversed(steps), reversed(colours), strict=True):
        _outline(left, box, colour, _said(name, box), fill=True)
    if found.unit.full and found.unit.full != found.unit.box:
        _outline(left, found.unit.full, figures.RED, "with padding", dashed=True)
        _widen(left, found.unit.full)
    left.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    _sizes(right, found)
    return figure


def _steps(growth: dict[str, Box]) -> list[tuple[str, Box]]:
    """The first layer of each size; of many an even choice with the last. The small ones first."""
    first: dict[tuple[int, int], tuple[str, Box]] = {}
    for name, box in growth.items():
        first.setdefault(box.size, (name, box))
    steps = list(first.values())
    if growth and steps[-1][0] != (last := list(growth.items())[-1])[0]:
        steps = [step for step in steps if step[1].size != last[1].size] + [last]
    if len(steps) > SHOWN:
        steps = [steps[round(i)] for i in np.linspace(0, len(steps) - 1, SHOWN)]
    return sorted(steps, key=lambda step: step[1].size[0] * step[1].size[1])


def _said(name: str, box: Box) -> str:
    return f"{name}: {box.size[0]} x {box.size[1]}"


def _colours(count: int) -> list[Any]:
    """From dark, small, to light, large."""
    from matplotlib import colormaps

    return [colormaps["viridis"](value) for value in np.linspace(0.0, 0.9, count)]


def _plane(axes: Axes, image: tuple[int, int]) -> None:
    H, W = image
    axes.set_aspect("equal")
    around = 0.02 * max(H, W)
    axes.set_xlim(-0.5 - around, W - 0.5 + around)
    axes.set_ylim(H - 0.5 + around, -0.5 - around)
    axes.add_patch(_rectangle(-0.5, -0.5, W, H, fill=False, edgecolor=figures.BLACK, linewidth=1, label="the image", zorder=3))
    axes.set_xlabel("column of the image")
    axes.set_ylabel("row of the image")
    axes.set_facecolor("#f2f2f2")
    for side in axes.spines.values():
        side.set_visible(False)


def _widen(axes: Axes, box: Box) -> None:
    """Show what lies outside the image, too."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.set_xlim(min(left, box.left - 1), max(right, box.right + 1))
    axes.set_ylim(max(bottom, box.bottom + 1), min(top, box.top - 1))


def _outline(axes: Axes, box: Box, colour: Any, label: str, fill: bool = False, dashed: bool = False) -> None:
    rows, columns = box.size
    axes.add_patch(_rectangle(box.left - 0.5, box.top - 0.5, columns, rows, facecolor=colour if fill else "none",
                              edgecolor="white" if fill else colour, linewidth=0.8 if fill else 1.6, linestyle="--" if dashed else "-",
                              label=label, zorder=2 if fill else 4))


def _rectangle(x: float, y: float, width: float, height: float, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **style)


def _sizes(axes: Axes, found: ReceptiveField) -> None:
    """The field's height and width over the layers, with the image's as a line."""
    layers = _telling(found.layers)
    places = range(len(layers))
    shown = [("height", figures.BLUE, "o"), ("width", figures.ORANGE, "s")]
    same = all(layer.size[0] == layer.size[1] for layer in layers) and found.image[0] == found.image[1]
    for axis, (name, colour, marker) in enumerate(shown[:1] if same else shown):
        label = "receptive field, height and width" if same else f"receptive field, {name}"
        regular = [i for i, layer in enumerate(layers) if layer.jump[axis] is not None]
        axes.plot(regular, [layers[i].size[axis] for i in regular], marker=marker, color=colour, markersize=4, linewidth=1.2, label=label)
        if others := [i for i in places if i not in regular]:
            axes.plot(others, [layers[i].size[axis] for i in others], marker=marker, color=colour, markersize=5, linewidth=0,
                      fillstyle="none", label=None if axis else "units in no regular order: pixels of the image")
        axes.axhline(found.image[axis], color=colour if not same else figures.GREY, linestyle="--", linewidth=1,
                     label="the image" if same else f"the image, {name}")
    axes.set_ylabel("pixels of the input")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=SMALL, loc="best")
    step = -(-len(layers) // LABELLED)
    axes.set_xticks(list(places)[::step], [layer.name for layer in layers][::step], rotation=60, ha="right", rotation_mode="anchor",
                    fontsize=SMALL if len(layers) < 18 else SMALL - 1)


def _telling(layers: list[LayerField]) -> list[LayerField]:
    """Those that change something: not every ReLU."""
    kept = [layer for before, layer in zip([None, *layers], layers, strict=False)
            if before is None or (layer.size, layer.jump) != (before.size, before.jump)]
    return kept or layers


def heat(found: EffectiveField) -> Figure:
    """Left: the gradient at each pixel, in parts of the largest, with both boxes. Right: the energy of rows and columns."""
    from matplotlib.colors import LogNorm

    figure = figures.new(11, 4.8, f"{found.model}: effective receptive field of unit {found.unit} of {found.layer}")
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    relative = np.sqrt(found.energy / found.energy.max())
    image = left.imshow(np.ma.masked_less(relative, 1e-3), cmap="viridis", norm=LogNorm(1e-3, 1), interpolation="nearest")
    _plane(left, found.image)
    left.set_facecolor("white")
    figure.colorbar(image, ax=left, label="gradient ÷ the largest (white: below 0.001)", shrink=0.85)
    _outline(left, found.box, figures.RED, f"theoretical: {found.box.size[0]} x {found.box.size[1]}", dashed=True)
    _outline(left, found.core, figures.BLACK, f"95 % of the squared gradient: {found.core.size[0]} x {found.core.size[1]}")
    left.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, ncols=2)
    margins = (("rows", found.energy.sum(axis=1), figures.BLUE, "-"), ("columns", found.energy.sum(axis=0), figures.ORANGE, "--"))
    for axis, (name, margin, colour, style) in enumerate(margins):
        label = f"{name}: standard deviation {found.deviation[axis]:.1f}"
        right.plot(range(len(margin)), 100 * margin, color=colour, linestyle=style, linewidth=1.5, label=label)
    right.axvspan(found.box.left - 0.5, found.box.right + 0.5, color=figures.GREY, alpha=0.2, label="theoretical field, columns")
    right.set_xlabel("row or column of the image")
    right.set_ylabel("share of the squared gradient, %")
    right.set_ylim(bottom=0)
    right.set_xlim(-0.5, max(found.image) - 0.5)
    right.grid(alpha=0.3)
    right.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, ncols=2)
    return figure
