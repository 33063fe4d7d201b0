"""activation_statistics(model, x): how the values of every layer are distributed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.recorder import record
from minicnn.inspect.result import Result
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.inputs import batches, host
from minicnn.inspect.showing.sums import LayerStatistics, Sums
from minicnn.nn import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(repr=False, eq=False)
class ActivationStatistics(Result):
    """layers: in the order in which they ran. images: how many were looked at."""
    layers: list[LayerStatistics]
    images: int
    about: About

    def layer(self, name: str) -> LayerStatistics:
        """The layer called `name`. Raises ValueError that lists all names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"there is no layer {name!r}; there are: {', '.join(layer.name for layer in self.layers)}")

    def blocks(self) -> list[Block]:
        rows = [[r.name, r.kind, f"{r.mean:.3g}", f"{r.std:.3g}", f"{r.min:.3g}", f"{r.max:.3g}", f"{r.zeros:.1%}",
                 "" if r.saturated is None else f"{r.saturated:.1%}"] for r in self.layers]
        columns = [Column("layer", True), Column("kind", True, aside=True),
                   *map(Column, ("mean", "std", "min", "max", "zeros", "saturated"))]
        if all(r.saturated is None for r in self.layers):
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        return [Table(f"{self.about.network}: what the layers give for {self.images:,} images", columns, rows), self.verdict]

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        broken = next((r for r in self.layers if r.not_finite), None)
        if broken:
            return f"{broken.not_finite:,} values of {broken.name} are not finite: it is the first layer where numbers overflow."
        flat = [r.name for r in self.layers if r.values > r.shape[0] and r.std == 0]
        if flat:
            others = f", and so do {len(flat) - 1} more layers" if len(flat) > 1 else ""
            return f"{flat[0]} gives the same value everywhere{others}: nothing passes through."
        saturated = max((r for r in self.layers if r.saturated is not None), key=lambda r: r.saturated or 0.0, default=None)
        widest, narrowest = max(self.layers, key=lambda r: r.std), min(self.layers, key=lambda r: r.std)
        more = f" {saturated.saturated:.0%} of {saturated.name} is saturated." if saturated and saturated.saturated else ""
        return (f"The standard deviation of a layer's values goes from {narrowest.std:.3g} ({narrowest.name}) to {widest.std:.3g} "
                f"({widest.name}): a factor of {widest.std / narrowest.std if narrowest.std else np.inf:.3g}.{more}")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "images": self.images, "verdict": self.verdict, "layers": [vars(r) for r in self.layers]}

    def figure(self) -> Figure:
        """Histograms, a layer a row."""
        from minicnn.inspect.showing.histograms import histograms

        return histograms(self)


def activation_statistics(model: Module, x: Any, *, about: About | None = None) -> ActivationStatistics:
    """Mean, standard deviation, range, zeros and saturation of what every layer gives, per layer and per channel, with a histogram.

    x: images (N, ...) as the network is fed with them, or a loader of batches (images, labels). The network runs twice, in eval mode, and
    is left as it was.

    Raises ValueError for no image.
    """
    found = batches("activation_statistics", model, x)
    sums: dict[str, Sums] = {}
    for step in (Sums.first, Sums.second):
        for batch in found:
            for layer in record(model, batch).layers:
                step(sums.setdefault(layer.name, Sums(layer)), _rows(host(layer.output.output)))
    images = sum(len(batch) for batch in found)
    return ActivationStatistics([s.result(images) for s in sums.values()], images, (about or About()).named(model))


def _rows(y: np.ndarray) -> np.ndarray:
    """(N, C, ...) -> (C, all others)"""
    return np.moveaxis(y, 1, 0).reshape(y.shape[1], -1) if y.ndim > 1 else y.reshape(1, -1)
