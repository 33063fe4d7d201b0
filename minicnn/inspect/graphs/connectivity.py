"""connectivity(model, input_shape): the graph of a network, unit by unit."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.inspect.graphs import tables
from minicnn.inspect.graphs.layer_graph import LayerGraph
from minicnn.inspect.graphs.rules import wired
from minicnn.inspect.receptive_fields import Cone, cones
from minicnn.inspect.recorder import Op, Recording, example_input, record
from minicnn.inspect.result import Result
from minicnn.nn import Module

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from networkx import DiGraph

    from minicnn.document import Block

KINDS = ("matrix", "degrees", "layers")


@dataclass(repr=False, eq=False)
class Connectivity(Result):
    """model: its class. input_shape: of one image. layers: in the order in which they ran. output: the name of the last one.

    focus, picture: the layer and the kind of picture that `print` and `save` show, where none is named.
    """
    model: str
    input_shape: tuple[int, ...]
    layers: list[LayerGraph]
    output: str
    focus: str | None = None
    picture: str = "matrix"

    def layer(self, name: str) -> LayerGraph:
        """The layer called `name`. Raises ValueError that lists all names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{self.model} has no layer {name!r}; it has: {', '.join(layer.name for layer in self.layers)}")

    @property
    def edges(self) -> int:
        return sum(layer.edges for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def paths(self) -> tuple[int, int] | None:
        """The fewest and the most layers on a way from the image to the output, of those that join values (ReLU does not, nor an addition
        of two branches); None where no way leads there."""
        return self._distances().get(self.output)

    def _distances(self) -> dict[str, tuple[int, int]]:
        """The fewest and the most such layers from the image to each layer."""
        found: dict[str, tuple[int, int]] = {"input": (0, 0)}
        for layer in self.layers:
            before = [found[name] for name in layer.sources if name in found]
            if before:
                found[layer.name] = layer.joins + min(least for least, _ in before), layer.joins + max(most for _, most in before)
        return found

    @property
    def first_to_see_all(self) -> str | None:
        """The first layer in which some unit sees the whole image, so that any two pixels meet; None: in none."""
        return next((layer.name for layer in self.layers if layer.sees[1] == 1), None)

    @property
    def all_see_all(self) -> str | None:
        """The first layer in which every unit sees the whole image, as in a single fully connected layer; None: in none."""
        return next((layer.name for layer in self.layers if layer.sees[0] == 1), None)

    @property
    def diameter(self) -> tuple[int, int] | None:
        """From each pixel a path leads to each unit of some layer: the layers on it, of those that join values, are at least and at most so
        many. The two are equal where all ways are equally long, as without shortcuts. Of a fully connected layer it is 1. None: there is
        no such layer."""
        distances = self._distances()
        found = [distances[layer.name] for layer in self.layers if layer.sees[0] == 1 and layer.name in distances]
        return (min(least for least, _ in found), min(most for _, most in found)) if found else None

    def blocks(self) -> list[Block]:
        return tables.of_layer(self, self.layer(self.focus)) if self.focus else tables.of_network(self)

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "input_shape": self.input_shape, "edges": self.edges, "weights": self.weights,
                "shortest_path": self.paths and self.paths[0], "longest_path": self.paths and self.paths[1],
                "diameter": self.diameter, "first_to_see_all": self.first_to_see_all, "all_see_all": self.all_see_all,
                "layers": [layer.as_dict() for layer in self.layers if self.focus in (None, layer.name)]}

    def figure(self, kind: str | None = None, layer: str | None = None) -> Figure:
        """kind: "matrix": that of a layer, coloured by weight, beside the locally and the fully connected one; "degrees": how many units
        have how many edges; "layers": which layer reads which. layer: its name; by default the first with weights (degrees: all).

        Raises ValueError for other kinds, unknown layers, and matrices that are too large to be drawn.
        """
        from minicnn.inspect.graphs import degree_drawing, layer_drawing, matrix_drawing

        kind, layer = kind or self.picture, layer or self.focus
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: expected {', '.join(KINDS)}")
        if kind == "layers":
            return layer_drawing.draw(self)
        if kind == "degrees":
            return degree_drawing.draw(self, [self.layer(layer)] if layer else tables.counted(self.layers))
        return matrix_drawing.draw(self.layer(layer) if layer else self.main)

    @property
    def main(self) -> LayerGraph:
        """The first layer with weights, or just the first."""
        return next((layer for layer in self.layers if layer.learnt and layer.op.name != "batch_norm"), self.layers[0])

    def to_networkx(self, layer: str | None = None) -> DiGraph:
        """The graph of the layers, or that of the units of one of them, as a networkx.DiGraph: see `minicnn.inspect.graphs.export`."""
        from minicnn.inspect.graphs import export

        return export.networkx_graph(self, layer)

    def to_graphml(self, path: str | Path, layer: str | None = None) -> Path:
        """Write that graph as GraphML, for Gephi, Cytoscape, yEd, igraph, ..."""
        from minicnn.inspect.graphs import export

        return export.write_graphml(self, path, layer)

    def to_dot(self, path: str | Path, layer: str | None = None) -> Path:
        """Write that graph as DOT, for Graphviz."""
        from minicnn.inspect.graphs import export

        return export.write_dot(self, path, layer)


