"""The fully connected layer: y = x @ w.T, and both gradients."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.problem import Arrays, exact_range, rounding_bound, small_integers


@dataclass(frozen=True)
class Linear:
    """x (N, I), w (O, I) -> y (N, O), no bias."""
    N: int
    I: int
    O: int

    family: ClassVar[str] = "linear"
    bound: ClassVar[str] = "compute"
    directions: ClassVar[tuple[str, ...]] = ("forward", "grad_input", "grad_weight")

    @classmethod
    def parse(cls, problem: str) -> Linear:
        """Read a problem string, such as mb64ic3136oc128."""
        s = text.read(problem, ("mb", "ic", "oc"))
        return cls(s["mb"], s["ic"], s["oc"])

    def __str__(self) -> str:
        return text.write({"mb": self.N, "ic": self.I, "oc": self.O})

    def arrays(self, seed: int) -> Arrays:
        random, most = np.random.default_rng(seed), exact_range(max(self.N, self.I, self.O))
        shapes = {"x": (self.N, self.I), "w": (self.O, self.I), "dy": (self.N, self.O)}
        return {name: small_integers(shape, most, random) for name, shape in shapes.items()}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """einsum's own loops, which are no BLAS."""
        x, w, dy = (arrays[name].astype(np.float64) for name in ("x", "w", "dy"))
        if direction == "forward":
            return {"y": np.einsum("ni,oi->no", x, w)}
        if direction == "grad_input":
            return {"dx": np.einsum("no,oi->ni", dy, w)}
        return {"dw": np.einsum("no,ni->oi", dy, x)}

    def magnitudes(self, direction: str, arrays: Arrays) -> Arrays:
        return self.answers(direction, {name: np.abs(a) for name, a in arrays.items()})

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        return rounding_bound(self.roundings(direction), self.magnitudes(direction, arrays))

    def roundings(self, direction: str) -> int:
        return {"forward": self.I, "grad_input": self.O, "grad_weight": self.N}[direction]

    def macs(self, direction: str) -> int:
        return self.N * self.I * self.O

    def bytes(self, direction: str) -> int:
        return 4 * (self.N * self.I + self.O * self.I + self.N * self.O)
