"""Timing that a busy machine cannot bend: the contestants take turns, so a slow second hits all of them, and medians are compared."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

# A thread pool (OpenBLAS's, OpenMP's) spins for a while after its last call and would take the cores from the next contestant: seen
# here, torch beside NumPy took 20 ms a call with turns 0.05 s apart and 5 ms with turns 0.4 s apart.
PAUSE = 0.4
CALLS = 5             # measured calls a turn, or fewer when they take longer than PAUSE


def interleaved(calls: dict[str, Callable[[], Any]], seconds: float = 6.0, most: int = 20) -> dict[str, list[float]]:
    """Seconds of each call. In every round each has a turn: a pause, an unmeasured call that warms up, then the measured ones.

    Rounds go on until `seconds` are used up or `most` rounds are done; there is always one.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for _ in range(most):
        for name, call in calls.items():
            time.sleep(PAUSE)
            call()
            turn = time.perf_counter()
            for _ in range(CALLS):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() - turn > PAUSE:
                    break
        if time.perf_counter() - begin > seconds:
            break
    return times


def median(times: list[float]) -> float:
    return statistics.median(times)