def connectivity(model: Module, input_shape: Sequence[int]) -> Connectivity:
    """The graph of a network for one image: which unit reads which, how many edges share how many weights, how that compares.

        y.ravel() = M @ x.ravel() + b        a linear layer; M, sparse, is its doubly blocked Toeplitz matrix if it is a convolution

    All numbers are counted from the geometry, axis by axis, so that they cost no memory; `layers[k].matrix()` lists the edges.
    For each layer, beside its own edges and weights: those of a fully connected layer between the same units, and of a locally connected
    one, which has the same edges and a weight for each.

    input_shape: (C, H, W), or (F) for features. Layers run in eval mode. Operations without a rule are there with a note and no edges.

    Raises TypeError for a model that is no Module, ValueError for a batch of several images.

    >>> found = minicnn.inspect.connectivity(minicnn.nn.Conv2d(1, 1, 3, padding="same"), (1, 8, 8))
    >>> layer, = found.layers
    >>> layer.edges, layer.weights, layer.in_degrees.counts, layer.fully_connected
    (484, 9, {4: 4, 6: 24, 9: 36}, 4096)
    """
    dtype = next((p.array.dtype for p in model.parameters()), np.dtype(np.float32)) if isinstance(model, Module) else np.float32
    x = example_input((1, *input_shape) if len(tuple(input_shape)) == 1 else input_shape, dtype=dtype)
    if x.shape[0] != 1:
        raise ValueError(f"input_shape is {tuple(input_shape)}, a batch of {x.shape[0]}: the graph is that of one image, "
                         f"which is {tuple(input_shape)[1:]}")
    recording = record(model, x)
    layers = _graphs(recording)
    last = next(layer.name for layer in layers if layer.op is recording.output)
    return Connectivity(type(model).__name__, x.shape[1:], layers, last)


def _graphs(recording: Recording) -> list[LayerGraph]:
    """One for each operation; those of a layer that is made of several are called `layer/operation`."""
    seen = cones(recording)
    names: dict[Op, str] = {recording.input: "input"}
    layers: list[LayerGraph] = []
    for layer in recording.layers:
        taken: dict[str, int] = {}
        for op in layer.ops:
            taken[op.name] = taken.get(op.name, 0) + 1
            again = f"#{taken[op.name]}" if taken[op.name] > 1 else ""
            alone = len(layer.ops) == 1
            names[op] = layer.name if alone else f"{layer.name}/{op.name}{again}"
            found = wired(op)
            note = "" if found else f"minicnn has no rule for what {op.name} reads here, so its edges are not known"
            layers.append(LayerGraph(names[op], layer.kind if alone else op.name, op, [names[x] for x in op.sources],
                                     found.how if found else "", found.wirings if found else [], note, _share(seen[op])))
    return layers


def _share(cone: Cone) -> tuple[float, float]:
    """The least and the most of the image that units see, as a part of it: by their boxes."""
    H, W = cone.image
    top, bottom, left, right = (side.astype(np.int64) for side in cone.boxes.sides)
    pixels = np.maximum(1 - top - bottom, 0) * np.maximum(1 - left - right, 0)
    return float(pixels.min(initial=H * W)) / (H * W), float(pixels.max(initial=0)) / (H * W)
