"""The process of one contestant: `python -m minicnn.benchmarks.worker`. It answers one line of JSON on stdin with one on stdout.

    {"do": "start", "contestant", "family", "problem", "seed", "count"}   -> {"what"}: its library is imported, its pools are set
    {"do": "prepare", "direction", "subnormal", "save"}                   -> {"first_call", "algorithm", "threads", "blas"}
    {"do": "turn", "seconds", "most", "subnormal"}                        -> {"times"}: seconds of each call
    {"do": "end", "save"}                                                 -> {"memory"}: bytes at the peak, on the GPU if that computes
    {"do": "train", "direction"}                                          -> {"memory", "process"}: what a few calls add to the process at
                                                                             the peak, and all that it held then
    {"do": "enrol", "problem", "folder", "save"}                          -> {"threads", "blas"}: ready to train, see learning.py
    {"do": "epoch", "rates", "save"}                                      -> {"times"}: seconds of each step

`save` is a file for the outputs: of the first call, of the last call, or the logits of the test images. An error is answered with
{"error"}. What libraries print goes to stderr, which the parent keeps for its error messages.
"""
from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.benchmarks import memory, threads
from minicnn.benchmarks.contestants import Call, Contestant
from minicnn.benchmarks.learning import Learner
from minicnn.benchmarks.problems import FAMILIES, Arrays, Network
from minicnn.benchmarks.results import CPU
from minicnn.benchmarks.rule import Rule
from minicnn.benchmarks.subnormal import with_subnormals

WARM = 0.005         # seconds of calls before the measured ones: caches are cold and threads asleep after the others' turns
STEPS = 5            # whose memory is measured: the first ones make the optimiser's state, and caches of memory settle
WARM_ON_GPU = 0.1    # ... and a GPU that was idle has lowered its clock


class Worker:
    """One contestant and one problem, in one direction after another."""

    def start(self, contestant: dict[str, Any], family: str, problem: str, seed: int, count: int) -> dict[str, Any]:
        self.contestant = Contestant(**contestant)
        self.calls: dict[bool, Call] = {}                      # on usual inputs, and on subnormal ones
        self.problem, self.seed = FAMILIES[family].parse(problem), seed
        module = self.contestant.load()
        what = module.what(self.contestant.setting)            # imports the library
        threads.set_pools(count)
        gc.collect()
        memory.give_back()                                     # what the imports needed for a moment
        self.baseline = memory.now()
        return {"what": what}

    def prepare(self, direction: str, subnormal: bool, save: str) -> dict[str, Any]:
        """A call for the direction; one on subnormal inputs stands beside the one on usual inputs, so that the two can take turns."""
        self.result = None
        if not subnormal:
            self.calls.clear()                                 # let go of the last direction first
        gc.collect()
        memory.give_back()
        self._on_gpu("forget_peak")
        arrays = self.problem.arrays(self.seed)
        if subnormal:
            arrays = with_subnormals(arrays, direction)
        start = time.perf_counter()
        call = self.calls[subnormal] = self.contestant.load().prepare(self.contestant.setting, self.problem, direction, arrays)
        self.result = call.run()
        first_call = time.perf_counter() - start
        del arrays
        _write(save, call.outputs(self.result))
        self.result = None
        gc.collect()
        memory.forget_peak()
        return {"first_call": first_call, "algorithm": call.algorithm, **self._pools()}

    def turn(self, seconds: float, most: int, subnormal: bool = False) -> dict[str, Any]:
        """Calls to warm up, then measured ones for `seconds` (one at least, `most` at most)."""
        run, clock = self.calls[subnormal].run, time.perf_counter
        warm, begin = WARM if self.contestant.league == CPU else WARM_ON_GPU, clock()
        while True:
            self.result = run()
            if clock() - begin > warm:
                break
        times: list[float] = []
        gc.disable()
        end = clock() + seconds
        while len(times) < most:
            self.result = None                                 # as in a program that keeps one result at a time
            start = clock()
            self.result = run()
            stop = clock()
            times.append(stop - start)
            if stop > end:
                break
        gc.enable()
        return {"times": times}

    def end(self, save: str) -> dict[str, Any]:
        peak, on_gpu = memory.peak(), self._on_gpu("peak")
        _write(save, self.calls[False].outputs(self.result))
        return {"memory": max(0, peak - self.baseline) if on_gpu is None else on_gpu}

    def train(self, direction: str) -> dict[str, Any]:
        """The memory of a few steps, in a process that has done nothing else: `grown` in `Race`."""
        call = self.contestant.load().prepare(self.contestant.setting, self.problem, direction, self.problem.arrays(self.seed))
        gc.collect()
        memory.give_back()
        before = memory.now()
        memory.forget_peak()
        for _ in range(STEPS):
            self.result = call.run()
        peak, on_gpu = memory.peak(), self._on_gpu("peak")
        return {"memory": max(0, peak - before) if on_gpu is None else on_gpu, "process": peak}

    def enrol(self, problem: dict[str, Any], folder: str, save: str) -> dict[str, Any]:
        """A fresh network, whose images are in the folder, and its logits before any training."""
        self.learner = Learner(self.contestant, Network(**{**problem, "rule": Rule(**problem["rule"])}), Path(folder))
        _write(save, self.learner.predict())
        return self._pools()

    def epoch(self, rates: list[list[float]], save: str) -> dict[str, Any]:
        times = self.learner.epoch(rates)
        _write(save, self.learner.predict())
        return {"times": times}

    def _on_gpu(self, what: str) -> Any:
        """forget_peak or peak of a contestant that computes on a GPU; None for others."""
        return getattr(self.contestant.load(), what, lambda _: None)(self.contestant.setting)

    def _pools(self) -> dict[str, Any]:
        """How many threads each pool in this process has, and which BLAS kernel NumPy uses."""
        own: dict[str, int] = getattr(self.contestant.load(), "pools", dict)()
        return {"threads": {**threads.read_back(), **own}, "blas": threads.blas_kernel()}


def _write(path: str, outputs: Arrays) -> None:
    with open(path, "wb") as file:
        np.savez(file, **outputs)      # type: ignore[arg-type]  # numpy's stub


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")                        # libraries may print to 1; it becomes stderr
    os.dup2(2, 1)
    memory.die_with_parent()
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        try:
            answer = getattr(worker, action)(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
