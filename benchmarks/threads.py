"""The same number of threads for every contestant: set from outside, set inside, and read back from the pools themselves.

What counts is physical cores: two threads of one core share its multipliers.
"""
from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from threadpoolctl import threadpool_info

# XLA's CPU client looks for NPROC, the others for their own. Where threads are placed is left to each library.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
             "BLIS_NUM_THREADS", "NPROC")


def cores() -> list[int]:
    """The physical cores that this process may use, each by the number of its first logical CPU."""
    if not hasattr(os, "sched_getaffinity"):                   # macOS, Windows
        return list(range(psutil.cpu_count(logical=False) or os.cpu_count() or 1))
    first: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        first.setdefault(_siblings(cpu), cpu)
    return list(first.values())


def _siblings(cpu: int) -> str:
    """The logical CPUs of the same core in Linux's notation, such as "0,64"; the CPU alone where it is not said."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def check_count(threads: int) -> None:
    """Raises ValueError when `threads` is less than 1 or more than the cores that this process may use."""
    if threads < 1:
        raise ValueError(f"threads is {threads}, but it must be at least 1")
    available = len(cores())
    if threads > available:
        raise ValueError(f"threads is {threads}, but this process may use {available} core{'s' if available > 1 else ''}")


def environment(threads: int) -> dict[str, str]:
    """The variables with which a child process starts all its pools with that many threads."""
    return dict.fromkeys(VARIABLES, str(threads))


@contextlib.contextmanager
def restrict(threads: int) -> Iterator[None]:
    """Processes started inside the `with` may use the first `threads` physical cores only, one logical CPU of each.

    Does nothing when that is all of them, or where the system has no such call. Threads that already run keep their cores.
    """
    chosen = cores()[:threads]
    if not hasattr(os, "sched_setaffinity") or len(chosen) == len(cores()):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def set_pools(threads: int) -> None:
    """Set the pools of torch and Numba, whichever this process has imported. Numba's pool is not started for it."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if (numba := sys.modules.get("numba")) and (_numba_threads() or numba.config.NUMBA_NUM_THREADS) != threads:
        numba.set_num_threads(threads)


def read_back() -> dict[str, int]:
    """The threads of each pool in this process, by the pool's own word: BLAS, OpenMP, torch, Numba and XLA, those that have started."""
    found: dict[str, int] = {}
    for pool in threadpool_info():
        name = pool["prefix"] if pool["user_api"] == "openmp" else pool["internal_api"]
        twin = sum(other.split()[0] == name for other in found)                # SciPy's OpenBLAS beside NumPy's
        found[f"{name} {twin + 1}" if twin else name] = pool["num_threads"]
    if torch := sys.modules.get("torch"):
        found["torch"] = torch.get_num_threads()
    if count := _numba_threads():
        found[f"numba {sys.modules['numba'].threading_layer()}"] = count        # omp, tbb or workqueue
    if count := _xla_threads():
        found["xla"] = count
    return found


def _numba_threads() -> int:
    """0 when Numba is not imported or has not started its threads: get_num_threads alone would start them."""
    numba = sys.modules.get("numba")
    if not numba:
        return 0
    try:
        numba.threading_layer()
    except ValueError:
        return 0
    return int(numba.get_num_threads())


def _xla_threads() -> int:
    """XLA has no call that says it; on Linux its threads are known by their name. 0 when it has none."""
    if "jax" not in sys.modules:
        return 0
    count = 0
    for comm in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):                     # a thread that has just ended
            count += comm.read_text().startswith("tf_XLAEigen")
    return count


def blas_kernel() -> str:
    """The library that computes NumPy's matrix products, and the kernel it chose: "openblas 0.3.31 SkylakeX"."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    pools.sort(key=lambda pool: "numpy" not in pool["filepath"])               # NumPy's wheel brings its own
    if pools:
        version = ".".join((pools[0]["version"] or "").split(".")[:3])
        return " ".join(filter(None, (pools[0]["internal_api"], version, pools[0].get("architecture"))))
    built_with = np.show_config(mode="dicts")["Build Dependencies"]["blas"]    # Accelerate, which threadpoolctl does not see
    return f"{built_with['name']} {built_with['version']}"
