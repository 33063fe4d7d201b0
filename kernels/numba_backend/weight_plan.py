"""How a weight gradient is cut into chunks, tiles and blocks: integers that depend on shapes alone, made once a shape."""
from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from minicnn.kernels.numba_backend.plan import FEWEST_TASKS, Tile, best_rows, tiles
from minicnn.kernels.window import Window2d

CUT = np.dtype([(name, np.int64) for name in (
    "N", "H", "W", "C", "F", "OH", "OW", "SH", "DH", "top",       # W: of a row of the image in memory
    "images",                             # that are summed over at a time, if they are small
    "bands", "band",                      # a larger one is cut into bands of that many output rows
    "groups", "inputs", "outputs", "KH", "KW",
    "lists", "length",                    # taps of a kernel row: each has a list of pixels and reads `length` numbers at each
    "tall", "wide",                       # length and outputs rounded up to whole tiles
    "blocks",                             # blocks of filters, of all groups
    "chunks", "parts",                    # tasks: chunks of the batch times parts of the blocks
)], align=True)

TASKS = 16                   # parts of the filters times chunks of a large batch; every chunk has a private copy of the sums
ENOUGH_PIXELS = 512          # for a tile to stay in registers: then loading and storing it costs little
FEW_MACS = 200_000           # not worth more than one task
FEW_CHANNELS = 8             # too few rows for a tile: the taps of a kernel row are taken together


class WeightPlan(NamedTuple):
    cut: np.ndarray
    lists: np.ndarray        # (lists, 2): where each begins in `pixels`, and how many pixels it has of every row of outputs
    pixels: np.ndarray       # (number, 2): the first number that an output pixel reads of a row of the image, and its place in dy
    rows: int                # numbers in a tile
    full: Tile               # for most filters
    rest: Tile               # for the last few
    partial: bool            # the last tile is wider than the filters that are left
    border: tuple[int, int] | None     # (left, width) of the rows that the image must be copied to first
    sums: int                # numbers of all chunks' sums
    macs: int


@functools.lru_cache(512)
def weight_plan(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int, itemsize: int) -> WeightPlan:
    """For x (N, C, H, W) and dw of w_shape."""
    (N, C, H, W), (F, CG, KH, KW) = x_shape, w_shape
    (OH, OW), (SH, SW), (DH, DW), (top, _, left, _) = window.output_size((H, W)), window.stride, window.dilation, window.padding
    outputs, macs = F // groups, N * F * window.reads((H, W)) * CG
    full, rest, limit = tiles(outputs, itemsize)
    per_group = -(-outputs // full.columns)
    wide = (per_group - 1) * full.columns + rest.columns
    together = C < FEW_CHANNELS and groups == 1 and (DW == 1 or KW == 1)
    border, width = None, (OW - 1) * SW + KW
    if together and (left or width > W):
        border, W, left = (left, width), width, 0
    length, steps = (KW * C, [0]) if together else (CG, [kw * DW for kw in range(KW)])
    rows = best_rows((length,), limit)
    few, blocks = macs < FEW_MACS, groups * per_group
    parts = 1 if few else min(blocks, TASKS)
    bands = -(-OH * OW // (2 * ENOUGH_PIXELS))
    if not few and N * parts < FEWEST_TASKS:
        bands = min(OH, max(bands, -(-FEWEST_TASKS // (N * parts))))
    band = -(-OH // bands)
    bands = -(-OH // band)
    chunks = 1 if few else min(N * bands, -(-(TASKS if N > 1 else FEWEST_TASKS) // parts))
    images = 1 if bands > 1 else max(1, min(-(-N // chunks), ENOUGH_PIXELS // (OH * OW)))
    lists: list[tuple[int, int]] = []
    pixels: list[tuple[int, int]] = []
    for step in steps:
        seen = [ow for ow in range(OW) if together or 0 <= ow * SW + step - left < W]
        lists.append((len(pixels), len(seen)))
        pixels += [((oh * SH * W + ow * SW + step - left) * C, (oh * OW + ow) * F) for oh in range(band) for ow in seen]
    tall = -(-length // rows) * rows
    cut = np.array([(N, H, W, C, F, OH, OW, SH, DH, top, images, bands, band, groups, CG, outputs, KH, KW, len(lists), length, tall, wide,
                     blocks, chunks, parts)], CUT)
    return WeightPlan(cut, np.array(lists, np.int64), np.array(pixels or [(0, 0)], np.int64), rows, full, rest, wide > outputs, border,
                      chunks * groups * KH * len(lists) * tall * wide, macs)
