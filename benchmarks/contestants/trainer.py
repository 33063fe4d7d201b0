"""What a contestant that trains offers."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays
from minicnn.benchmarks.rule import Rule


class Trainer(Protocol):
    """A network with the initial weights that all contestants share, and the problem's rule for a step.

    It computes in the dtype that it is made with: float32 to be timed, float64 to be held against another.
    """
    rule: Rule

    def batch(self, x: np.ndarray, labels: np.ndarray) -> Any:
        """Images (N, C, H, W) and labels (N,) as the contestant's library likes them."""

    def step(self, batch: Any, rates: Sequence[float]) -> Any:
        """One step by the rule, done when it returns: the loss, as something that float() takes. rates: the groups' learning rates."""

    def gradients(self) -> Arrays:
        """Of the first step, by minicnn's names, in its layout."""

    def parameters(self) -> Arrays:
        """As they are now, by minicnn's names, in its layout."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Logits (N, classes) in eval mode: of the averages, where the rule has them and a step has been made."""
