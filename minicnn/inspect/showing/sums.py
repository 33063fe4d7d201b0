"""The statistics of one layer, from batches that come one after the other, twice."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.inspect.recorder import Layer

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


class Sums:
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
