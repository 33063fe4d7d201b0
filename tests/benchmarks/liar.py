"""A contestant that tests send into the race: right, or wrong in the way that its setting names."""
import os
import sys
import time
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.contestants.trainer import Trainer

HUNGER = 50 * 2**20


def missing(setting: str) -> str | None:
    return "it is never there" if setting == "missing" else None


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    return "it cannot go back" if setting == "forward only" and direction != "forward" else None


def what(setting: str) -> str:
    if setting == "no library":
        raise ImportError("no module named liar")
    return "liar 1.0"


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    answers = {name: a.astype(np.float32) for name, a in problem.answers(direction, arrays).items()}
    first = next(iter(answers))
    calls = 0
    if setting == "talks":
        print("this goes nowhere near the answers")
    if setting == "raises":
        raise ValueError("cannot do\nthis")
    if setting == "dies":
        print("about to die", file=sys.stderr, flush=True)
        os._exit(3)

    def run() -> Arrays:
        nonlocal calls
        calls += 1
        if setting == "dies later" and calls > 3:
            os._exit(4)
        if setting == "hungry":
            np.ones(HUNGER, np.uint8)
        if setting == "slow":
            time.sleep(0.01)
        if setting == "wrong" or (setting == "wrong later" and calls > 1):
            answers[first].flat[-1] += 1
        if setting == "nan":
            answers[first].flat[-1] = np.nan
        if np.abs(arrays["x"]).max() < 1e-38:                  # subnormal inputs
            if setting == "flushes":
                answers[first][...] = 0
            if setting == "stumbles":
                time.sleep(0.02)
            if setting == "fails on subnormals":
                answers[first][...] = 1
        return answers

    def outputs(result: Arrays) -> Arrays:
        if setting == "shape":
            return {first: result[first][None]}
        if setting == "dtype":
            return {first: result[first].astype(np.float64)}
        if setting == "name":
            return {"z": result[first]}
        return result

    return Call(run, outputs, "by heart")


def trainer(setting: str, problem: Any) -> Trainer:
    """minicnn's own, which for "bad start" begins with other weights, and for "diverges" with a learning rate that cannot work."""
    from minicnn.benchmarks.contestants.with_minicnn import MinicnnTrainer

    class Bad(MinicnnTrainer):
        def step(self, batch: Any, rates: Any) -> Any:
            return super().step(batch, [1e30] if setting == "diverges" else rates)

    made = Bad("numpy", problem)
    if setting == "bad start":
        next(iter(made.model.parameters())).array[...] *= 1.01
    return made
