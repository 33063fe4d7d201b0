"""Augmentation of a batch of images: every pixel moved, mirrored, blanked and turned into a float, in one call."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def move_pixels(x: Any, size: tuple[int, int], top: Any, left: Any, step: Any, outside: Any, hole: tuple[Any, Any, int] | None, blank: Any,
                table: Any) -> Any:
    """Cut a window out of each image, mirrored where its step is -1, with a square hole in it.

        y[n, c, h, w] = blank[c]                    where hole_top[n] <= h < hole_top[n] + side, and the same for w
                        outside[c]                  where (i, j) = (top[n] + h, left[n] + step[n]*w) is no pixel of x
                        x[n, c, i, j]               else; table[c, x[n, c, i, j]] where there is a table

    Shapes: x (N, C, H, W), floats, or uint8 with a table (C, 256); size = (OH, OW); top, left, step (N), integers, step 1 or -1;
    outside, blank (C) of y's dtype; hole = (hole_top (N), hole_left (N), side) or None. -> y (N, C, OH, OW), a new array.
    """
    N, C, H, W = x.shape
    OH, OW = size
    start = np.where(step > 0, left, left - (OW - 1))                     # the leftmost column that is read
    above, below = max(0, -top.min(initial=0)), max(0, top.max(initial=0) + OH - H)
    before, after = max(0, -start.min(initial=0)), max(0, start.max(initial=0) + OW - W)
    padded = np.empty((N, C, above + H + below, before + W + after), outside.dtype)
    padded[...] = outside[:, None, None]
    inner = padded[:, :, above:above + H, before:before + W]
    if table is None:
        inner[...] = x
    else:
        for c in range(C):
            inner[:, c] = table[c].take(x[:, c])
    windows = sliding_window_view(padded, size, axis=(2, 3))              # (N, C, places, places, OH, OW), a view
    y = windows[np.arange(N), :, above + top, before + start]             # (N, C, OH, OW)
    back = step < 0
    y[back] = y[back, ..., ::-1]
    if hole is not None:
        rows, columns = (_within(first, hole[2], length) for first, length in zip(hole[:2], size, strict=True))
        np.copyto(y, blank[:, None, None], where=(rows[:, :, None] & columns[:, None, :])[:, None])
    return y


def _within(first: Any, length: int, of: int) -> Any:
    """(N, of): whether first[n] <= i < first[n] + length for i = 0..of-1."""
    i = np.arange(of)
    return (first[:, None] <= i) & (i < first[:, None] + length)
