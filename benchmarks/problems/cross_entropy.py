"""Softmax and cross-entropy: the mean loss of a batch of logits, and its gradient."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.problem import Arrays, rounding_bound


@dataclass(frozen=True)
class CrossEntropy:
    """logits x (N, K), labels (N) -> the mean loss; backward is given the loss's gradient 1."""
    N: int
    K: int

    family: ClassVar[str] = "cross-entropy"
    bound: ClassVar[str] = "memory"
    directions: ClassVar[tuple[str, ...]] = ("forward", "backward")

    @classmethod
    def parse(cls, problem: str) -> CrossEntropy:
        """Read a problem string, such as mb64ic10."""
        s = text.read(problem, ("mb", "ic"))
        return cls(s["mb"], s["ic"])

    def __str__(self) -> str:
        return text.write({"mb": self.N, "ic": self.K})

    def arrays(self, seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        return {"x": random.standard_normal((self.N, self.K)).astype(np.float32) * 3, "labels": random.integers(0, self.K, self.N)}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """The textbook's formula in float64, without taking the maximum out: logits here are far too small to overflow it."""
        exp, rows = np.exp(arrays["x"].astype(np.float64)), np.arange(self.N)
        p = exp / exp.sum(axis=1, keepdims=True)
        if direction == "forward":
            return {"loss": np.asarray(-np.log(p[rows, arrays["labels"]]).mean())}
        p[rows, arrays["labels"]] -= 1
        return {"dx": p / self.N}

    def magnitudes(self, direction: str, arrays: Arrays) -> Arrays:
        """The rounding of a logit x counts |x| in log(sum exp(x)) - x, and p * |x| in p = exp(x) / sum."""
        x, rows = arrays["x"].astype(np.float64), np.arange(self.N)
        largest = np.abs(x).max(axis=1)
        if direction == "forward":
            return {"loss": np.asarray((1 + 3 * largest + np.log(self.K)).mean())}
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) * (1 + 2 * largest[:, None])
        p[rows, arrays["labels"]] += 1
        return {"dx": p / self.N}

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        return rounding_bound(self.roundings(direction), self.magnitudes(direction, arrays))

    def roundings(self, direction: str) -> int:
        """The sum over the classes, the mean over the batch, and a dozen operations (an exp or log errs by a few units)."""
        return self.K + 12 + (self.N if direction == "forward" else 0)

    def macs(self, direction: str) -> int:
        """Half of about four operations a logit; exp counts as one."""
        return 2 * self.N * self.K

    def bytes(self, direction: str) -> int:
        """The logits, and the probabilities (written forward, read backward), and backward the gradient in place of the logits."""
        return 4 * 2 * self.N * self.K + 8 * self.N
