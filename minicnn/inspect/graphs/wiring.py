"""Wiring: the edges from the units of one input to the units of a layer, as a product of axes: counted from the axes, listed on demand."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.inspect.graphs.axes import Axis

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EDGES = 20_000_000                 # the most that are listed: as a matrix a quarter of a gigabyte, and several times that to build it
BYTES = 12                         # of an edge in the matrix: a float32 and two int32


class Edges(NamedTuple):
    """One entry for each edge: row (the output unit), column (the input unit), tap (edges with one tap share one weight), value."""
    row: np.ndarray
    column: np.ndarray
    tap: np.ndarray
    value: np.ndarray


@dataclass(frozen=True, eq=False)
class Wiring:
    """Unit (o_1, o_2, ...) reads unit (i_1, i_2, ...) where every axis has an edge from i_k to o_k; its tap is made of theirs.

    values: by tap, in row-major order over the axes; None: all 1. learnt: whether they are parameters.
    """
    axes: tuple[Axis, ...]
    values: np.ndarray | None = None
    learnt: bool = False

    @property
    def outputs(self) -> int:
        return math.prod(axis.outputs for axis in self.axes)

    @property
    def inputs(self) -> int:
        return math.prod(axis.inputs for axis in self.axes)

    @property
    def edges(self) -> int:
        return math.prod(axis.edges for axis in self.axes)

    @property
    def taps(self) -> int:
        """The different taps that edges have."""
        return math.prod(axis.used for axis in self.axes)

    @property
    def joins(self) -> bool:
        """Whether some output reads several inputs."""
        return all(axis.edges for axis in self.axes) and any(axis.in_degrees().max() > 1 for axis in self.axes)

    def in_degrees(self) -> np.ndarray:
        """(outputs): edges into each output unit; the product of those of its axes."""
        return _outer(np.multiply.outer, [axis.in_degrees() for axis in self.axes])

    def out_degrees(self) -> np.ndarray:
        """(inputs): edges out of each input unit."""
        return _outer(np.multiply.outer, [axis.out_degrees() for axis in self.axes])

    def listed(self, dtype: Any = np.float64, limit: int = EDGES) -> Edges:
        """All edges. Raises ValueError for more than `limit`."""
        check_size(self.edges, limit)
        row, column, tap = (_mixed([getattr(axis, each) for axis in self.axes], [getattr(axis, size) for axis in self.axes])
                            for each, size in (("o", "outputs"), ("i", "inputs"), ("t", "taps")))
        value = np.ones(len(row), dtype) if self.values is None else np.asarray(self.values.reshape(-1)[tap], dtype)
        if any(axis.factor is not None for axis in self.axes):
            factors = [np.ones(axis.edges) if axis.factor is None else axis.factor for axis in self.axes]
            value = (_outer(np.multiply.outer, factors) * value).astype(dtype)
        return Edges(row, column, tap, value)

    def matrix(self, dtype: Any = np.float64, limit: int = EDGES) -> csr_array:
        """(outputs, inputs), the weight of every edge. Raises ValueError for too many edges, ImportError without scipy."""
        check_size(self.edges, limit)
        sparse = scipy_sparse()
        edges = self.listed(dtype, limit)
        return sparse.csr_array((edges.value, (edges.row, edges.column)), shape=(self.outputs, self.inputs))


def check_size(edges: int, limit: int) -> None:
    if edges > limit:
        raise ValueError(f"{edges:,} edges: as a matrix they would take {edges * BYTES / 1e9:.1f} GB, and to list them several times "
                         f"that; the limit is {limit:,} edges. Counts and degrees need no matrix; a smaller input makes a smaller one")


def scipy_sparse() -> Any:
    """scipy.sparse. Raises ImportError that says what to install."""
    try:
        import scipy.sparse
    except ImportError as error:
        raise ImportError(f"matrices need scipy ({error}): pip install 'minicnn[inspect]'") from None
    return scipy.sparse


def _outer(product: Callable[..., Any], vectors: list[np.ndarray]) -> np.ndarray:
    """All products of an entry of each, in row-major order."""
    return np.asarray(reduce(product, vectors)).reshape(-1)


def _mixed(numbers: list[np.ndarray], sizes: list[int]) -> np.ndarray:
    """ravel_multi_index of all combinations of an entry of each."""
    dtype = np.int32 if math.prod(sizes) < 2**31 else np.int64
    total = np.zeros(1, dtype)
    for number, size in zip(numbers, sizes, strict=True):
        total = np.add.outer(total * size, number.astype(dtype)).reshape(-1).astype(dtype, copy=False)
    return total
