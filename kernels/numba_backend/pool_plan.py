"""How pooling and its gradient are cut into rows, lines and tasks: integers that depend on shapes alone.

On one axis a window's taps that lie inside the image are first + i*dilation for i = 0 .. count-1. The windows that have a tap on a pixel
are first + i*(dilation / gcd) likewise, with the greatest common divisor of dilation and stride. Columns with equal counts, a stride apart,
are one *line*: what the compiled code walks along.
"""
from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.window import Window2d

TASK = 1 << 14               # elementary operations of a task: some 3 µs, so a thread that comes late leaves little undone


class Plan(NamedTuple):
    output: tuple[int, int]  # OH, OW
    overlap: bool            # windows have pixels in common, or reach between each other's
    spans: np.ndarray        # (rows, 2): first and count, for every row
    lines: np.ndarray        # (L, 4): a line's first column, how many it has, and first and count of that one
    cells: np.ndarray        # (rows + columns): what each counts for in an average's divisor
    uneven: np.ndarray | None     # (OH, OW): the divisors, where `cells` cannot say them
    grid: np.ndarray         # what `fields` returns
    tasks: int               # of all images
    operations: int


@jit()
def fields(grid: Any) -> tuple[int, ...]:
    """H, W read, H, W made, C, step, skip, down, right, tasks an image, rows a task, SH, PT, whether there are pixels without a window."""
    g = grid
    return g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11], g[12], g[13]


@jit()
def first_pixel_row(row: int, OH: int, SH: int, PT: int, H: int) -> int:
    """The first of the rows of pixels that belong to this row of windows: none lies before the first's, and none after the last's."""
    return 0 if row == 0 else H if row == OH else min(H, max(0, row * SH - PT))


@functools.lru_cache(4096)
def plan(x_shape: tuple[int, ...], window: Window2d, count_include_pad: bool = True, divisor: int | None = None,
         pixels: bool = False) -> Plan:
    """For x of x_shape (N, C, H, W): rows and columns are those of windows, what is read is H x W and what is made OH x OW.

    pixels: rows and columns are those of pixels, if windows overlap, and what is read and what is made change places.
    """
    N, C, *size = x_shape
    output, (SH, SW), dilation = window.output_size(size), window.stride, window.dilation
    taps = [np.arange(o)[:, None] * s + np.arange(k) * d - before                       # (O, K)
            for o, s, k, d, before in zip(output, window.stride, window.kernel, dilation, window.padding[::2], strict=True)]
    windows = [_windows_over(t, n) for t, n in zip(taps, size, strict=True)]
    overlap = any(o > 1 and e > s for o, e, s in zip(output, window.extent, window.stride, strict=True))
    pixels = pixels and overlap
    spans = windows if pixels else [_taps_inside(t, n) for t, n in zip(taps, size, strict=True)]
    down, right = (d // math.gcd(d, s) if pixels else d for d, s in zip(dilation, window.stride, strict=True))
    cells, uneven = _cells(window, taps, size, count_include_pad, divisor), None
    if pixels:
        divisors = np.outer(*cells)
        uneven = None if np.ptp(divisors) == 0 else divisors
        cells = [np.full(size[0], divisors[0, 0] if uneven is None else 1.0), np.ones(size[1])]
    operations = C * (math.prod(size) + math.prod(int(span[:, 1].sum()) for span in spans))       # of one image
    rows = len(spans[0])
    band = max(1, min(rows, rows * TASK // max(1, operations)))
    bands, gaps = -(-rows // band), any((over[:, 1] == 0).any() for over in windows)
    read, made, step, skip = (output, size, 1, SW) if pixels else (size, output, SW, 1)
    lines = _lines(spans[1], skip, step)
    grid = np.array([*read, *made, C, step, skip, down, right, bands, band, SH, window.padding[0], gaps], np.int64)
    return Plan(output, overlap, spans[0], lines, np.concatenate(cells), uneven, grid, N * bands, N * operations)


def _taps_inside(taps: np.ndarray, n: int) -> np.ndarray:
    """(O, 2): the first tap of each window inside 0..n-1, and how many there are. Without any, 0 and 0."""
    inside = (taps >= 0) & (taps < n)
    count = inside.sum(axis=1)
    return np.stack([np.where(count, np.where(inside, taps, n).min(axis=1), 0), count], axis=1)


def _windows_over(taps: np.ndarray, n: int) -> np.ndarray:
    """(n, 2): the first window with a tap on each pixel, and how many there are. Without any, 0 and 0."""
    inside = (taps >= 0) & (taps < n)
    count, first = np.bincount(taps[inside], minlength=n), np.full(n, len(taps))
    np.minimum.at(first, taps[inside], inside.nonzero()[0])
    return np.stack([np.where(count, first, 0), count], axis=1)


def _lines(spans: np.ndarray, skip: int, step: int) -> np.ndarray:
    """(L, 4): the columns in lines, `skip` from one to the next, whose firsts lie `step` apart."""
    lines: list[list[int]] = []
    for phase in range(min(skip, len(spans))):
        start = len(lines)
        for column in range(phase, len(spans), skip):
            first, count = map(int, spans[column])
            if len(lines) > start and lines[-1][3] == count and first in (lines[-1][2] + lines[-1][1] * step, 0 if count == 0 else -1):
                lines[-1][1] += 1
            else:
                lines.append([column, 1, first, count])
    return np.array(lines, np.int64)


def _cells(window: Window2d, taps: list[np.ndarray], size: list[int], count_include_pad: bool, divisor: int | None) -> list[np.ndarray]:
    """(OH), (OW): the taps of each window inside the image, or inside image and padding; NaN for none: an average over nothing is none."""
    if divisor is not None:
        return [np.full(len(taps[0]), divisor, np.float64), np.ones(len(taps[1]))]
    found = []
    for axis, n in enumerate(size):
        before, after = window.padding[2 * axis:2 * axis + 2] if count_include_pad else (0, 0)
        count = ((taps[axis] >= -before) & (taps[axis] < n + after)).sum(axis=1)
        found.append(np.where(count, count, np.nan))
    return found
