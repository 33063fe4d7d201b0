"""The images that the checks use, in memory, and the few lines of training that they need."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.autograd import no_grad
from minicnn.inspect.recorder import in_mode
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.functional import cross_entropy
from minicnn.optim import Optimizer
from minicnn.tensor import Tensor

Loss = Callable[[Any, Any], Any]
Build = Callable[[Any], Optimizer]         # parameters -> optimiser
BATCH = 64
QUIETLY = np.errstate(over="ignore", invalid="ignore", divide="ignore")


@dataclass(frozen=True)
class Data:
    """Images (N, C, H, W) as the network is fed with them, and their labels (N)."""
    x: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Data:
        return Data(self.x[:count], self.labels[:count])

    def batches(self, size: int, rng: np.random.Generator) -> Iterable[Data]:
        """Forever, shuffled anew in each pass; the last, incomplete batch of a pass is left out unless it is the only one."""
        while True:
            order = rng.permutation(len(self))
            for start in range(0, max(1, len(self) - size + 1), size):
                picked = order[start:start + size]
                yield Data(self.x[picked], self.labels[picked])


def collect(loader: Any, limit: int, what: str) -> Data:
    """Up to `limit` images of a loader of (images, labels) batches, a Data, or a pair of arrays.

    Raises ValueError for a loader without a batch, and for images and labels of unequal number.
    """
    if isinstance(loader, Data):
        return loader.first(limit)
    if isinstance(loader, tuple) and len(loader) == 2 and hasattr(loader[0], "shape") and hasattr(loader[1], "shape"):
        loader = [loader]
    xs, ys, count = [], [], 0
    for x, y in loader:
        x, y = (devices.host(t.array) if isinstance(t, Tensor) else np.asarray(t) for t in (x, y))
        if len(x) != len(y):
            raise ValueError(f"checkup: {what} has {len(x)} images and {len(y)} labels in one batch")
        xs.append(x)
        ys.append(y)
        count += len(x)
        if count >= limit:
            break
    if not count:
        raise ValueError(f"checkup: {what} has no image")
    return Data(np.concatenate(xs)[:limit], np.concatenate(ys)[:limit])


@dataclass(frozen=True)
class Patient:
    """What every check gets. fresh(): a new copy of the network with its initial weights, in training mode; trained: with its trained
    ones, or None where it has not been trained."""
    initial: Module
    trained: Module | None
    train: Data
    test: Data | None
    loss_function: Loss
    optimizer: Build
    classes: int
    steps: int
    batch_size: int
    seed: int

    def fresh(self) -> Module:
        return copy.deepcopy(self.initial).train()

    def batch(self) -> Data:
        """The first images of the training set."""
        return self.train.first(self.batch_size)


def place(model: Module, data: Data) -> tuple[Tensor, Tensor]:
    """A batch on the model's device."""
    where = next((devices.device_of(p.array) for p in model.parameters()), "cpu")
    return Tensor(data.x).to(where), Tensor(data.labels).to(where)


@QUIETLY
def train(model: Module, optimizer: Optimizer, batches: Iterable[Data], steps: int, loss_function: Loss = cross_entropy,
          enough: float = -math.inf) -> list[float]:
    """`steps` steps of training, or as many as bring the loss down to `enough`. Returns the loss before each; stops at NaN."""
    losses: list[float] = []
    for batch in batches:
        x, labels = place(model, batch)
        optimizer.zero_grad()
        loss = loss_function(model(x), labels)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or losses[-1] <= enough or len(losses) > steps:
            break
        if loss.requires_grad:
            loss.backward()
        optimizer.step()
    return losses


@no_grad()
@QUIETLY
def outputs(model: Module, data: Data, size: int = 256) -> np.ndarray:
    """The scores (N, classes) in eval mode; the mode is put back."""
    with in_mode(model, False):
        return np.concatenate([devices.host(model(place(model, Data(data.x[i:i + size], data.labels[i:i + size]))[0]).array)
                               for i in range(0, len(data), size)])


def accuracy(model: Module, data: Data) -> float:
    """The share of images predicted right."""
    return float((outputs(model, data).argmax(axis=1) == data.labels).mean())


def weights(model: Module) -> dict[str, Any]:
    """The weights that have a filter or a row for each output: (F, ...) with two axes at least, by name, on the host."""
    return {name: devices.host(p.array).copy() for name, p in model.named_parameters() if p.ndim >= 2}


def layers_with_weights(model: Module) -> list[tuple[str, Module]]:
    """The modules that have such a weight of their own."""
    return [(path, m) for path, m in model.named_modules()
            if any(p.ndim >= 2 for _, p in m.named_parameters(recurse=False))]
