"""What one convolution costs, computed and measured: every rung of LADDER on the same layer, each checked against the others first."""
from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.benchmarks.timing import interleaved, median
from minicnn.kernels.window import Window2d

LOOPS_LIMIT = 2_000_000      # multiply-adds; nested loops in Python manage about that many a second


@dataclass(frozen=True)
class Layer:
    """A convolution of x (N, C, H, W) with F filters of K x K, stride 1, 'same' padding, float32."""
    N: int
    C: int
    H: int
    W: int
    F: int
    K: int

    @property
    def window(self) -> Window2d:
        return Window2d.of(self.K, padding="same")

    @property
    def parameters(self) -> int:
        return self.F * self.C * self.K**2

    @property
    def macs(self) -> int:
        """Multiply-adds of the forward pass, padding included; each gradient takes as many."""
        return self.N * self.F * self.H * self.W * self.C * self.K**2

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of each array, float32; cols: the columns of the whole batch, of which im2col makes a block at a time."""
        pixels = self.N * self.H * self.W
        return {"x": 4 * pixels * self.C, "w": 4 * self.parameters, "y": 4 * pixels * self.F, "cols": 4 * pixels * self.C * self.K**2}

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Integer-valued x and w, so small that every sum is exact in float32."""
        random = np.random.default_rng(seed)
        most = int(min(8, (2**24 / (self.C * self.K**2)) ** 0.5))
        x, w = (random.integers(-most, most + 1, shape).astype(np.float32)
                for shape in ((self.N, self.C, self.H, self.W), (self.F, self.C, self.K, self.K)))
        return x, w

    def __str__(self) -> str:
        return f"batch {self.N}, {self.C} -> {self.F} channels, {self.H}x{self.W}, {self.K}x{self.K}"


@dataclass(frozen=True)
class Row:
    """One contestant and its median time in seconds."""
    name: str
    label: str
    seconds: float


def measure(layer: Layer, peers: bool = True, seconds: float = 6.0, seed: int = 0, backend: str | None = None) -> list[Row]:
    """Check, then time, the forward pass of every rung that can finish, of `backend`, and torch's if it is installed and `peers`.

    Raises RuntimeError if two contestants disagree by a single bit (the inputs are integers, so they must not).
    """
    x, w = layer.arrays(seed)
    contestants: dict[str, tuple[str, Callable[[], Any]]] = {}
    for rung in kernels.LADDER:
        if rung.name != "loops" or layer.macs <= LOOPS_LIMIT:
            contestants[rung.name] = rung.label, partial(rung.load().conv2d, x, w, None, layer.window, 1)
    if backend:
        module = kernels.get(backend)
        contestants[f"{backend} backend"] = kernels.label(module), partial(module.conv2d, x, w, None, layer.window, 1)
    if peers and importlib.util.find_spec("torch"):
        contestants["torch"] = _torch(x, w)
    results = {name: np.asarray(call()) for name, (_, call) in contestants.items()}
    first, *others = results
    for name in others:
        if not np.array_equal(results[first], results[name]):
            raise RuntimeError(f"{name} and {first} disagree on {layer}: no times are given")
    times = interleaved({name: call for name, (_, call) in contestants.items()}, seconds)
    return [Row(name, contestants[name][0], median(t)) for name, t in times.items()]


def table(layer: Layer, rows: list[Row]) -> tuple[str, list[str], list[list[str]]]:
    """Title, head and cells of the ladder as text: times, multiply-adds a second, the gain over the rung above, the ratio to torch."""
    size = layer.bytes
    title = (f"Convolution, {layer}: {layer.macs:,} multiply-adds (1 MAC = 2 FLOP) forward, as many for each of the two gradients; "
             f"{layer.parameters:,} weights; x {size['x'] / 1024:,.0f} KiB, y {size['y'] / 1024:,.0f} KiB, "
             f"as columns x is {size['cols'] / 1024:,.0f} KiB")
    head = ["rung", "what it does", "ms", "10⁹ MAC/s", "× faster than above", "time ÷ torch's"]
    torch = next((row.seconds for row in rows if row.name == "torch"), None)
    cells = []
    for above, row in zip([None, *rows], rows, strict=False):
        gain = f"{above.seconds / row.seconds:,.1f}" if above and row.name != "torch" else ""
        ratio = f"{row.seconds / torch:,.2f}" if torch else ""
        speed = layer.macs / row.seconds / 1e9
        cells.append([row.name, row.label.split(":")[0], f"{row.seconds * 1e3:.3g}", f"{speed:.3g}", gain, ratio])
    return title, head, cells


def _torch(x: np.ndarray, w: np.ndarray) -> tuple[str, Callable[[], Any]]:
    import torch
    warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")      # torch, about its own speed
    tx, tw = torch.from_numpy(x), torch.from_numpy(w)
    label = f"torch {torch.__version__.split('+')[0]}, {torch.get_num_threads()} threads (for comparison)"
    return label, lambda: torch.nn.functional.conv2d(tx, tw, padding="same")
