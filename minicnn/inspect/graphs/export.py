"""The graph as networkx, GraphML and DOT: of the layers, or unit by unit of one of them."""
from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.files import write_whole
from minicnn.inspect.graphs.wiring import EDGES

if TYPE_CHECKING:
    from networkx import DiGraph

    from minicnn.inspect.graphs.connectivity import Connectivity
    from minicnn.inspect.graphs.layer_graph import LayerGraph

MOST = 500_000                     # edges and units of an exported graph: each is a Python object, a gigabyte in all


def networkx_graph(found: Connectivity, layer: str | None = None) -> DiGraph:
    """Of the layers: a node for each, with kind, shape, units, edges, weights, in the order of data.

    Of a layer's units: nodes "conv1:0,3,4" with layer, channel, row, column (or index, where units lie in no rows and columns); an edge
    for each that is read, with its tap (edges with one tap share one weight) and its weight, if the layer is linear, and as `parameter`
    the index of the weight that it is.

    Raises ImportError without networkx, ValueError for an unknown layer, or one with more than MOST units and edges.
    """
    try:
        import networkx
    except ImportError as error:
        raise ImportError(f"graphs need networkx ({error}): pip install 'minicnn[inspect]'") from None
    graph = networkx.DiGraph(name=found.model)
    if layer is None:
        graph.add_node("input", kind="input", shape=_text(found.input_shape), units=int(np.prod(found.input_shape)), edges=0, weights=0)
        for each in found.layers:
            graph.add_node(each.name, kind=each.kind, shape=_text(each.shape), units=each.units, edges=each.edges, weights=each.weights)
            for source in each.sources:
                graph.add_edge(source, each.name)
        return graph
    chosen = found.layer(layer)
    size = chosen.edges + chosen.units + chosen.inputs
    if size > min(MOST, EDGES):
        raise ValueError(f"{layer} has {chosen.edges:,} edges between {chosen.inputs:,} and {chosen.units:,} units: at most {MOST:,} edges "
                         "and units can be exported; choose another layer or a smaller input, or take its matrix()")
    outputs = _add_units(graph, layer, chosen.shape)
    for k, (source, shape) in enumerate(zip(chosen.sources, chosen.source_shapes, strict=True)):
        _add_edges(graph, chosen, k, _add_units(graph, source, shape), outputs)
    return graph


def _add_units(graph: DiGraph, layer: str, shape: tuple[int, ...]) -> list[str]:
    names = []
    for index in np.ndindex(*shape):
        name = f"{layer}:{','.join(map(str, index))}"
        place = dict(zip(("channel", "row", "column"), index, strict=True)) if len(index) == 3 else {"index": _text(index, ",")}
        graph.add_node(name, layer=layer, **place)
        names.append(name)
    return names


def _add_edges(graph: DiGraph, layer: LayerGraph, source: int, inputs: list[str], outputs: list[str]) -> None:
    edges, wiring = layer.listed(source), layer.wirings[source]
    weights = np.asarray(wiring.values) if wiring.learnt else None
    for row, column, tap, value in zip(*(part.tolist() for part in edges), strict=True):
        about: dict[str, Any] = {"tap": tap}
        if layer.linear:
            about["weight"] = value
        if weights is not None:
            about["parameter"] = _text(np.unravel_index(tap, weights.shape), ",")
        graph.add_edge(inputs[column], outputs[row], **about)


def _text(numbers: Any, between: str = " x ") -> str:
    return between.join(str(int(n)) for n in numbers)


def write_graphml(found: Connectivity, path: str | Path, layer: str | None = None) -> Path:
    """Raises OSError where it cannot be written."""
    graph = networkx_graph(found, layer)
    import networkx

    file = io.BytesIO()
    networkx.write_graphml(graph, file)
    write_whole(path, file.getvalue())
    return Path(path)


def write_dot(found: Connectivity, path: str | Path, layer: str | None = None) -> Path:
    """Raises OSError where it cannot be written."""
    graph = networkx_graph(found, layer)
    lines = [f"digraph {quoted(found.model)} {{", "  node [shape=box, fontname=sans];" if layer is None else
             "  rankdir=LR; node [shape=circle, fontname=sans, fontsize=8];"]
    for name, about in graph.nodes(data=True):
        label = f"{name}\n{about['shape']}\n{about['edges']:,} edges" if layer is None else name
        lines.append(f"  {quoted(name)} [label={quoted(label)}];")
    for start, end, about in graph.edges(data=True):
        label = about.get("parameter") or (f"{about['weight']:.4g}" if "weight" in about else "")
        lines.append(f"  {quoted(start)} -> {quoted(end)}{f' [label={quoted(label)}]' if label else ''};")
    write_whole(path, "\n".join([*lines, "}", ""]))
    return Path(path)


def quoted(text: str) -> str:
    """A DOT string.

    >>> from minicnn.inspect.graphs.export import quoted
    >>> print(quoted('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
