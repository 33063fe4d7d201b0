"""The gradient of a bias: dy summed over all axes but the channels'."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.layout import dense
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.types import compile_for, flat

PIXELS = 2048                # of a chunk: its sums are added one pixel after the other, the chunks' sums in their order


def channel_sum(dy: Any) -> Any:
    """db[c] = sum of dy over all axes but axis 1, in chunks of the pixels, each on a thread."""
    if dy.dtype not in COMPILED:
        return numpy_backend.channel_sum(dy)
    C = dy.shape[1]
    pixels = dense(dy) if dy.ndim == 4 else np.ascontiguousarray(np.moveaxis(dy, 1, -1)).reshape(-1)       # (N·H·W·C)
    db = np.zeros(C, dy.dtype)
    chunks = -(-(pixels.size // max(1, C)) // PIXELS)
    _kernel(dy.dtype)(pixels, empty((chunks * C,), dy.dtype), db, chunks, workers(dy.size // 8))
    return db


@functools.cache
def _kernel(dtype: Any) -> Any:
    @jit()
    def chunk(i: int, worker: int, pixels: Any, sums: Any, C: int) -> None:
        part, mine = pixels[i * PIXELS * C:(i + 1) * PIXELS * C], sums[i * C:(i + 1) * C]
        mine[:] = 0
        for start in range(0, part.size, C):
            for c in range(C):
                mine[c] += part[start + c]

    @jit()
    def run(pixels: Any, sums: Any, db: Any, chunks: int, threads: int) -> None:
        C = db.size
        parallel_for(chunk, chunks, threads, (pixels, sums, C))
        for i in range(chunks):
            for c in range(C):
                db[c] += sums[i * C + c]

    return compile_for(run, flat(dtype, readonly=True), flat(dtype), flat(dtype), types.int64, types.int64)
