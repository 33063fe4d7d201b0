"""Timing that a busy machine cannot bend: the contestants take turns, so a slow second hits all of them, and medians are compared."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def interleaved(calls: dict[str, Callable[[], Any]], seconds: float = 2.0, most: int = 50) -> dict[str, list[float]]:
    """Seconds of each call, one after the other in every round; one unmeasured round warms up.

    Rounds go on until `seconds` are used up or `most` rounds are done; there are three at least, or one if a round takes longer than that.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    begin = time.perf_counter()
    for done in range(1, most + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
        used = time.perf_counter() - begin
        if used > seconds and (done >= 3 or used > 3 * seconds):
            break
    return times


def median(times: list[float]) -> float:
    return statistics.median(times)
