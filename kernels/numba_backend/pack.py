"""Weights in the order in which tiles read them: [phase][group][block of filters][tap][channel][filter of the block].

Every step of a tile reads one row of that: the weights of a block's filters for one tap and channel, next to each other. Filters that a
last block lacks are zeros.
"""
from __future__ import annotations

import functools
from typing import Any

from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import PHASE
from minicnn.kernels.numba_backend.types import compile_for, flat, record, strided


@functools.cache
def pack(dtype: Any) -> Any:
    """run(w, packed, taps, phases, blocks, columns_full, columns_rest, threads) with w seen as (G, outputs, inputs, KH, KW)."""
    @jit()
    def block(i: int, worker: int, w: Any, packed: Any, taps: Any, phases: Any, blocks: int, full: int, rest: int) -> None:
        groups = w.shape[0]
        g, group, number = phases[i // (groups * blocks)], i // blocks % groups, i % blocks
        first = number * full
        columns = full if number < blocks - 1 else rest
        kept = min(columns, g.outputs - first)
        at = g.w_start + group * g.w_group + first * g.taps * g.inputs
        for t in range(g.first_tap, g.first_tap + g.taps):
            kh, kw = taps[t]
            for c in range(g.inputs):
                for f in range(kept):
                    packed[at + f] = w[group, first + f, c, kh, kw]
                for f in range(kept, columns):
                    packed[at + f] = 0
                at += columns

    @jit()
    def run(w: Any, packed: Any, taps: Any, phases: Any, blocks: int, full: int, rest: int, threads: int) -> None:
        parallel_for(block, phases.size * w.shape[0] * blocks, threads, (w, packed, taps, phases, blocks, full, rest))

    integers = (types.int64,) * 4
    return compile_for(run, strided(dtype, 5), flat(dtype), types.Array(types.int64, 2, "C"), record(PHASE), *integers)
