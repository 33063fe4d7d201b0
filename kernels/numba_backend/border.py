"""A copy of images with zeros at the left and right of every row."""
from __future__ import annotations

import functools
from typing import Any

from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.sliding_sum import fill
from minicnn.kernels.numba_backend.types import compile_for, flat


@functools.cache
def add_border(dtype: Any) -> Any:
    """run(x, out, N, H, W, C, left, width, threads): x (N, H, W, C) to out (N, H, width, C), from column -left on."""
    @jit()
    def image(n: int, worker: int, x: Any, out: Any, H: int, W: int, C: int, left: int, width: int) -> None:
        fill(x, n * H * W * C, H, W, C, 0, H, left, width, out, n * H * width * C)

    @jit()
    def run(x: Any, out: Any, N: int, H: int, W: int, C: int, left: int, width: int, threads: int) -> None:
        parallel_for(image, N, threads, (x, out, H, W, C, left, width))

    return compile_for(run, flat(dtype, readonly=True), flat(dtype), *(types.int64,) * 7)
