"""The matrix of a layer as a picture, coloured by which weight an edge carries, beside the unshared and the fully connected one."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures
from minicnn.inspect.graphs.tables import number, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.graphs.layer_graph import LayerGraph

CELLS = 1_000_000                  # the most that are drawn
COLOURS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.RED, figures.SKY, figures.PURPLE, figures.YELLOW, "#7A4B00", "#5A5A5A")


def draw(layer: LayerGraph) -> Figure:
    """Raises ValueError for matrices too large to be drawn."""
    rows, columns = layer.units, layer.inputs
    if rows * columns > CELLS:
        raise ValueError(f"the matrix of {layer.name} is {rows:,} x {columns:,}: pictures have at most {CELLS:,} cells; choose a smaller "
                         "input or another layer, or draw its degrees")
    table = np.full((rows, columns), -1)
    start = 0
    for source, wiring in enumerate(layer.wirings):
        edges = layer.listed(source)
        table[edges.row, start + edges.column] = edges.tap
        start += wiring.inputs
    shared = layer.learnt and layer.weights < layer.edges
    panels = [(f"{layer.name}: {number(layer.edges)} edges,\n" + (f"{number(layer.weights)} weights" if layer.learnt else "no weights"),
               table)]
    if layer.learnt:
        own = np.where(table >= 0, np.cumsum((table >= 0).reshape(-1)).reshape(table.shape), -1)
        panels += [(f"locally connected: {number(layer.edges)} edges,\n{number(layer.edges)} weights", own),
                   (f"fully connected: {number(table.size)} edges,\n{number(table.size)} weights",
                    np.arange(table.size).reshape(table.shape))]
    width, height = _extent(rows, columns)
    figure = figures.new(len(panels) * width + 1.2, height + 1.6)
    figure.suptitle(f"{layer.kind}: {size(layer.source_shapes[0])} inputs, {size(layer.shape)} outputs; edges of one colour share a weight"
                    if shared else f"{layer.kind}: {size(layer.source_shapes[0])} inputs, {size(layer.shape)} outputs", fontsize=11)
    for panel, (title, cells) in enumerate(panels):
        _panel(figure.add_subplot(1, len(panels), panel + 1), title, cells, layer, panel)
    if layer.learnt and shared:
        _legend(figure, layer, table)
    return figure


def _extent(rows: int, columns: int) -> tuple[float, float]:
    """Inches of one matrix: its shape, within limits."""
    scale = min(4.2 / max(rows, columns, 1), 0.2)
    return max(columns * scale, 2.4), max(rows * scale, 1.6)


def _panel(axes: Any, title: str, cells: np.ndarray, layer: LayerGraph, panel: int) -> None:
    axes.imshow(_coloured(cells, panel > 0), interpolation="nearest", aspect="equal", extent=(0, cells.shape[1], cells.shape[0], 0))
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("input unit", fontsize=9)
    if panel == 0:
        axes.set_ylabel("output unit", fontsize=9)
    axes.tick_params(labelsize=8)
    _blocks(axes, layer, cells.shape)


def _blocks(axes: Any, layer: LayerGraph, shape: tuple[int, ...]) -> None:
    """Thin lines where one image row ends and the next begins, if there are few: the blocks of the doubly blocked matrix."""
    ends: list[np.ndarray] = []
    for units, across in ((shape[0], layer.shape[-1]), (shape[1], layer.source_shapes[0][-1])):
        ends.append(np.arange(across, units, across) if 1 < across < units and units // across <= 40 else np.zeros(0))
    for at in ends[0]:
        axes.axhline(at, color="black", alpha=0.25, linewidth=0.4)
    for at in ends[1]:
        axes.axvline(at, color="black", alpha=0.25, linewidth=0.4)


def _coloured(cells: np.ndarray, own: bool) -> np.ndarray:
    """RGB: white without an edge. own: so many weights that colours only say that neighbours differ."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    taps = np.unique(cells[cells >= 0])
    if len(taps) <= len(COLOURS) and not own:
        palette = np.array([to_rgb(colour) for colour in COLOURS])
        found = palette[np.searchsorted(taps, cells).clip(0, max(len(taps) - 1, 0))]
    else:
        spread = (np.searchsorted(taps, cells) * 0.61803398875) % 1 if own else np.searchsorted(taps, cells) / max(len(taps) - 1, 1)
        found = colormaps["viridis"](spread)[..., :3]
    found[cells < 0] = 1
    return np.asarray(found)


def _legend(figure: Any, layer: LayerGraph, table: np.ndarray) -> None:
    from matplotlib.patches import Patch

    taps = np.unique(table[table >= 0])
    if len(taps) > len(COLOURS):
        return
    weights = np.asarray(layer.wirings[0].values)
    names = [f"w[{','.join(str(k) for k in np.unravel_index(tap, weights.shape))}]" for tap in taps]
    handles = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, names, strict=False)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False, handlelength=1,
                  columnspacing=1)
