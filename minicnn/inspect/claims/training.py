"""The training loop of the claims that need one, and what is said while it runs."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from minicnn import optim
from minicnn.nn import Module
from minicnn.nn import functional as F
from minicnn.tensor import Tensor

Batch = tuple[np.ndarray, np.ndarray]                          # images (N, C, H, W), labels (N,)


@dataclass(frozen=True)
class Budget:
    """How much a trained claim may train. progress: told a text before each network."""
    seeds: int = 3
    steps: int | None = None                                   # None: as many as the claim itself wants
    progress: Callable[[str], None] = lambda text: None

    def __post_init__(self) -> None:
        for name in ("seeds", "steps"):
            value = getattr(self, name)
            if not (value is None and name == "steps") and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is {value!r}: give a whole number from 1")

    @property
    def over(self) -> str:
        """What the numbers of a table are."""
        return "One seed." if self.seeds == 1 else f"Mean of {self.seeds} seeds and their range."


def spread(values: list[float], form: str) -> str:
    """The mean and, where they differ, the range."""
    mean, low, high = (form.format(value) for value in (np.mean(values), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


def train(model: Module, batches: Iterable[Batch], lr: float) -> np.ndarray:
    """Adam on cross-entropy, one step a batch. The loss of every batch before its step."""
    optimizer, losses = optim.Adam(model.parameters(), lr=lr), []
    for images, labels in batches:
        loss = F.cross_entropy(model(Tensor(images)), Tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)
