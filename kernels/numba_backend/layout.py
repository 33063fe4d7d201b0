"""From any order of memory to channels-last. A reordering of small squares, in registers, takes the place of loads that lie far apart.

    out[n, h, w, c] = x[n, c, h, w]:    a square of L pixels x L channels is L loads along w, log2(L) rounds of exchanges, L stores along c
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import empty
from minicnn.kernels.numba_backend.parallel import parallel_for, workers
from minicnn.kernels.numba_backend.transpose import turned
from minicnn.kernels.numba_backend.types import compile_for, flat

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))            # other types are too rare to compile for
TASK = 1 << 13                                                   # numbers
SMALL = 1 << 11                                                  # fewer are sooner copied by NumPy


def dense(x: Any) -> Any:
    """x (N, C, H, W) as the flat run of N*H*W*C numbers of its channels-last order: the memory itself if it lies so, else a copy."""
    rows = x.transpose(0, 2, 3, 1)                               # (N, H, W, C)
    if rows.flags.c_contiguous:
        return rows.reshape(-1)
    out = empty((x.size,), x.dtype)
    if x.flags.c_contiguous and x.size >= SMALL and x.dtype in FLOATS:
        N, C, H, W = x.shape
        images = max(1, TASK // (C * H * W))
        pixels = max(8, TASK // C)
        _reorder(x.dtype)(x.reshape(-1), out, N, C, H * W, images, pixels, workers(x.size))
    else:
        out.reshape(rows.shape)[...] = rows
    return out


def _square(L: int) -> Callable[..., None]:
    """A function that reorders L pixels x L channels."""
    def square(x: Any, at: int, plane: int, out: Any, to: int, C: int) -> None:
        """out[to + p*C + c] = x[at + c*plane + p]"""
        for p in range(L):
            for c in range(L):
                out[to + p * C + c] = x[at + c * plane + p]

    @intrinsic
    def code(typing: Any, x: Any, at: Any, plane: Any, out: Any, to: Any, C: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            xs, at, plane, outs, to, C = values
            vector, size = ir.VectorType(context.get_value_type(x.dtype), L), x.dtype.bitwidth // 8

            def pointer(array_type: Any, array: Any, start: Any, step: Any, k: int) -> Any:
                data = context.make_array(array_type)(context, builder, array).data
                place = builder.add(start, builder.mul(step, ir.IntType(64)(k)))
                return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

            lines = turned(builder, [builder.load(pointer(x, xs, at, plane, k), align=size) for k in range(L)])
            for k, line in enumerate(lines):
                builder.store(line, pointer(out, outs, to, C, k), align=size)
            return context.get_dummy_value()
        return types.none(x, types.int64, types.int64, out, types.int64, types.int64), generate

    overload(square, strict=False)(lambda *_: lambda *arguments: code(*arguments))
    return square


square4, square8 = _square(4), _square(8)


@functools.cache
def _reorder(dtype: Any) -> Any:
    @jit()
    def task(i: int, worker: int, x: Any, out: Any, N: int, C: int, plane: int, images: int, pixels: int) -> None:
        """Some pixels of one image; or all of several small images."""
        parts = (plane + pixels - 1) // pixels
        first = i % parts * pixels
        count = min(pixels, plane - first)
        for n in range(i // parts * images, min(N, (i // parts + 1) * images)):
            at, to = n * C * plane + first, (n * plane + first) * C
            if count >= 8 and C >= 8:                            # the last square overlaps the one before it
                for c in range(0, C, 8):
                    c = min(c, C - 8)
                    for p in range(0, count, 8):
                        p = min(p, count - 8)
                        square8(x, at + c * plane + p, plane, out, to + p * C + c, C)
            elif count >= 4 and C >= 4:
                for c in range(0, C, 4):
                    c = min(c, C - 4)
                    for p in range(0, count, 4):
                        p = min(p, count - 4)
                        square4(x, at + c * plane + p, plane, out, to + p * C + c, C)
            else:
                for c in range(C):
                    for p in range(count):
                        out[to + p * C + c] = x[at + c * plane + p]

    @jit()
    def run(x: Any, out: Any, N: int, C: int, plane: int, images: int, pixels: int, threads: int) -> None:
        parallel_for(task, -(-N // images) * -(-plane // pixels), threads, (x, out, N, C, plane, images, pixels))

    return compile_for(run, flat(dtype, True), flat(dtype), *(types.int64,) * 6)
