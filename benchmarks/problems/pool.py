"""Max and average pooling."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.problem import Arrays, exact_range, rounding_bound, small_integers
from minicnn.kernels.window import Window2d

KINDS = ("max", "avg")


@dataclass(frozen=True)
class Pool:
    """x (N, C, H, W) -> y (N, C, OH, OW): the largest value, or the mean, under each window. `max:` or `avg:` leads the problem string."""
    kind: str
    N: int
    C: int
    H: int
    W: int
    window: Window2d

    family: ClassVar[str] = "pool"
    bound: ClassVar[str] = "memory"
    directions: ClassVar[tuple[str, ...]] = ("forward", "backward")

    @classmethod
    def parse(cls, problem: str) -> Pool:
        """Read a problem string.

        >>> Pool.parse("max:mb64ic32ih28oh14kh2sh2").y_shape
        (64, 32, 14, 14)
        """
        kind, colon, sizes = problem.partition(":")
        if kind not in KINDS or not colon:
            raise ValueError(f"problem {problem!r}: expected max: or avg: first, such as max:mb64ic32ih28oh14kh2sh2")
        s = text.read(sizes, ("mb", "ic", "ih", "kh"), ("iw", "oh", "ow", "kw", "sh", "sw", "ph", "pw"))
        try:
            window = Window2d.of((s["kh"], s["kw"]), (s["sh"], s["sw"]), (s["ph"], s["pw"]), input_size=(s["ih"], s["iw"]))
        except ValueError as error:
            raise ValueError(f"problem {problem!r}: {error}") from None
        OH, OW = window.output_size((s["ih"], s["iw"]))
        text.agree(problem, s, {"oh": OH, "ow": OW})
        for side, k in ((s["ph"], s["kh"]), (s["pw"], s["kw"])):
            if side > k // 2:
                raise ValueError(f"problem {problem!r}: padding {side} is more than half of the kernel's {k}")
        return cls(kind, s["mb"], s["ic"], s["ih"], s["iw"], window)

    def __str__(self) -> str:
        (KH, KW), (SH, SW), (PH, _, PW, _), (OH, OW) = self.window.kernel, self.window.stride, self.window.padding, self.y_shape[2:]
        return f"{self.kind}:" + text.write({"mb": self.N, "ic": self.C, "ih": self.H, "iw": self.W, "oh": OH, "ow": OW,
                                             "kh": KH, "kw": KW, "sh": SH, "sw": SW, "ph": PH, "pw": PW})

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.N, self.C, self.H, self.W

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.N, self.C, *self.window.output_size((self.H, self.W))

    def arrays(self, seed: int) -> Arrays:
        """Small integers: ties are many, and the first of equal values must win."""
        random, most = np.random.default_rng(seed), exact_range(self.roundings("backward"))
        return {"x": small_integers(self.x_shape, most, random), "dy": small_integers(self.y_shape, most, random)}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """All windows laid out side by side as a view, then one maximum, mean or scatter over them: NumPy's own functions."""
        x, dy = arrays["x"].astype(np.float64), arrays["dy"].astype(np.float64)
        windows = self._windows(self.window.pad(x, -np.inf if self.kind == "max" else 0))         # (N, C, OH, OW, KH, KW)
        if direction == "forward":
            return {"y": windows.max(axis=(4, 5)) if self.kind == "max" else windows.mean(axis=(4, 5))}
        dx = np.zeros((self.N, self.C, *self.window.padded_size((self.H, self.W))))
        pixels = self._windows(np.arange(dx.size).reshape(dx.shape)).reshape(*self.y_shape, -1)   # flat index of what each window reads
        if self.kind == "max":
            first = windows.reshape(*self.y_shape, -1).argmax(axis=4)
            np.add.at(dx.reshape(-1), np.take_along_axis(pixels, first[..., None], axis=4)[..., 0], dy)
        else:
            np.add.at(dx.reshape(-1), pixels, dy[..., None] / pixels.shape[4])
        return {"dx": self.window.crop(dx, (self.H, self.W))}

    def magnitudes(self, direction: str, arrays: Arrays) -> Arrays:
        if self.kind == "max" and direction == "forward":
            return {"y": np.abs(self.answers(direction, arrays)["y"])}
        return self.answers(direction, {"x": arrays["x"] if self.kind == "max" else np.abs(arrays["x"]), "dy": np.abs(arrays["dy"])})

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        return rounding_bound(self.roundings(direction), self.magnitudes(direction, arrays))

    def roundings(self, direction: str) -> int:
        """A window's values, or the windows over a pixel, and a division."""
        return int(np.prod(self.window.kernel)) + 1

    def macs(self, direction: str) -> int:
        """Half a multiply-add for every comparison or addition."""
        return int(np.prod(self.y_shape)) * int(np.prod(self.window.kernel)) // 2

    def bytes(self, direction: str) -> int:
        """x and y; max pooling also writes, or reads, which pixel won: one index of 8 bytes an output."""
        return 4 * (int(np.prod(self.x_shape)) + int(np.prod(self.y_shape))) + (8 * int(np.prod(self.y_shape)) if self.kind == "max" else 0)

    def _windows(self, padded: np.ndarray) -> np.ndarray:
        SH, SW = self.window.stride
        OH, OW = self.y_shape[2:]
        return sliding_window_view(padded, self.window.kernel, axis=(2, 3))[:, :, ::SH, ::SW][:, :, :OH, :OW]
