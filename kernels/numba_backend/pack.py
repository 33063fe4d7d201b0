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
    """run(w, packed, order, places, phases, cut, threads): w flat, with number q of a run at group*w_group + o*w_other + f*w_filter + q.

    order: for each q its phase, and its row there for o = 0, or -1 if no phase has its tap. places: room for len(order) numbers a task.
    cut: (groups, blocks, columns of all blocks but the last, columns of the last, w_group, others, w_other, w_filter).
    """
    one = pack_block(dtype)

    @jit()
    def block(i: int, worker: int, w: Any, packed: Any, order: Any, places: Any, phases: Any, cut: Any) -> None:
        blocks, full, rest = cut[1], cut[2], cut[3]
        group, number, Q = i // blocks, i % blocks, len(order)
        first, columns = number * full, full if number < blocks - 1 else rest
        ours = places[i * Q:(i + 1) * Q]
        for q in range(Q):
            g, row = phases[order[q, 0]], order[q, 1]
            ours[q] = g.w_start + group * g.w_group + first * g.taps * g.inputs + row * columns if row >= 0 else -1
        one(w, packed, ours, Q, phases[0].outputs, group, first, columns, cut)

    @jit()
    def run(w: Any, packed: Any, order: Any, places: Any, phases: Any, cut: Any, threads: int) -> None:
        parallel_for(block, cut[0] * cut[1], threads, (w, packed, order, places, phases, cut))

    return compile_for(run, flat(dtype, readonly=True), flat(dtype), types.Array(types.int64, 2, "C"), flat(np.int64), record(PHASE),
                       types.UniTuple(types.int64, 8), types.int64)


@functools.cache
def pack_block(dtype: Any) -> Any:
    """Of a group's `outputs` filters `columns`, from `first` on; number q of a run, for o = 0, goes to packed[places[q]]."""
    lanes = registers()[0] // np.dtype(dtype).itemsize

    @jit(lanes)
    def block(w: Any, packed: Any, places: Any, Q: int, outputs: int, group: int, first: int, columns: int, cut: Any) -> None:
        w_group, others, w_other, w_filter = cut[4], cut[5], cut[6], cut[7]
        square = zero(lanes, 1, lanes, packed)
        for o in range(others):
            for f in range(0, columns, lanes):
                at, to = group * w_group + o * w_other + (first + f) * w_filter, o * columns + f
                kept, wide = min(lanes, outputs - first - f), min(lanes, columns - f)
                if w_filter == 1 and kept == lanes and places[0] >= 0:       # filters already are neighbours
                    store(load(zero(1, 1, lanes, packed), w, at, 0), packed, places[0] + to, 0, lanes)
                else:
                    for q in range(0, Q, lanes):
                        count = min(lanes, Q - q)
                        square = transpose(load_some(square, w, at + q, w_filter, kept, count))
                        store_rows(square, packed, to, places, q, count, wide)
    return block
