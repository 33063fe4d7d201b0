"""Weights in the order in which tiles read them: [phase][group][block of filters][tap][channel][filter of the block].

Every step of a tile reads one row of that: the weights of a block's filters for one tap and channel, next to each other. Filters that a
last block lacks are zeros. (The input gradient has filters for channels, and channels for filters.)

In w (F, C, KH, KW) two axes can be read in vectors: its last two together, and in the forward pass C with them. Squares of such runs of
neighbouring filters are turned over in registers (`transpose`).
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import PHASE
from minicnn.kernels.numba_backend.simd import load, registers, store, zero
from minicnn.kernels.numba_backend.transpose import load_some, store_rows, transpose
from minicnn.kernels.numba_backend.types import compile_for, flat, record


@functools.cache
def pack(dtype: Any) -> Any:
    """run(w, packed, order, places, phases, cut, threads): w flat, with number q of a run at w[group*w_group + o*w_other + filter*w_filter + q].

    order: for each q its phase, and its row there for o = 0, or -1 if no phase has its tap. places: room for len(order) numbers a task. cut: (groups, blocks, columns of
    all blocks but the last, columns of the last, w_group, others, w_other, w_filter).
    """
    lanes = registers()[0] // np.dtype(dtype).itemsize

    @jit(lanes)
    def block(i: int, worker: int, w: Any, packed: Any, order: Any, places: Any, phases: Any, cut: Any) -> None:
        groups, blocks, full, rest, w_group, others, w_other, w_filter = cut
        group, number, Q = i // blocks, i % blocks, len(order)
        first = number * full
        columns = full if number < blocks - 1 else rest
        mine = places[i * Q:(i + 1) * Q]
        for q in range(Q):
            g = phases[order[q, 0]]
            row = order[q, 1]
            mine[q] = g.w_start + group * g.w_group + first * g.taps * g.inputs + row * columns if row >= 0 else -1
        outputs, square = phases[0].outputs, zero(lanes, 1, lanes, packed)
        for o in range(others):
            for f in range(0, columns, lanes):
                at, kept, wide = group * w_group + o * w_other + (first + f) * w_filter, min(lanes, outputs - first - f), min(lanes, columns - f)
                if w_filter == 1 and kept == lanes and mine[0] >= 0:         # filters already are neighbours
                    store(load(zero(1, 1, lanes, packed), w, at, 0), packed, mine[0] + o * columns + f, 0, lanes)
                else:
                    for q in range(0, Q, lanes):
                        count = min(lanes, Q - q)
                        square = transpose(load_some(square, w, at + q, w_filter, kept, count))
                        store_rows(square, packed, o * columns + f, mine, q, count, wide)

    @jit(lanes)
    def run(w: Any, packed: Any, order: Any, places: Any, phases: Any, cut: Any, threads: int) -> None:
        parallel_for(block, cut[0] * cut[1], threads, (w, packed, order, places, phases, cut))

    return compile_for(run, flat(dtype, readonly=True), flat(dtype), types.Array(types.int64, 2, "C"), flat(np.int64), record(PHASE),
                       types.UniTuple(types.int64, 8), types.int64)
