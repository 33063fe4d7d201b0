"""Augmentation of a batch of images: every pixel moved, mirrored, blanked and turned into a float, in one pass.

On one thread, since batches are prepared beside the training, which has the others; without Python's lock, so that it does not wait.
"""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.memory import empty

NONE = np.zeros((1, 1), np.float32), np.zeros(0, np.int64)               # in place of a table, and of where holes are


def move_pixels(x: Any, size: tuple[int, int], top: Any, left: Any, step: Any, outside: Any, hole: tuple[Any, Any, int] | None, blank: Any,
                table: Any) -> Any:
    """Cut a window out of each image, mirrored where its step is -1, with a square hole in it: see numpy_backend.

        for every row of y:  the columns that are inside x are one run of x's row, forwards or backwards: copy it, or look it up
                             the columns before and after, and those of the hole, are constant

    Fast because bytes become floats where they are needed, and nothing is written twice but the hole.
    """
    if outside.dtype not in COMPILED or x.dtype != (np.uint8 if table is not None else outside.dtype):
        return numpy_backend.move_pixels(x, size, top, left, step, outside, hole, blank, table)
    x = x if x.flags.carray else np.array(x, order="C")                  # writable too: else Numba compiles for another type of array
    y = empty((*x.shape[:2], *size), outside.dtype)
    hole_top, hole_left, side = hole or (NONE[1], NONE[1], 0)
    places = (np.ascontiguousarray(a, np.int64) for a in (top, left, step, hole_top, hole_left))
    _kernel(table is not None)(x, *places, side, outside, blank, NONE[0] if table is None else table, y)
    return y


@functools.cache
def _kernel(look_up: bool) -> Any:
    @jit(look_up)
    def move(x: Any, tops: Any, lefts: Any, steps: Any, hole_tops: Any, hole_lefts: Any, side: int, outside: Any, blank: Any, table: Any,
             y: Any) -> None:
        (N, C, OH, OW), (H, W) = y.shape, x.shape[2:]
        for n in range(N):
            top, left, step = tops[n], lefts[n], steps[n]
            low, high = (-left, W - left) if step > 0 else (left - W + 1, left + 1)      # the columns of y that are inside x
            first, last = max(0, min(low, OW)), max(0, min(high, OW))
            for c in range(C):
                for h in range(OH):
                    row, i = y[n, c, h], top + h
                    if last <= first or i < 0 or i >= H:
                        row[:] = outside[c]
                    else:
                        row[:first] = outside[c]
                        row[last:] = outside[c]
                        run = x[n, c, i, left + first:left + last] if step > 0 else x[n, c, i, left - last + 1:left - first + 1]
                        for w in range(run.size):
                            value = run[w] if step > 0 else run[run.size - 1 - w]
                            row[first + w] = table[c, value] if look_up else value
                    if side > 0 and hole_tops[n] <= h < hole_tops[n] + side:
                        row[max(0, hole_lefts[n]):max(0, min(OW, hole_lefts[n] + side))] = blank[c]
    return move
