"""A convolution with the max pool that follows it, for inference: the rows that are pooled never leave the cache.

    for every band of rows of every image, in parallel:
        its convolution (`sliding_sum`), bias and relu, into scratch memory
        y[n, ph, pw, f] = the largest of the PH x PW numbers under each window

For windows that lie side by side, without padding.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import PHASE, Slide, Tile
from minicnn.kernels.numba_backend.sliding_sum import all_filters, fill
from minicnn.kernels.numba_backend.types import compile_for, flat, record


@functools.cache
def pooled_sum(dtype: Any, rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """run(x, w, b, y, scratch, padded, starts, phases, tasks, rectify, PH, PW, threads).

    y is the pooled result; a thread's scratch memory holds `padded` numbers of a band of x, and after them a band of the convolution.
    Bands have a multiple of PH rows, and the convolution's rows below the last window are not computed.
    """
    sums = all_filters(rows, full, rest, slide)

    @jit(rows, full, rest, slide)
    def band(i: int, worker: int, x: Any, w: Any, b: Any, y: Any, scratch: Any, share: int, padded: int, starts: Any,
             phases: Any, rectify: bool, PH: int, PW: int) -> None:
        g, n, part = phases[0], i // phases[0].bands, i % phases[0].bands
        F, first = g.groups * g.outputs, part * g.band
        OH = min(g.band, g.OH - first) // PH * PH
        if OH <= 0:
            return
        to = worker * share + padded
        if g.direct:
            at = ((n * g.H + first * g.SH - g.top) * g.width - g.left) * g.C
            sums(x, at, first, OH, g, starts, w, b, scratch, to, g.OW * F, F, rectify)
        else:
            fill(x, n * g.H * g.W * g.C, g.H, g.W, g.C, first * g.SH - g.top, (OH - 1) * g.SH + g.reach, g.left, g.width,
                 scratch, worker * share)
            sums(scratch, worker * share, first, OH, g, starts, w, b, scratch, to, g.OW * F, F, rectify)
        largest(scratch, to, g.OW, F, OH // PH, g.OW // PW, PH, PW, y, (n * (g.OH // PH) + first // PH) * (g.OW // PW) * F)

    @jit(rows, full, rest, slide)
    def run(x: Any, w: Any, b: Any, y: Any, scratch: Any, padded: int, starts: Any, phases: Any, tasks: int, rectify: bool,
            PH: int, PW: int, threads: int) -> None:
        parallel_for(band, tasks, threads, (x, w, b, y, scratch, scratch.size // threads, padded, starts, phases, rectify, PH, PW))

    numbers, read = flat(dtype), flat(dtype, readonly=True)
    return compile_for(run, read, numbers, numbers, numbers, numbers, types.int64, flat(np.int64), record(PHASE),
                       types.int64, types.boolean, types.int64, types.int64, types.int64)


@jit()
def largest(x: Any, at: int, W: int, C: int, rows: int, columns: int, PH: int, PW: int, y: Any, to: int) -> None:
    """y (rows, columns, C): the largest of each window of x (rows*PH, W, C); NaN if one is NaN."""
    for r in range(rows):
        for column in range(columns):
            out = y[to:to + C]
            for kh in range(PH):
                for kw in range(PW):
                    start = at + ((r * PH + kh) * W + column * PW + kw) * C
                    seen = x[start:start + C]
                    if kh + kw == 0:
                        for c in range(C):
                            out[c] = seen[c]
                    else:
                        for c in range(C):
                            out[c] = seen[c] if seen[c] > out[c] or seen[c] != seen[c] else out[c]
            to += C
