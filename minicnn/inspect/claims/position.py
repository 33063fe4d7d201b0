"""The claim that a convolutional network cannot know where things are, on a task of two lines: is the dot in the upper or the lower half?

A network of L 3x3 convolutions and a maximum over the image knows nothing of where the dot is, as long as no unit sees the dot and the
border together: 2L pixels from the border. Nearer, the lack of padding tells it, since border pixels are in fewer windows, and zero padding
does, from 2L - 2 on: next to a background of zeros it is seen first by the second layer, whose own background is not zero.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minicnn import cat, nn, no_grad
from minicnn.document import Bold, Column, Table
from minicnn.inspect.claims.registry import HALF_TRUE, RIGHT, WRONG, Answer, claim
from minicnn.inspect.claims.training import Batch, Budget, spread, train
from minicnn.nn import functional as F
from minicnn.random import fork_rng
from minicnn.tensor import Tensor

LAYERS, WIDTH, DOT, BATCH, STEPS, RATE = 3, 16, 10.0, 32, 120, 0.005
KINDS = {"circular": "circular padding", "valid": "no padding", "zeros": "zero padding", "coordinates": "no padding, row channel"}


@dataclass(frozen=True)
class Task:
    """Images of size x size pixels with one dot, at least `margin` pixels from the border. Label 1: it is in the lower half."""
    name: str
    size: int
    margin: int

    def images(self, rows: np.ndarray, columns: np.ndarray) -> Batch:
        x = np.zeros((len(rows), 1, self.size, self.size), np.float32)
        x[np.arange(len(rows)), 0, rows, columns] = DOT
        return x, (rows >= self.size // 2).astype(np.int64)

    def batches(self, steps: int, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            rows, columns = rng.integers(self.margin, self.size - self.margin, (2, BATCH))
            yield self.images(rows, columns)

    def all(self) -> Batch:
        """Every dot once, so who guesses one half is right in exactly 50 %."""
        rows, columns = np.mgrid[self.margin:self.size - self.margin, self.margin:self.size - self.margin].reshape(2, -1)
        return self.images(rows, columns)


NEAR = Task("anywhere, 10x10", 4 * LAYERS - 2, 0)            # every dot is within reach of a border
FAR = Task("far from borders, 16x16", 4 * LAYERS + 4, 2 * LAYERS)


class Net(nn.Module):
    """Convolutions, the maximum of each channel over the image, two scores. kind: one of KINDS."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        channels = [2 if kind == "coordinates" else 1, *[WIDTH] * LAYERS]
        self.kind = kind
        self.convs = nn.Sequential(*[nn.Conv2d(c, f, 3, padding=1 if kind == "zeros" else 0)
                                     for c, f in pairwise(channels)])
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "coordinates":
            N, _, H, W = x.shape
            rows = np.linspace(-1, 1, H, dtype=np.float32)[:, None]
            x = cat([x, Tensor(np.ascontiguousarray(np.broadcast_to(rows, (N, 1, H, W))))], 1)
        for conv in self.convs:
            x = F.relu(conv(F.pad(x, (1, 1, 1, 1), mode="circular") if self.kind == "circular" else x))
        return self.head(F.adaptive_max_pool2d(x, 1).flatten(1))


def accuracy(net: nn.Module, batch: Batch) -> float:
    with no_grad():
        return float((net(Tensor(batch[0])).numpy().argmax(1) == batch[1]).mean())


@claim("absolute-position", "A convolutional network cannot tell where in the image something is", "cannot", trained=True)
def absolute_position(quoted: str, budget: Budget) -> Answer:
    found: dict[str, dict[str, list[float]]] = {task.name: {kind: [] for kind in KINDS} for task in (NEAR, FAR)}
    for task in (NEAR, FAR):
        for kind in KINDS:
            for seed in range(budget.seeds):
                budget.progress(f"{task.name}, {KINDS[kind]}, seed {seed + 1} of {budget.seeds}")
                with fork_rng(seed):
                    net = Net(kind)
                    train(net, task.batches(budget.steps or STEPS, seed), RATE)
                found[task.name][kind].append(accuracy(net, task.all()))
    rows = [[KINDS[kind], *(_accuracy(found[task.name][kind]) for task in (NEAR, FAR))] for kind in KINDS]
    table = Table("", [Column("dots", left=True), Column(NEAR.name), Column(FAR.name)], rows,
                  [f"Upper or lower half? Accuracy over every place of the dot; guessing gives 50 %. {budget.over}",
                   f"far from borders: {2 * LAYERS} or more pixels.",
                   "row channel: a second channel that holds each pixel's row (CoordConv).",
                   f"{LAYERS} convolutions of 3x3 and {WIDTH} channels, maximum over the image; {budget.steps or STEPS} steps of Adam, "
                   f"{BATCH} dots each, rate {RATE}."])
    mean = {(task.name, kind): float(np.mean(found[task.name][kind])) for task in (NEAR, FAR) for kind in KINDS}
    blind = all(mean[key] == 0.5 for key in ((NEAR.name, "circular"), *((FAR.name, kind) for kind in ("circular", "valid", "zeros"))))
    padded = mean[NEAR.name, "zeros"], mean[NEAR.name, "valid"]
    verdict = (RIGHT if max(padded) == 0.5 else HALF_TRUE) if blind else WRONG
    told = mean[NEAR.name, "coordinates"]
    return Answer(verdict, f"50% without borders; {padded[0]:.0%} with zero padding; {told:.0%} with coordinates",
                  "Shared weights alone cannot: far from the border, and with circular padding, the scores are the same wherever the "
                  "dot is. A border within reach gives it away, by zeros or because fewer windows cover it; a channel that holds the row "
                  "tells it everywhere.", {"accuracies": found, "chance": 0.5}, (table,), {"accuracies": found})


def _accuracy(values: list[float]) -> str:
    text = spread(values, "{:.0%}")
    return Bold(text) if np.mean(values) == 0.5 else text
