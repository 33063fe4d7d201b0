"""Connectivity as text and tables."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minicnn.document import Block, Column, Table
from minicnn.inspect.graphs.degrees import Degrees

if TYPE_CHECKING:
    from minicnn.inspect.graphs.connectivity import Connectivity
    from minicnn.inspect.graphs.layer_graph import LayerGraph

MOST = 8                           # rows of a table of degrees


def counted(layers: Sequence[LayerGraph]) -> list[LayerGraph]:
    """Those whose units have different degrees: what a picture of degrees is about. All, if there are none."""
    return [layer for layer in layers if max(len(layer.in_degrees.counts), len(layer.out_degrees.counts)) > 1] or list(layers)


def size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def number(value: float | None, digits: str = ",.4g") -> str:
    """Whole numbers in full, others with four digits; "-" for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:{digits}}"


def short(value: int) -> str:
    """Numbers from ten million on with four digits.

    >>> from minicnn.inspect.graphs.tables import short
    >>> short(86_188_800), short(150_528_000), short(1_838_694_400), short(10_312_216_477_696)
    ('86.19 M', '150.5 M', '1.839 G', '10.31 T')
    """
    if value < 1e7:
        return f"{value:,}"
    unit, power = next((unit, power) for unit, power in (("T", 1e12), ("G", 1e9), ("M", 1e6)) if value >= power)
    return f"{value / power:.4g} {unit}"


def percent(share: float) -> str:
    """Never 100 % or 0 % unless it is.

    >>> from minicnn.inspect.graphs.tables import percent
    >>> percent(1.0), percent(0.99999), percent(0.118), percent(0.00004), percent(0.0)
    ('100 %', '99.9 %', '11.8 %', '0.004 %', '0 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(100 * share, 99.9):.3g} %" if share < 0.999 else "99.9 %"


def of_network(found: Connectivity) -> list[Block]:
    return [_layers(found), _compared(found), _words(found)]


def _layers(found: Connectivity) -> Table:
    columns = [Column("layer", left=True), Column("units"), Column("edges"), Column("weights"), Column("in"), Column("out"), Column("sees")]
    rows = [[layer.name, "x".join(map(str, layer.shape)), *_counts(layer), percent(layer.sees[1])] for layer in found.layers]
    notes = ["weights: different ones, without biases. M, G, T: millions, and thousands of those."
             if any(layer.fully_connected >= 1e7 for layer in found.layers) else "weights: different ones, without biases.",
             "in: edges into a unit. out: edges from a unit that the layer reads, to this layer. least..most.",
             "sees: the most of the image that a unit depends on, by its box."]
    notes += [f"{layer.name}: {layer.note}" for layer in found.layers if layer.note]
    title = f"{found.model}, the graph of a {size(found.input_shape)} input: {found.edges:,} edges, {found.weights:,} weights"
    return Table(title, columns, rows, notes)


def _counts(layer: LayerGraph) -> list[str]:
    if not layer.wirings:
        return ["?"] * 4
    weights = short(layer.weights) if layer.learnt else "-"
    return [short(layer.edges), weights, layer.in_degrees.text(), layer.out_degrees.text()]


def _compared(found: Connectivity) -> Table:
    columns = [Column("layer", left=True), Column("weights"), Column("unshared"), Column("sharing"), Column("fully connected"),
               Column("× as many"), Column("density")]
    rows = [[layer.name, short(layer.weights), short(layer.locally_connected), times(layer.locally_connected, layer.weights),
             short(layer.fully_connected), times(layer.fully_connected, layer.weights), percent(layer.density)]
            for layer in found.layers if layer.learnt and layer.joins]
    return Table("What sharing and local edges save: weights of the same layers without them", columns, rows,
                 ["unshared: locally connected, the same edges with a weight for each. sharing: edges for each weight.",
                  "fully connected: every unit reads every unit. density: edges, as a part of those."])


def times(more: int, less: int) -> str:
    return "-" if not less else short(round(more / less)) if more >= 1e7 * less else number(more / less)


def _words(found: Connectivity) -> list[str]:
    if found.paths is None:
        return ["No path leads from the image to the output."]
    shortest, longest = found.paths
    lines = [f"From the image to the output: {_many(shortest)}" + (f" on the shortest way, {longest} on the longest." if longest > shortest
                                                                   else " on every way.")]
    lines[0] += " Layers that join no values, such as ReLU, do not count."
    if found.first_to_see_all is None:
        return [*lines, "No unit sees the whole image: there are pixels that never meet."]
    lines.append(f"{found.first_to_see_all} is the first layer with a unit that sees the whole image: there all pixels meet.")
    if found.diameter is None:
        return [*lines, "In no layer does every unit see the whole image, so the diameter is infinite."]
    least, most = found.diameter
    return [*lines, f"{found.all_see_all} is the first layer in which every unit does: the diameter is "
                    + (f"{_many(least)}. " if least == most else f"{least} to {_many(most)}, for there are shortcuts. ")
                    + "Of one fully connected layer it is 1."]


def _many(layers: int) -> str:
    return f"{layers} layer{'s' if layers != 1 else ''}"


def of_layer(found: Connectivity, layer: LayerGraph) -> list[Block]:
    """All about one layer."""
    reads = ", ".join(f"{name} ({size(shape)})" for name, shape in zip(layer.sources, layer.source_shapes, strict=True))
    name = layer.name if layer.name == layer.kind else f"{found.model}, {layer.name} ({layer.kind})"
    title = f"{name}: {size(layer.shape)} units that read {reads or 'nothing'}"
    if not layer.wirings:
        return [title, layer.note or "It reads nothing of the network."]
    columns = [Column("", left=True), Column("this layer"), Column("locally connected"), Column("fully connected")]
    local, full = layer.locally_connected, layer.fully_connected
    weights = number(layer.weights) if layer.learnt else "-"
    rows = [["edges", number(layer.edges), number(local), number(full)], ["weights", weights, number(local), number(full)],
            ["edges for each weight", number(layer.sharing), "1", "1"],
            ["density", percent(layer.density), percent(layer.density), "100 %"]]
    how = {"linear": "linear: y.ravel() = M @ x.ravel() + b" if layer.op.inputs else "", "choice": "each unit takes one of those it reads",
           "function": "a function of what each unit reads, no weighted sum"}[layer.how]
    notes = [how] if how else []
    if layer.learnt and layer.padded not in (None, local):
        notes.append(f"With a weight for each tap in the padding too, the locally connected layer has {layer.padded:,} weights.")
    return [Table(title, columns, rows, notes), _degrees("Edges into a unit of this layer", layer.in_degrees, "in-degree", layer.interior),
            _degrees(f"Edges out of a unit of {' and '.join(dict.fromkeys(layer.sources))}", layer.out_degrees, "out-degree", None)]


def _degrees(title: str, degrees: Degrees, head: str, interior: int | None) -> Table:
    rows = [[f"{degree:,}{' (interior)' if degree == interior else ''}", f"{units:,}", percent(units / degrees.units)]
            for degree, units in sorted(degrees.counts.items(), reverse=True)]
    notes = [f"... and {len(rows) - MOST} other degrees, from {degrees.least:,}"] if len(rows) > MOST else []
    return Table(f"{title}: {degrees.mean:,.4g} on average", [Column(head), Column("units"), Column("share")], rows[:MOST], notes)
