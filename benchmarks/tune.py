"""`minicnn bench conv --tune`: which rung of the ladder is the fastest on this GPU, for convolutions of every size class of choice.py.

Every rung's result is held to the CPU's before it is timed: the numbers are whole and small, so both are exact. Times are CUDA events',
of as many calls in a row as take a few milliseconds, rung after rung by turns, the median of the rounds.
"""
from __future__ import annotations

import json as json_format
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from minicnn import document, kernels
from minicnn.benchmarks import gpu
from minicnn.benchmarks.problems import Arrays, Conv
from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.run import console
from minicnn.document import Bold, Column, Table
from minicnn.files import write_whole
from minicnn.kernels import devices
from minicnn.kernels.window import Window2d

KERNEL, PLANE = 3, 32            # the kernel and, if there are so many pixels, the image of the convolutions that are measured
ROUNDS, BURST = 5, 0.005         # turns of each rung; seconds of calls in a turn
Example = tuple[str, str, tuple[int, int, int]]    # size class, direction, size: see choice.examples


@dataclass
class Found:
    """What was measured in a size class. times: seconds of each rung that is right; wrong: of the others, what is."""
    size_class: str
    direction: str
    problem: str
    before: str
    times: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def fastest(self) -> str | None:
        return min(self.times, key=self.times.__getitem__, default=None)


def command(json: str | None) -> None:
    """Measure, print, keep. Raises ValueError without a GPU, and when a rung was wrong."""
    reason = kernels.missing("cuda")
    if reason:
        raise ValueError(f"--tune measures on a GPU, and there is none: {reason}")
    if json and not Path(json).parent.is_dir():
        raise ValueError(f"cannot save {json}: there is no folder {Path(json).parent}")
    from minicnn.kernels.cuda_backend import choice
    from minicnn.kernels.cuda_backend.cupy_engine import ENGINE

    name, screen, found = ENGINE.gpu, console(), list[Found]()
    for each in tune(choice.examples()):
        found.append(each)
        screen.print(f"{len(found)} of {len(choice.examples())}: {each.size_class}: {each.fastest or 'no rung is right'}", markup=False)
    document.show([table(name, found)], screen)
    where = choice.keep(name, {each.size_class: each.fastest for each in found if each.fastest})
    screen.print(f"kept in {where}: minicnn uses it on every {name} from now on", markup=False)
    if json:
        rows = [{**each.__dict__, "fastest": each.fastest} for each in found]
        write_whole(Path(json), json_format.dumps({"gpu": gpu.fingerprint(), "rounds": ROUNDS, "found": rows}, indent=1) + "\n")
        screen.print(f"saved in {json}", markup=False)
    wrong = [f"{rung} on {each.problem}, {each.direction}: {why}" for each in found for rung, why in each.wrong.items()]
    if wrong:
        raise ValueError(f"{len(wrong)} results were wrong, and are not chosen; the first is {wrong[0]}")


def tune(examples: Iterable[Example], rounds: int = ROUNDS, burst: float = BURST) -> Iterable[Found]:
    """What is measured, a size class at a time, on the GPU that CuPy uses."""
    from minicnn.kernels.cuda_backend import choice
    from minicnn.kernels.cuda_backend.cupy_engine import ENGINE

    for size_class, direction, size in examples:
        problem = convolution(direction, size)
        reached = choice.size_class(direction, choice.size_of(direction, problem.x_shape, problem.w_shape, problem.window, problem.groups))
        if reached != size_class:
            raise RuntimeError(f"{problem} was to be an example of {size_class}, but is one of {reached}")
        found = Found(size_class, direction, str(problem), choice.table(ENGINE.gpu)[size_class])
        _measure(found, problem, choice.RUNGS, rounds, burst)
        yield found


