"""What this backend has found on this machine."""
from __future__ import annotations

import numba

from minicnn.kernels.numba_backend import store
from minicnn.kernels.numba_backend.jit import config
from minicnn.kernels.numba_backend.parallel import pool
from minicnn.kernels.numba_backend.simd import registers

POOLS = {"omp": "OpenMP", "tbb": "TBB", "workqueue": "Numba's own, slow to start work: OpenMP is not found or not chosen"}


def details() -> tuple[str, ...]:
    """Threads and who starts them, vector registers, and where compiled kernels are kept."""
    if config.DISABLE_JIT:
        return ("NUMBA_DISABLE_JIT is set: nothing is compiled, and all is slow",)
    count, (size, number) = pool(), registers()
    return (f"threads: {count} ({POOLS[numba.threading_layer()]})",
            f"vector registers: {number} of {size // 4} float32 numbers" if size else "vector registers: none that it knows",
            f"compiled kernels: {store.kernels()}")
