"""Which layer reads which, as a picture: time runs down, branches stand side by side."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicnn import figures
from minicnn.inspect.graphs.tables import number, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.graphs.connectivity import Connectivity

Place = tuple[int, int]

MOST = 120                         # layers in one picture
FOLD = 14                          # rows of a picture; longer networks go on in the next column
WIDTH, HEIGHT = 2.5, 0.62          # inches of a place


def draw(found: Connectivity) -> Figure:
    """Raises ValueError for too many layers."""
    if len(found.layers) > MOST:
        raise ValueError(f"{found.model} has {len(found.layers)} layers: pictures have at most {MOST}; export it with to_dot")
    places = layout({layer.name: layer.sources for layer in found.layers})
    sources = {layer.name: layer.sources for layer in found.layers}
    columns = folded(places, sources)
    at, again, width = placed(places, sources, columns)
    height = max(len(column) + (k > 0) for k, column in enumerate(columns))
    figure = figures.new(max(width * WIDTH + 0.3, 5), height * HEIGHT + 0.9,
                         f"{found.model}, {size(found.input_shape)} input: edges of each layer, units of its output")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    for layer in found.layers:
        for source in layer.sources:
            _arrow(axes, again.get((source, layer.name), at[source]), at[layer.name])
    _box(axes, at["input"], "input", size(found.input_shape), "white")
    for (source, _), place in again.items():
        _box(axes, place, source, "from the left", "white", dashed=True)
    for layer in found.layers:
        colour = figures.SKY if layer.learnt and layer.joins else figures.YELLOW if layer.joins else "white"
        edges = f"{number(layer.edges)} edges" if layer.wirings else "edges not known"
        _box(axes, at[layer.name], layer.name, f"{edges}, {size(layer.shape)}", colour)
    from matplotlib.patches import Patch

    figure.legend(handles=[Patch(facecolor=colour, edgecolor="black", label=label) for colour, label in (
        (figures.SKY, "joins values, with weights"), (figures.YELLOW, "joins values, without weights"), ("white", "value by value"))],
        loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def layout(sources: dict[str, list[str]]) -> dict[str, tuple[int, int]]:
    """(row, lane) of the input and of every layer: the row is the longest way from the input, lanes are free places in it.

    >>> from minicnn.inspect.graphs.layer_drawing import layout
    >>> layout({"conv": ["input"], "short": ["input"], "relu": ["conv"], "add": ["relu", "short"]})
    {'input': (0, 0), 'conv': (1, 0), 'short': (1, 1), 'relu': (2, 0), 'add': (3, 0)}
    """
    places = {"input": (0, 0)}
    taken: dict[int, int] = {0: 1}
    for name, reads in sources.items():
        row = 1 + max((places[source][0] for source in reads), default=0)
        places[name] = row, taken.get(row, 0)
        taken[row] = taken.get(row, 0) + 1
    return places


def folded(places: dict[str, tuple[int, int]], sources: dict[str, list[str]]) -> list[range]:
    """The rows of each column: at most FOLD, and a column ends where the next reads the fewest layers of it."""
    rows = 1 + max(row for row, _ in places.values())
    arrows = {(source, places[name][0]) for name, reads in sources.items() for source in reads}
    columns, start = [], 0
    while rows - start > FOLD + FOLD // 4:
        ends = range(start + FOLD, start + FOLD // 2, -1)
        end = min(ends, key=lambda row: len({source for source, below in arrows if places[source][0] < row <= below}))
        columns.append(range(start, end))
        start = end
    return [*columns, range(start, rows)]


def placed(places: dict[str, tuple[int, int]], sources: dict[str, list[str]],
           columns: list[range]) -> tuple[dict[str, Place], dict[tuple[str, str], Place], int]:
    """(x, y) of each layer; of what a layer reads from a column on its left, which is drawn once more above it; and the width of all."""
    at: dict[str, Place] = {}
    again: dict[tuple[str, str], Place] = {}
    x = 0
    for k, rows in enumerate(columns):
        names = [name for name, (row, _) in places.items() if row in rows]
        at.update({name: (x + places[name][1], places[name][0] - rows.start + (k > 0)) for name in names})
        outside = list(dict.fromkeys(s for name in names for s in sources.get(name, []) if s not in names))
        again.update({(s, name): (x + outside.index(s), 0) for name in names for s in sources.get(name, []) if s in outside})
        x += max(1 + max(places[name][1] for name in names), len(outside))
    return at, again, x


def _box(axes: Any, at: Place, name: str, text: str, colour: str, dashed: bool = False) -> None:
    axes.text(*at, f"{_short(name)}\n{_short(text)}", ha="center", va="center", fontsize=7.5, linespacing=1.15, parse_math=False,
              bbox={"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "black", "linewidth": 0.8,
                    "linestyle": "--" if dashed else "-"}, zorder=3)


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[:most - 3]}..."


def _arrow(axes: Any, start: Place, end: Place) -> None:
    """Straight to the next row; past rows in between in a bow."""
    (x0, y0), (x1, y1) = start, end
    shortcut = y1 - y0 > 1
    bow = "arc3,rad=0" if not shortcut else "arc3,rad=-0.4" if x0 == x1 else "arc3,rad=-0.12"
    style = {"arrowstyle": "-|>", "color": figures.RED if shortcut else figures.BLACK, "linewidth": 1, "shrinkA": 1, "shrinkB": 1,
             "connectionstyle": bow}
    axes.annotate("", (x1, y1 - 0.24), (x0, y0 + 0.24), zorder=1, arrowprops=style)
