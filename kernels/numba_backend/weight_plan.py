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
    "together",                           # a list's tiles mix taps, so that dw is made of a whole block at a time
    "chunks", "parts",                    # tasks: chunks of the batch times parts of all blocks' tiles
)], align=True)

TASKS = 16                   # parts of the filters times chunks of a large batch; every chunk has a private copy of the sums
LEVEL_1, LEVEL_2 = 56 * 1024, 256 * 1024     # bytes of sums that stay in these caches beside x and dy
PIXELS_1, PIXELS_2 = 64, 512 # for a tile to stay in registers: then loading it from there, and storing it, costs little
FEW_PIXELS = 2048            # in the whole batch: one chunk, and the parts are the tasks
FEW_MACS = 200_000           # not worth more than one task
FEW_CHANNELS = 8             # too few rows for a tile: the taps of a kernel row are taken together


class WeightPlan(NamedTuple):
    cut: np.ndarray
    lists: np.ndarray        # (lists, 2): where each begins in `pixels`, and how many pixels it has of every row of outputs
    pixels: np.ndarray       # (number, 2): the first number that an output pixel reads of a row of the image, and its place in dy
    places: np.ndarray       # of dw[f, c, kh, kw], in the order of (c, kh, kw): its row among a chunk's sums for f's group
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
    tall = -(-length // rows) * rows
    whole = N * OH * OW <= FEW_PIXELS and not together           # pixels: every tile is summed in one go
    of_block = KH * len(steps) * tall * full.columns * itemsize  # bytes of sums
    enough = PIXELS_1 if of_block <= LEVEL_1 else PIXELS_2
    parts = min(blocks * (tall // rows), TASKS) if whole else min(blocks, TASKS, -(-blocks * of_block // LEVEL_2))
    bands = 1 if whole else -(-OH * OW // (2 * enough))
    if not (few or whole) and N * parts < FEWEST_TASKS:
        bands = min(OH, max(bands, -(-FEWEST_TASKS // (N * parts))))
    band = -(-OH // bands)
    bands = -(-OH // band)
    chunks = 1 if few or whole else min(N * bands, -(-(TASKS if N > 1 else FEWEST_TASKS) // parts))
    images = N if whole else 1 if bands > 1 else max(1, min(-(-N // chunks), enough // (OH * OW)))
    lists: list[tuple[int, int]] = []
    pixels: list[tuple[int, int]] = []
    for step in steps:
        seen = [ow for ow in range(OW) if together or 0 <= ow * SW + step - left < W]
        lists.append((len(pixels), len(seen)))
        pixels += [((oh * SH * W + ow * SW + step - left) * C, (oh * OW + ow) * F) for oh in range(band) for ow in seen]
    cut = np.array([(N, H, W, C, F, OH, OW, SH, DH, top, images, bands, band, groups, CG, outputs, KH, KW, len(lists), length, tall, wide,
                     blocks, together, chunks, parts)], CUT)
    c, kh, kw = (axis.reshape(-1) for axis in np.indices((CG, KH, KW)))
    line, number = (kh, kw * C + c) if together else (kh * KW + kw, c)       # of the lists, and in it
    last = tall - rows                                           # the last tile's first row; it overlaps the tile before it
    places = (line * tall + np.where(number < last, number, last + number - (length - rows))) * wide
    return WeightPlan(cut, np.array(lists, np.int64), np.array(pixels or [(0, 0)], np.int64), places, rows, full, rest, wide > outputs,
                      border, chunks * groups * KH * len(lists) * tall * wide, macs)
