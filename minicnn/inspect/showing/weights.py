"""filters(model): the weights of a layer as small pictures, and which of them are empty or alike."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.inputs import host
from minicnn.nn import ConvTranspose2d, Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMPTY = 0.01                     # of the median norm: below it a filter does next to nothing
ALIKE = 0.98                     # cosine: above it two filters do the same
LISTED = 12


@dataclass(repr=False, eq=False)
class Filters(Result):
    """weight: (F, C, KH, KW), or (F, C) of a linear layer; a transposed convolution's has the input's channels first.

    norms (F): the root of each filter's sum of squares. empty: filters whose norm is below 1 % of the median. alike: (i, j, cosine) of
    filters that point the same way or the opposite one, |cosine| at least 0.98.
    """
    layer: str
    kind: str
    weight: np.ndarray
    norms: np.ndarray
    empty: list[int]
    alike: list[tuple[int, int, float]]
    about: About

    def blocks(self) -> list[Block]:
        w = self.weight.reshape(len(self.weight), -1)
        order = np.argsort(-self.norms, kind="stable")[:LISTED]
        rows = [[str(i), f"{self.norms[i]:.4g}", f"{w[i].mean():+.4f}", f"{w[i].min():+.4f}", f"{w[i].max():+.4f}"] for i in order]
        table = Table(f"{self.about.network}, {self.layer}: {self.kind}, {len(w)} filters of {self.size()}",
                      [Column("filter"), Column("norm"), Column("mean"), Column("min"), Column("max")], rows,
                      [text for text in [drawing.left_out(len(rows), len(w), "filters", "those with the largest norms")] if text])
        return [table, self.verdict]

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        F = len(self.weight)
        if not np.isfinite(self.weight).all():
            return f"{int((~np.isfinite(self.weight)).sum())} weights of {self.layer} are not finite: the network is broken."
        said = []
        if self.empty:
            said.append(f"{len(self.empty)} of {F} filters are next to 0 (norm below 1 % of the median): {_listed(self.empty)}")
        if self.alike:
            i, j, cosine = max(self.alike, key=lambda pair: abs(pair[2]))
            pairs = f"{len(self.alike)} pairs" if len(self.alike) > 1 else "1 pair"
            said.append(f"{pairs} of filters do nearly the same (|cosine| at least {ALIKE}), such as {i} and {j} ({cosine:+.3f})")
        if not said:
            return f"None of the {F} filters of {self.layer} is next to 0, and no two of them do the same."
        return f"{self.layer}: {'; '.join(said)}."

    def size(self) -> str:
        return " x ".join(map(str, self.weight.shape[1:])) + (" (channels, height, width)" if self.weight.ndim == 4 else " weights")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "layer": self.layer, "kind": self.kind, "shape": self.weight.shape, "norms": self.norms,
                "empty": self.empty, "alike": [{"filters": [i, j], "cosine": c} for i, j, c in self.alike], "verdict": self.verdict,
                "weight": self.weight}

    def figure(self) -> Figure:
        """RGB filters in colour; of one channel side by side; of more a row a filter. A linear layer as a matrix."""
        from minicnn.inspect.showing.weight_pictures import draw

        return draw(self)


def filters(model: Module, layer: str | None = None, *, about: About | None = None) -> Filters:
    """The weights of a layer, in small pictures: what each filter of it looks for.

    layer: the name of a module with a weight of two or more axes, such as "features.3"; None: the first convolution, or the first such
    module of a network without one. about: what to call things.

    Raises TypeError for a model that is no Module, ValueError for a layer that does not exist, or a network without weights.

    >>> from minicnn import models
    >>> found = filters(models.LeNet())
    >>> found.layer, found.weight.shape
    ('conv1', (6, 1, 5, 5))
    """
    if not isinstance(model, Module):
        raise TypeError(f"filters: expected a Module, got {type(model).__name__}")
    found: dict[str, Any] = {path or type(model).__name__: module for path, module in model.named_modules()
                             if getattr(module, "weight", None) is not None and module.weight.ndim in (2, 4)}
    if not found:
        raise ValueError(f"filters: {type(model).__name__} has no layer with a weight of two or four axes")
    if layer is None:
        layer = next((path for path, module in found.items() if module.weight.ndim == 4), next(iter(found)))
    if layer not in found:
        raise ValueError(f"filters: {type(model).__name__} has no layer {layer!r} with weights; it has: {', '.join(found)}")
    module = found[layer]
    weight = host(module.weight).copy()
    kind = type(module).__name__ + (" (a row a channel of the input)" if isinstance(module, ConvTranspose2d) else "")
    return Filters(layer, kind, weight, *_measured(weight), (about or About()).named(model))


def _measured(weight: np.ndarray) -> tuple[np.ndarray, list[int], list[tuple[int, int, float]]]:
    """Norms, empty filters, and pairs that are alike; a filter of one weight is always like the others, so those are not compared."""
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    norms = np.sqrt(np.square(flat).sum(axis=1))
    empty = np.flatnonzero(norms <= EMPTY * np.median(norms)).tolist() if np.isfinite(norms).all() else []
    if flat.shape[1] < 2 or not np.isfinite(norms).all():
        return norms, empty, []
    unit = np.where(norms[:, None] > 0, flat / np.where(norms, norms, 1)[:, None], 0)
    cosine = np.triu(unit @ unit.T, 1)
    pairs = np.argwhere(np.abs(cosine) >= ALIKE)
    return norms, empty, [(int(i), int(j), float(cosine[i, j])) for i, j in pairs if i not in empty and j not in empty]


def _listed(numbers: list[int], most: int = 8) -> str:
    return ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
