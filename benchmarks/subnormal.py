"""Inputs of subnormal numbers: on many CPUs every operation on one costs a hundred cycles and more, unless it is flushed to zero."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.benchmarks.problems import Arrays

SCALE = np.float32(2.0**-140)      # float32 is subnormal below 2^-126; integers times 2^-140 stay exact


def with_subnormals(arrays: Arrays, direction: str) -> Arrays:
    """The images, or in a gradient the gradient that comes in, scaled down until every value is subnormal or zero."""
    name = "dy" if direction not in ("forward", "step") and "dy" in arrays else "x"
    return {**arrays, name: arrays[name] * SCALE}


def flush_error(problem: Any, direction: str) -> float:
    """What flushing to zero may change in an output: every product of a sum, each by the smallest normal number at most.

    The outputs themselves are about as small, so this only refuses what is not tiny, or NaN. That the contestant computes the right
    thing was checked on usual inputs.
    """
    return float(np.finfo(np.float32).tiny) * max(1, problem.macs(direction))
