"""activation_statistics(model, x): how the values of every layer are distributed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.recorder import Layer, record
from minicnn.inspect.result import Result
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.inputs import batches, host
from minicnn.nn import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 60
SATURATED = {"sigmoid": (0.01, 0.99), "tanh": (-0.98, 0.98), "softmax": (0.01, 0.99)}         # outside of it the slope is next to 0


@dataclass(eq=False)
class LayerStatistics:
    """Of all values that a layer gave: mean, standard deviation, min, max, the share that is 0, the share that is saturated (of a sigmoid,
    outside 0.01..0.99; of tanh, beyond 0.98; None for others), and how many are not finite, which the rest leaves out.

    channel_mean, channel_std, channel_zeros (C): of each channel or unit. counts (60), edges (61): a histogram.
    """
    name: str
    kind: str
    shape: tuple[int, ...]
    values: int
    mean: float
    std: float
    min: float
    max: float
    zeros: float
    saturated: float | None
    not_finite: int
    channel_mean: np.ndarray
    channel_std: np.ndarray
    channel_zeros: np.ndarray
    counts: np.ndarray
    edges: np.ndarray


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


class _Sums:
    """What one layer gave so far."""

    def __init__(self, layer: Layer) -> None:
        self.layer, C = layer, layer.shape[1] if len(layer.shape) > 1 else 1
        self.count = self.zeros = self.not_finite = self.outside = 0
        self.low, self.high = np.inf, -np.inf
        self.channel_count, self.channel_sum, self.channel_zeros, self.channel_squares = (np.zeros(C) for _ in range(4))
        self.counts = np.zeros(BINS, np.int64)

    @property
    def channel_mean(self) -> np.ndarray:
        return self.channel_sum / np.maximum(self.channel_count, 1)

    def first(self, rows: np.ndarray) -> None:
        """rows: (C, values). Everything but what needs the mean and the range, which come from this."""
        finite = np.isfinite(rows)
        self.count += rows.size
        self.not_finite += int((~finite).sum())
        rows = np.where(finite, rows, 0).astype(np.float64)
        zero = (rows == 0) & finite
        self.channel_count += finite.sum(axis=1)
        self.channel_sum += rows.sum(axis=1)
        self.channel_zeros += zero.sum(axis=1)
        if finite.any():
            self.low, self.high = min(self.low, float(rows[finite].min())), max(self.high, float(rows[finite].max()))
        if limits := SATURATED.get(self.layer.output.name):
            self.outside += int(((rows < limits[0]) | (rows > limits[1]))[finite].sum())

    def second(self, rows: np.ndarray) -> None:
        """Squares of what is left without the mean: E[x²] - E[x]² would lose all digits where the mean is large."""
        finite = np.isfinite(rows)
        self.channel_squares += np.where(finite, np.square(np.where(finite, rows, 0) - self.channel_mean[:, None]), 0).sum(axis=1)
        if finite.any():
            self.counts += np.histogram(rows[finite].astype(np.float64), BINS, self._range())[0]

    def _range(self) -> tuple[float, float]:
        return (self.low, self.high) if self.low < self.high else (self.low - 0.5, self.low + 0.5)

    def result(self, images: int) -> LayerStatistics:
        n = np.maximum(self.channel_count, 1)
        total = max(1.0, float(self.channel_count.sum()))
        mean = float(self.channel_sum.sum() / total)
        between = self.channel_count * np.square(self.channel_mean - mean)
        std = float(np.sqrt((self.channel_squares + between).sum() / total))
        known = self.layer.output.name in SATURATED
        edges = np.linspace(*self._range(), BINS + 1) if self.low <= self.high else np.linspace(0, 1, BINS + 1)
        return LayerStatistics(
            self.layer.name, self.layer.kind, (images, *self.layer.shape[1:]), self.count, mean, std, self.low, self.high,
            float(self.channel_zeros.sum() / total), self.outside / total if known else None, self.not_finite, self.channel_mean,
            np.sqrt(self.channel_squares / n), self.channel_zeros / n, self.counts, edges)


def activation_statistics(model: Module, x: Any, *, about: About | None = None) -> ActivationStatistics:
    """Mean, standard deviation, range, zeros and saturation of what every layer gives, per layer and per channel, with a histogram.

    x: images (N, ...) as the network is fed with them, or a loader of batches (images, labels). The network runs twice, in eval mode, and
    is left as it was.

    Raises ValueError for no image.
    """
    found = batches("activation_statistics", model, x)
    sums: dict[str, _Sums] = {}
    for step in (_Sums.first, _Sums.second):
        for batch in found:
            for layer in record(model, batch).layers:
                step(sums.setdefault(layer.name, _Sums(layer)), _rows(host(layer.output.output)))
    images = sum(len(batch) for batch in found)
    return ActivationStatistics([s.result(images) for s in sums.values()], images, (about or About()).named(model))


def _rows(y: np.ndarray) -> np.ndarray:
    """(N, C, ...) -> (C, all others)"""
    return np.moveaxis(y, 1, 0).reshape(y.shape[1], -1) if y.ndim > 1 else y.reshape(1, -1)
