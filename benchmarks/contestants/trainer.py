"""What a contestant that trains offers."""
from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays


class Trainer(Protocol):
    """A network with the initial weights that all contestants share, and SGD with momentum."""

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        """Images (N, C, H, W) and labels (N,) as the contestant's library likes them."""

    def step(self, batch: Any, lr: float) -> Any:
        """One optimiser step, done when it returns: the loss, as something that float() takes."""

    def gradients(self) -> Arrays:
        """Of the first step, by minicnn's names, in its layout."""

    def parameters(self) -> Arrays:
        """As they are now, by minicnn's names, in its layout."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Logits (N, classes) in eval mode."""
