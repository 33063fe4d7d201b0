"""LayerGraph: the graph between the units of one layer and those that it reads."""
from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.inspect.graphs.degrees import Degrees
from minicnn.inspect.graphs.rules import LINEAR, array
from minicnn.inspect.graphs.wiring import EDGES, Edges, Wiring, check_size, scipy_sparse
from minicnn.inspect.recorder import Op

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(repr=False, eq=False)
class LayerGraph:
    """Units are numbered in row-major order of (C, H, W), or of whatever shape there is; an edge goes from a unit that is read to one that
    reads it.

    name, kind: as in a summary. shape, source_shapes: of one image. sources: the layers it reads; "input" is the image.
    how: "linear" (a weighted sum, plus b), "choice" (one of those it reads, as in max pooling), "function" (anything else), or "" where
    minicnn has no rule for the operation; then `note` says so, and there are no wirings.
    wirings: one for each source.
    sees: the part of the image that a unit sees, 0 to 1: of the unit that sees least and of the one that sees most.
    """
    name: str
    kind: str
    op: Op = field(repr=False)
    sources: list[str]
    how: str
    wirings: list[Wiring]
    note: str = ""
    sees: tuple[float, float] = (0.0, 0.0)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.op.shape[1:] or self.op.shape

    @property
    def source_shapes(self) -> list[tuple[int, ...]]:
        return [x.shape[1:] or x.shape for x in self.op.sources]

    @property
    def linear(self) -> bool:
        return self.how == LINEAR

    @property
    def learnt(self) -> bool:
        """Whether its edges carry parameters."""
        return any(wiring.learnt for wiring in self.wirings)

    @property
    def joins(self) -> bool:
        """Whether some unit reads several of one source: convolutions and pooling do, ReLU, batch norm and additions do not. A layer
        without a rule is taken to."""
        return not self.wirings or any(wiring.joins for wiring in self.wirings)

    @property
    def units(self) -> int:
        return int(np.prod(self.op.shape))

    @property
    def inputs(self) -> int:
        """The units of all sources together."""
        return sum(int(np.prod(x.shape)) for x in self.op.sources)

    @property
    def edges(self) -> int:
        return sum(wiring.edges for wiring in self.wirings)

    @property
    def weights(self) -> int:
        """The different parameters on its edges; 0 where edges carry none. Biases, which are on no edge, do not count."""
        return sum(wiring.taps for wiring in self.wirings if wiring.learnt)

    @property
    def sharing(self) -> float | None:
        """Edges for each weight; None where there are no weights."""
        return self.edges / self.weights if self.weights else None

    @property
    def density(self) -> float:
        """Edges, as a part of those of a fully connected layer."""
        return self.edges / self.fully_connected if self.fully_connected else 0.0

    @property
    def fully_connected(self) -> int:
        """Edges, and weights, of the fully connected layer between the same units."""
        return self.units * self.inputs

    @property
    def locally_connected(self) -> int:
        """Edges, and weights, of the layer with the same edges that shares no weight."""
        return self.edges

    @property
    def padded(self) -> int | None:
        """The same where taps that lie in the padding count, as they are often counted; None for what is no convolution."""
        return self.units * int(np.prod(self.op.inputs[1].shape[1:])) if self.op.name in ("conv2d", "conv2d_relu") else None

    @cached_property
    def in_degrees(self) -> Degrees:
        """How many units of this layer read how many."""
        return Degrees.of(sum((wiring.in_degrees() for wiring in self.wirings), np.zeros(self.units, np.int64)))

    @cached_property
    def out_degrees(self) -> Degrees:
        """How many of the units that it reads are read by how many of this layer; sources one after the other."""
        return Degrees.of(np.concatenate([wiring.out_degrees() for wiring in self.wirings]) if self.wirings else np.zeros(0, np.int64))

    @property
    def interior(self) -> int | None:
        """The degree of a unit away from borders: the largest, where edges are those of a window; None elsewhere."""
        return self.in_degrees.most if self.op.options.get("window") is not None and self.wirings else None

    def matrix(self, source: int | None = None, limit: int = EDGES) -> csr_array:
        """M, sparse, (units, inputs): what an edge multiplies, so that y.ravel() = M @ x.ravel() + b for one image, if the layer is linear.

        Of a convolution it is the doubly blocked Toeplitz matrix. For other layers it has a 1 for every edge. With several sources M is
        theirs side by side; source: only that of the one with this number.

        Raises ValueError for more than `limit` edges, with the size that M would have, ImportError without scipy.

        >>> conv = minicnn.nn.Conv2d(1, 1, 2, bias=False)
        >>> conv.weight.array[...] = np.reshape([1, 2, 3, 4], (1, 1, 2, 2))
        >>> minicnn.inspect.connectivity(conv, (1, 3, 3)).layers[0].matrix().toarray().astype(int)
        array([[1, 2, 0, 3, 4, 0, 0, 0, 0],
               [0, 1, 2, 0, 3, 4, 0, 0, 0],
               [0, 0, 0, 1, 2, 0, 3, 4, 0],
               [0, 0, 0, 0, 1, 2, 0, 3, 4]])
        """
        chosen = self._chosen(source)
        check_size(sum(wiring.edges for wiring in chosen), limit)
        parts = [wiring.matrix(self._dtype, limit) for wiring in chosen]
        return parts[0] if len(parts) == 1 else scipy_sparse().hstack(parts, format="csr")

    def listed(self, source: int = 0, limit: int = EDGES) -> Edges:
        """Every edge: row, column, tap and value. Edges with the same tap share a weight. Raises ValueError for more than `limit`."""
        return self._chosen(source)[0].listed(self._dtype, limit)

    def offset(self) -> np.ndarray:
        """b (units): what a linear layer makes of zeros."""
        if not self.linear:
            raise ValueError(f"{self.name} ({self.kind}) is not linear: it has no b")
        given = [np.zeros(i.shape, i.output.array.dtype) if isinstance(i, Op) else None if i is None else _plain(i)
                 for i in self.op.inputs]
        made = self.op.function(*given, **self.op.options)[0] if self.op.function else given[0]
        return np.asarray(made[0] if isinstance(made, tuple) else made).reshape(-1)

    def _chosen(self, source: int | None) -> list[Wiring]:
        if not self.wirings:
            raise ValueError(f"{self.name}: {self.note or 'it reads nothing of the network'}")
        if source is not None and not 0 <= source < len(self.wirings):
            raise ValueError(f"{self.name} reads {len(self.wirings)} ({', '.join(self.sources)}): source must be from 0 to "
                             f"{len(self.wirings) - 1}, got {source}")
        return self.wirings if source is None else [self.wirings[source]]

    @property
    def _dtype(self) -> Any:
        dtype = self.op.output.array.dtype
        return dtype if dtype.kind == "f" else np.float64

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "kind": self.kind, "reads": self.sources, "shape": self.shape, "units": self.units, "inputs": self.inputs,
            "how": self.how or None, "note": self.note, "edges": self.edges, "weights": self.weights, "sharing": self.sharing,
            "density": self.density, "in_degrees": self.in_degrees.counts, "out_degrees": self.out_degrees.counts,
            "interior_degree": self.interior,
            "fully_connected": {"edges": self.fully_connected, "weights": self.fully_connected},
            "locally_connected": {"edges": self.locally_connected, "weights": self.locally_connected,
                                  "weights_with_padding": self.padded},
            "sees": {"least": self.sees[0], "most": self.sees[1]}}


def _plain(value: Any) -> Any:
    return array(value) if hasattr(value, "array") else value
