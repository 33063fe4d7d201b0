"""The sliding sum for few pixels, as of one image: to bring the weights into order takes as long as to use them.

    for every block of 32 filters, in parallel:
        its weights, packed, into the thread's scratch memory        (and only those: what another core has written is slow to read)
        for every image, for every band of its rows: as in `sliding_sum`

With fewer blocks than threads, the bands of a block are shared out too, and every thread packs for itself.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.pack import pack_block
from minicnn.kernels.numba_backend.parallel import parallel_for
from minicnn.kernels.numba_backend.plan import PHASE, Slide, Tile
from minicnn.kernels.numba_backend.sliding_sum import fill, one_block
from minicnn.kernels.numba_backend.types import compile_for, flat, record


@functools.cache
def fresh_sum(dtype: Any, rows: int, full: Tile, rest: Tile, slide: Slide) -> Any:
    """run(x, images, w, order, places, cut, b, y, scratch, padded, starts, phases, tasks, pieces, rectify, threads).

    w, order and cut as of `pack`; places: len(order) + 1 numbers a thread, the last of them -1. A thread's scratch memory holds `padded`
    numbers of a band of x, and after them the packed weights of a block. pieces: parts of the tasks of every block.
    """
    sums, pack = one_block(rows, full, rest, slide), pack_block(dtype)

    @jit(rows, full, rest, slide)
    def piece(i: int, worker: int, x: Any, images: int, w: Any, order: Any, places: Any, cut: Any, b: Any, y: Any, scratch: Any, share: int,
              padded: int, starts: Any, phases: Any, tasks: int, pieces: int, rectify: bool) -> None:
        blocks, full, rest = cut[1], cut[2], cut[3]
        group, number, part = i // pieces // blocks, i // pieces % blocks, i % pieces
        f, columns, mine = number * full, full if number < blocks - 1 else rest, worker * share
        weights, Q = mine + padded, len(order)
        ours = places[worker * (Q + 1):(worker + 1) * (Q + 1)]
        if ours[Q] != i // pieces:                               # else this thread has packed them for another part
            for q in range(Q):
                g = phases[order[q, 0]]
                ours[q] = weights + (g.first_tap * g.inputs + order[q, 1]) * columns if order[q, 1] >= 0 else -1
            pack(w, scratch, ours, Q, phases[0].outputs, group, f, columns, cut)
            ours[Q] = i // pieces
        for unit in range(tasks * part // pieces, tasks * (part + 1) // pieces):
            bands = phases[0].bands
            g, n, at = phases[unit // (images * bands)], unit // bands % images, unit % bands
            first, end = at * g.band, min(g.OH, (at + 1) * g.band)
            if first < end:
                runs, w_at = starts[g.first_run:g.first_run + g.runs], weights + g.first_tap * g.inputs * columns
                to = g.y_start + n * g.y_image + first * g.y_row
                if g.direct:
                    start = ((n * g.H + first * g.SH - g.top) * g.width - g.left) * g.C
                    sums(x, start, first, end - first, g, runs, scratch, w_at, b, group, f, y, to, g.y_row, g.y_pixel, rectify)
                else:
                    fill(x, n * g.H * g.W * g.C, g.H, g.W, g.C, first * g.SH - g.top, (end - first - 1) * g.SH + g.reach, g.left, g.width,
                         scratch, mine)
                    sums(scratch, mine, first, end - first, g, runs, scratch, w_at, b, group, f, y, to, g.y_row, g.y_pixel, rectify)

    @jit(rows, full, rest, slide)
    def run(x: Any, images: int, w: Any, order: Any, places: Any, cut: Any, b: Any, y: Any, scratch: Any, padded: int, starts: Any,
            phases: Any, tasks: int, pieces: int, rectify: bool, threads: int) -> None:
        parallel_for(piece, cut[0] * cut[1] * pieces, threads, (x, images, w, order, places, cut, b, y, scratch, scratch.size // threads,
                                                                padded, starts, phases, tasks, pieces, rectify))

    numbers, read, integer = flat(dtype), flat(dtype, readonly=True), types.int64
    return compile_for(run, read, integer, read, types.Array(integer, 2, "C"), flat(np.int64), types.UniTuple(integer, 8), numbers, numbers,
                       numbers, integer, flat(np.int64), record(PHASE), integer, integer, types.boolean, integer)
