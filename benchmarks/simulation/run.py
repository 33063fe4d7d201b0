"""Runs a rung of the CUDA ladder in the simulator: checks its result, and keeps what was counted."""
from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minicnn import kernels
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.verify import Verified, verify
from minicnn.kernels.cuda_backend import nvrtc, simulator
from minicnn.kernels.cuda_backend.simulator import Access, Counts, Request

PREFIX = "cuda-"                 # of the rungs' names in the ladder; may be left out here
LARGEST = 50_000_000             # multiply-adds: more would take the simulator minutes

_CUDA = {rung.name.removeprefix(PREFIX): rung for rung in kernels.LADDER if rung.on_cuda}
NAMES = tuple(_CUDA)


@dataclass(frozen=True)
class Simulated:
    """One rung on one problem. launches: what was counted, in order; requests: of one warp, by kernel."""
    rung: kernels.Rung
    problem: Conv
    direction: str
    verified: Verified
    launches: list[Counts]
    requests: dict[str, list[Request]]

    @property
    def name(self) -> str:
        return self.rung.name.removeprefix(PREFIX)

    @property
    def product(self) -> Counts:
        """The launch that does the work: with the most multiply-adds, or, where a library makes the product, the most instructions."""
        return max(self.launches, key=lambda c: (c.multiply_adds + 32 * c.tensor_products, c.instructions))

    @property
    def macs(self) -> int:
        return self.problem.macs(self.direction)

    @property
    def instructions(self) -> int:
        """Warp instructions of all launches."""
        return sum(c.instructions for c in self.launches)

    def total(self, space: str, kind: str) -> Access:
        """Of all launches."""
        found = Access(space, kind)
        for counts in self.launches:
            found.add(counts.total(space, kind))
        return found


def rungs(names: Sequence[str]) -> list[kernels.Rung]:
    """The CUDA rungs of those NAMES, with or without "cuda-"; all without a name. Raises KeyError for another name."""
    return [_CUDA[name.removeprefix(PREFIX)] for name in dict.fromkeys(names or NAMES)]


def simulate(rung: kernels.Rung, problem: Conv, direction: str, seed: int = 0, block: Sequence[int] = (0, 0, 0),
             warp: int = 0) -> Simulated:
    """Compute `problem` with the rung, on integers. block, warp: whose requests to keep.

    Raises ValueError without NVRTC or for a problem that is too large, Wrong for a wrong result, Fault where a kernel breaks a rule.
    """
    if why := nvrtc.missing():
        raise ValueError(why)
    if problem.macs(direction) > LARGEST:
        raise ValueError(f"{problem} takes {problem.macs(direction):,} multiply-adds; the simulator takes its time, so at most {LARGEST:,} "
                         "are simulated: use fewer images, channels or filters")
    arrays = problem.arrays(seed)
    with simulator.ENGINE.counting() as launches:
        output = _computed(rung, problem, direction, arrays)
    verified = verify(output, problem.answers(direction, arrays), lambda: problem.bounds(direction, arrays))
    with contextlib.ExitStack() as traced:                     # once more, now that the kernels are known
        requests = {kernel: traced.enter_context(simulator.ENGINE.tracing(kernel, block, warp))
                    for kernel in dict.fromkeys(counts.kernel.split()[0] for counts in launches)}
        _computed(rung, problem, direction, arrays)
    return Simulated(rung, problem, direction, verified, launches, requests)


def _computed(rung: kernels.Rung, problem: Conv, direction: str, arrays: dict[str, Any]) -> dict[str, Any]:
    k, window, groups = rung.load(), problem.window, problem.groups
    x, w, dy = (simulator.to_device(arrays[name]) for name in ("x", "w", "dy"))
    if direction == "forward":
        return {"y": k.conv2d(x, w, None, window, groups).get()}
    if direction == "grad_input":
        return {"dx": k.conv2d_grad_input(dy, w, problem.x_shape, window, groups).get()}
    return {"dw": k.conv2d_grad_weight(dy, x, problem.w_shape, window, groups).get()}
