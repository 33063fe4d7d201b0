"""Convolution: y = w * x, the gradient of x, and the gradient of w."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minicnn.benchmarks.problems import text
from minicnn.benchmarks.problems.problem import Arrays, exact_range, rounding_bound, small_integers
from minicnn.kernels import reference
from minicnn.kernels.numpy_backend import shift_and_add
from minicnn.kernels.window import Window2d

LOOPS_LIMIT = 200_000       # multiply-adds: nested loops in Python do that in a fifth of a second
NEEDED = ("mb", "ic", "ih", "oc", "kh")
OPTIONAL = ("g", "iw", "oh", "ow", "kw", "sh", "sw", "ph", "pw", "dh", "dw")


@dataclass(frozen=True)
class Conv:
    """x (N, C, H, W), w (F, C/G, KH, KW) -> y (N, F, OH, OW), no bias."""
    N: int
    C: int
    H: int
    W: int
    F: int
    window: Window2d
    groups: int = 1

    family: ClassVar[str] = "conv"
    bound: ClassVar[str] = "compute"
    directions: ClassVar[tuple[str, ...]] = ("forward", "grad_input", "grad_weight")

    @classmethod
    def parse(cls, problem: str) -> Conv:
        """Read a problem string. Raises ValueError for one that is not a convolution.

        >>> Conv.parse("mb64ic32ih28oc32oh28kh3ph1").w_shape
        (32, 32, 3, 3)
        """
        s = text.read(problem, NEEDED, OPTIONAL)
        try:
            window = Window2d.of((s["kh"], s["kw"]), (s["sh"], s["sw"]), (s["ph"], s["pw"]), (s["dh"] + 1, s["dw"] + 1),
                                 input_size=(s["ih"], s["iw"]))
        except ValueError as error:
            raise ValueError(f"problem {problem!r}: {error}") from None
        OH, OW = window.output_size((s["ih"], s["iw"]))
        text.agree(problem, s, {"oh": OH, "ow": OW})
        for name in ("ic", "oc"):
            if s[name] % s["g"]:
                raise ValueError(f"problem {problem!r}: {name} {s[name]} is not a multiple of g {s['g']}")
        return cls(s["mb"], s["ic"], s["ih"], s["iw"], s["oc"], window, s["g"])

    def __str__(self) -> str:
        (KH, KW), (SH, SW), (DH, DW), (PH, _, PW, _) = self.window.kernel, self.window.stride, self.window.dilation, self.window.padding
        OH, OW = self.window.output_size((self.H, self.W))
        return text.write({"g": self.groups, "mb": self.N, "ic": self.C, "ih": self.H, "iw": self.W, "oc": self.F, "oh": OH, "ow": OW,
                           "kh": KH, "kw": KW, "sh": SH, "sw": SW, "ph": PH, "pw": PW, "dh": DH - 1, "dw": DW - 1})

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.N, self.C, self.H, self.W

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.F, self.C // self.groups, *self.window.kernel

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.N, self.F, *self.window.output_size((self.H, self.W))

    def arrays(self, seed: int) -> Arrays:
        random, most = np.random.default_rng(seed), exact_range(max(self.roundings(d) for d in self.directions))
        shapes = {"x": self.x_shape, "w": self.w_shape, "dy": self.y_shape}
        return {name: small_integers(shape, most, random) for name, shape in shapes.items()}

    def answers(self, direction: str, arrays: Arrays) -> Arrays:
        """The nested loops where they finish, else shift-and-add in float64 (held to the definition at some points by `spot_check`)."""
        x, w, dy = (arrays[name].astype(np.float64) for name in ("x", "w", "dy"))
        rung = reference if self.macs(direction) <= LOOPS_LIMIT else shift_and_add
        if direction == "forward":
            y = rung.conv2d(x, w, None, self.window, self.groups)
            self.spot_check(x, w, y)
            return {"y": y}
        if direction == "grad_input":
            return {"dx": rung.conv2d_grad_input(dy, w, self.x_shape, self.window, self.groups)}
        return {"dw": rung.conv2d_grad_weight(dy, x, self.w_shape, self.window, self.groups)}

    def spot_check(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, points: int = 32) -> None:
        """Hold y to the definition at random points. Raises RuntimeError: then the right answers are wrong."""
        random, CG, (SH, SW), (DH, DW) = np.random.default_rng(0), w.shape[1], self.window.stride, self.window.dilation
        padded = self.window.pad(x)
        for _ in range(points):
            n, f, oh, ow = (int(random.integers(size)) for size in y.shape)
            first = f // (self.F // self.groups) * CG
            patch = padded[n, first:first + CG, oh * SH:oh * SH + self.window.extent[0]:DH, ow * SW:ow * SW + self.window.extent[1]:DW]
            total = float((patch * w[f]).sum())
            if abs(total - y[n, f, oh, ow]) > 1e-9 * float(np.abs(patch * w[f]).sum()):
                raise RuntimeError(f"{self}: the right answer at {(n, f, oh, ow)} is {total!r}, not {float(y[n, f, oh, ow])!r}; "
                                   "nothing is timed")

    def magnitudes(self, direction: str, arrays: Arrays) -> Arrays:
        return self.answers(direction, {name: np.abs(a) for name, a in arrays.items()})

    def bounds(self, direction: str, arrays: Arrays) -> Arrays:
        return rounding_bound(self.roundings(direction), self.magnitudes(direction, arrays))

    def roundings(self, direction: str) -> int:
        KK, OHOW = int(np.prod(self.window.kernel)), int(np.prod(self.y_shape[2:]))
        return {"forward": self.C // self.groups * KK, "grad_input": self.F // self.groups * KK, "grad_weight": self.N * OHOW}[direction]

    def macs(self, direction: str) -> int:
        """The same for all three: a multiply-add for every weight that meets a pixel.

        Products with padding are not counted: who skips them would seem to be faster than the machine's peak.
        """
        return self.N * self.F * self.w_shape[1] * self.window.reads((self.H, self.W))

    def bytes(self, direction: str) -> int:
        return 4 * sum(int(np.prod(shape)) for shape in (self.x_shape, self.w_shape, self.y_shape))
