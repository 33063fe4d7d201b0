"""What this machine can do at most, measured: multiply-adds in registers, NumPy's matrix product, copying memory.

`python -m minicnn.benchmarks.peak THREADS` prints `measure(THREADS)` as a line of JSON. It is a process of its own because thread
pools are sized by the environment that a process starts with (`threads.environment`).
"""
from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minicnn.benchmarks.fma_loop import FmaLoop

BURST = 0.03         # seconds of FMA at a time: long beside the start of a thread, short beside a scheduler's interruptions


def fma_flops(threads: int, seconds: float = 0.4) -> float:
    """FLOP/s of `FmaLoop` in `threads` threads at once, two FLOP a lane: the best of the bursts that fit into `seconds`.

    No program that computes in these vector registers can do more.
    """
    loop = FmaLoop()
    xs = [np.ones(loop.shape, np.float32) for _ in range(threads)]

    def burst(x: np.ndarray, n: int) -> None:
        loop(x, n, a=0.5, b=0.5)                               # x rises to 2^22, where 1/4 is rounded away: never infinite

    trial = 2**18
    n = max(1, round(trial * BURST / fastest([lambda: burst(xs[0], trial)], 0)))
    return 2 * n * sum(x.size for x in xs) / fastest([functools.partial(burst, x, n) for x in xs], seconds)


def matmul_flops(threads: int, seconds: float = 0.5, size: int = 2048) -> float:
    """FLOP/s of NumPy's float32 product of two size x size matrices, 2 * size^3 FLOP each, the best of a few.

    BLAS uses `threads` threads, or fewer if the environment gave it fewer.
    """
    a, b = np.random.default_rng(0).random((2, size, size), np.float32)
    c = np.empty_like(a)
    with threadpool_limits(threads, user_api="blas"):
        return 2 * size**3 / fastest([lambda: np.matmul(a, b, out=c)], seconds)


def copy_bytes(threads: int, size: int = 2**28, seconds: float = 0.4) -> float:
    """Bytes/s, read and written, of np.copyto from `size` bytes to as many others, a share in each thread; the best of a few.

    The size is meant to be far above that of the last-level cache.
    """
    source, target = (np.full(size // 4, value, np.float32) for value in (1, 0))
    shares = zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)
    return 2 * source.nbytes / fastest([functools.partial(np.copyto, to, share) for to, share in shares], seconds)


def fastest(calls: Sequence[Callable[[], Any]], seconds: float) -> float:
    """Seconds from the first start to the last end when each call runs in a thread of its own and all start together.

    The least of as many repeats as fit into `seconds`, three at least.
    """
    start_line = threading.Barrier(len(calls))

    def timed(call: Callable[[], Any]) -> tuple[float, float]:
        start_line.wait()
        start = time.perf_counter()
        call()
        return start, time.perf_counter()

    best, repeats, end = float("inf"), 0, time.perf_counter() + seconds
    with ThreadPoolExecutor(len(calls)) as pool:
        while repeats < 3 or time.perf_counter() < end:
            starts, stops = zip(*pool.map(timed, calls), strict=True)
            best, repeats = min(best, max(stops) - min(starts)), repeats + 1
    return best


def measure(threads: int) -> dict[str, float]:
    """{"matmul", "fma"} in FLOP/s and {"copy"} in bytes/s."""
    return {"fma": fma_flops(threads), "copy": copy_bytes(threads), "matmul": matmul_flops(threads)}    # last: BLAS's threads spin on


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
