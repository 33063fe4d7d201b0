"""Batch normalisation in training: with the batch's own mean and variance."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.problem import Arrays, rounding_bound, small_integers

EPS = 1e-5


@dataclass(frozen=True)
class BatchNorm:
    """x, y (N, C, H, W); gamma, beta (C)."""
    N: int
    C: int
    H: int
    W: int

    family: ClassVar[str] = "batch-norm"
    bound: ClassVar[str] = "memory"
    directions: ClassVar[tuple[str, ...]] = ("forward", "backward")

    @classmethod
    def parse(cls, problem: str) -> BatchNorm:
        """Read a problem string, such as mb64ic32ih28."""
        s = text.read(problem, ("mb", "ic", "ih"), ("iw",))
        return cls(s["mb"], s["ic"], s["ih"], s["iw"])

    def __str__(self) -> str:
        return text.write({"mb": self.N, "ic": self.C, "ih": self.H, "iw": self.W})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.N, self.C, self.H, self.W

    def arrays(self, seed: int) -> Arrays:
        random = np.random.default_rng(seed)
        x, dy = small_integers(self.shape, 8, random), small_integers(self.shape, 8, random)
        return {"x": x, "dy": dy, "gamma": random.uniform(0.5, 2, self.C).astype(np.float32),
                "beta": random.standard_normal(self.C).astype(np.float32)}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        x, dy, gamma, beta = (arrays[name].astype(np.float64) for name in ("x", "dy", "gamma", "beta"))
        gamma, beta = gamma[:, None, None], beta[:, None, None]
        inverse_std = 1 / np.sqrt(x.var(axis=(0, 2, 3), keepdims=True) + EPS)
        x_hat = (x - x.mean(axis=(0, 2, 3), keepdims=True)) * inverse_std
        if direction == "forward":
            return {"y": gamma * x_hat + beta}
        M, dbeta, dgamma = x.size / self.C, dy.sum(axis=(0, 2, 3), keepdims=True), (dy * x_hat).sum(axis=(0, 2, 3), keepdims=True)
        dx = gamma * inverse_std * (dy - dbeta / M - x_hat * dgamma / M)
        return {"dx": dx, "dgamma": dgamma.reshape(-1), "dbeta": dbeta.reshape(-1)}

    def magnitudes(self, direction: str, arrays: Arrays) -> Arrays:
        """The terms of the formulas above with their signs taken away; x - mean counts as |x| + mean|x|."""
        x, dy, gamma, beta = (np.abs(arrays[name].astype(np.float64)) for name in ("x", "dy", "gamma", "beta"))
        gamma, beta, axes = gamma[:, None, None], beta[:, None, None], (0, 2, 3)
        inverse_std = 1 / np.sqrt(arrays["x"].astype(np.float64).var(axis=axes, keepdims=True) + EPS)
        x_hat = (x + x.mean(axis=axes, keepdims=True)) * inverse_std
        if direction == "forward":
            return {"y": gamma * x_hat + beta}
        dbeta, dgamma = dy.sum(axis=axes, keepdims=True), (dy * x_hat).sum(axis=axes, keepdims=True)
        M = x.size / self.C
        return {"dx": gamma * inverse_std * (dy + dbeta / M + x_hat * dgamma / M), "dgamma": dgamma.reshape(-1), "dbeta": dbeta.reshape(-1)}

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        return rounding_bound(self.roundings(direction), self.magnitudes(direction, arrays))

    def roundings(self, direction: str) -> int:
        """Three sums over a channel (mean, variance, and backward dgamma), one after the other, and a dozen operations an element."""
        return 3 * self.N * self.H * self.W + 12

    def macs(self, direction: str) -> int:
        """Four an element forward (mean, two for the variance, scale and shift), five backward."""
        return int(np.prod(self.shape)) * (4 if direction == "forward" else 5)

    def bytes(self, direction: str) -> int:
        """x and y; backward x, dy and dx."""
        return 4 * int(np.prod(self.shape)) * (2 if direction == "forward" else 3)
