"""The ladder: every way to compute one convolution, from nested loops upwards, beside what each should cost."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from minicnn import kernels
from minicnn.benchmarks.collect import Keep, Progress, choose, collect
from minicnn.benchmarks.contestants import BACKENDS, CPU, PEERS, RUNGS, TF32_PEERS, Contestant, check_backend
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.results import Results

SMALL = Conv.parse("mb1ic16ih14oc16oh14kh3ph1")      # so small that nested loops finish
LARGE = Conv.parse("mb64ic32ih28oc32oh28kh3ph1")


def entrants(backend: str | None, peers: bool) -> Sequence[Contestant]:
    """The rungs in their order; a backend and torch in both memory orders, if asked for. Of backend "cuda" only what is on a GPU."""
    if backend:
        check_backend(backend)
    torch = [c for c in (*PEERS, *TF32_PEERS) if peers and c.module.startswith("with_torch") and c.setting != "compile"]
    everyone = [*RUNGS, *(c for c in BACKENDS if c.setting == backend), *torch]
    return [c for c in everyone if c.league != CPU] if backend == "cuda" else everyone


def collect_ladder(problem: Conv, backend: str | None, peers: bool, settings: Settings, progress: Progress = lambda *_: None,
                   keep: Keep = lambda _: None) -> Results:
    """Measure the forward pass of `problem` on every rung, and put the rung's predicted cost beside its times."""
    present, absent = choose(None, entrants(backend, peers))

    def with_costs(results: Results) -> None:
        rungs = {rung.name: rung.load() for rung in kernels.LADDER if not rung.missing()}
        for i, m in enumerate(results.measurements):
            if m.contestant in rungs and "workspace" not in m.extra:
                cost = rungs[m.contestant].conv2d_cost(problem.x_shape, problem.w_shape, problem.window, problem.groups)
                predicted = {"macs": cost.macs, "bytes_moved": cost.bytes_moved, "workspace": cost.workspace}
                results.measurements[i] = dataclasses.replace(m, extra={**m.extra, **predicted})
        keep(results)

    return collect("ladder", "ladder-1", [("ladder", problem)], ["forward"], present, absent, settings, progress, with_costs)
