"""Not a contestant but a yardstick: copy as many bytes as a problem must move, with as many threads as the others have."""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays, Call


def missing(setting: str) -> str | None:
    return None


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    return None if problem.bound == "memory" else "bound by arithmetic"


def what(setting: str) -> str:
    return f"numpy {np.__version__}, copyto"


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    """Half of the bytes are read, half written. By one thread or by all, whichever is faster: starting threads takes longer than
    copying a small array."""
    source = np.zeros(max(1, problem.bytes(direction) // 8), np.float32)
    target, threads = np.ones_like(source), int(os.environ.get("OMP_NUM_THREADS", "1"))
    pool = ThreadPoolExecutor(threads)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))

    def alone() -> None:
        np.copyto(target, source)

    def together() -> None:
        list(pool.map(lambda part: np.copyto(*part), parts))

    return Call(min((alone, together), key=_seconds), lambda _: {}, "copy")


def _seconds(call: Callable[[], None]) -> float:
    """The fastest of a few calls."""
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best