def convolution(direction: str, size: tuple[int, int, int]) -> Conv:
    """A 3 x 3 convolution whose product, in this direction, has that many rows, columns and terms, or nearly as many."""
    rows, columns, terms = size
    images, pixels, taps = (columns, columns, terms) if direction != "grad_weight" else (terms, terms, columns)
    side = max(1, min(PLANE, math.isqrt(pixels)))
    N, channels = max(1, images // side**2), max(1, taps // KERNEL**2)
    C, F = (rows, channels) if direction == "grad_input" else (channels, rows)
    return Conv(N, C, side, side, F, Window2d.of(KERNEL, padding=KERNEL // 2))


def _measure(found: Found, problem: Conv, rungs: Iterable[str], rounds: int, burst: float) -> None:
    arrays = problem.arrays(0)
    cpu = next(name for name in kernels.CPU_BACKENDS if not kernels.missing(name))
    right = _call(kernels.get(cpu), problem, found.direction, arrays)()
    there = {name: devices.move(a, "cuda") for name, a in arrays.items()}
    calls: dict[str, Callable[[], Any]] = {}
    for rung in rungs:
        run = _call(_module(rung), problem, found.direction, there)
        wrong = _difference(devices.host(run()), right)
        if wrong:
            found.wrong[rung] = wrong
        else:
            calls[rung] = run
    counts = {rung: max(1, min(100, math.ceil(burst / max(_seconds(run, 1), 1e-9)))) for rung, run in calls.items()}
    times: dict[str, list[float]] = {rung: [] for rung in calls}
    for _ in range(rounds):
        for rung, run in calls.items():
            times[rung].append(_seconds(run, counts[rung]))
    found.times = {rung: median(each) for rung, each in times.items()}


def _call(k: ModuleType, p: Conv, direction: str, a: dict[str, Any]) -> Callable[[], Any]:
    if direction == "forward":
        return lambda: k.conv2d(a["x"], a["w"], None, p.window, p.groups)
    if direction == "grad_input":
        return lambda: k.conv2d_grad_input(a["dy"], a["w"], p.x_shape, p.window, p.groups)
    return lambda: k.conv2d_grad_weight(a["dy"], a["x"], p.w_shape, p.window, p.groups)


def _module(rung: str) -> ModuleType:
    return next(r for r in kernels.LADDER if r.module == f"cuda_backend.conv2d_{rung}").load()


def _difference(got: Arrays | np.ndarray, right: np.ndarray) -> str:
    """What is wrong, or nothing."""
    got = np.asarray(got)
    if got.shape != right.shape or got.dtype != right.dtype:
        return f"{got.dtype} of shape {got.shape}, expected {right.dtype} of shape {right.shape}"
    wrong = ~(got == right)                                    # so that NaN is wrong
    return f"{int(wrong.sum()):,} of {wrong.size:,} values are wrong" if wrong.any() else ""


def _seconds(run: Callable[[], Any], calls: int) -> float:
    """One call's time, by the GPU's clock, of so many in a row."""
    import cupy

    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(calls):
        run()
    stop.record()
    stop.synchronize()
    return float(cupy.cuda.get_elapsed_time(start, stop)) / 1e3 / calls


def table(name: str, found: list[Found]) -> Table:
    """A row a size class, a column a rung; the fastest in bold."""
    rungs = list(dict.fromkeys(rung for each in found for rung in (*each.times, *each.wrong)))
    shown = Table(f"Convolutions on {name}", [Column("size class", left=True), Column("measured", left=True), *map(Column, rungs),
                                               Column("before", left=True), Column("now", left=True)], [])
    for each in found:
        cells = [units.seconds(each.times[rung]) if rung in each.times else "wrong" for rung in rungs]
        now = each.fastest or "-"
        marked = [Bold(cell) if rung == now else cell for rung, cell in zip(rungs, cells, strict=True)]
        shown.rows.append([each.size_class, each.problem, *marked, each.before, now])
    shown.notes.append("time of one call, median of the rounds; every result was the CPU's, to the bit, before it was timed")
    return shown
