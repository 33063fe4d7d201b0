"""How a convolution, or its input gradient, is cut into phases, bands, tiles and blocks: integers that depend on shapes alone.

Both are one sum that slides over an image (`sliding_sum.py`). A *phase* is such a sum, and the forward pass has one. The input gradient
of a strided convolution has SH*SW of them, because pixels of dx that lie a stride apart are reached by the same few taps:

    dx[h] = sum over kh, oh with oh*SH + kh*DH - PT = h

Of the pixels h = first + q*SH, the taps kh with kh*DH = first + PT (modulo SH) read dy at q + (first + PT - kh*DH)/SH: a convolution of dy
with stride 1 and a part of the kernel, whose outputs lie SH rows and SW columns apart. No zeros are put between the pixels of dy.
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minicnn.kernels.numba_backend.simd import registers
from minicnn.kernels.window import Window2d

PHASE = np.dtype([(name, np.int64) for name in (
    "H", "W", "C",                        # of the image that is read
    "OH", "OW", "SH", "SW",               # the outputs, and how far the window moves from one to the next
    "top", "left",                        # the first window starts that far before the image (negative: inside)
    "reach", "width",                     # rows that one row of outputs reads, and columns that all of a row reads
    "bands", "band",                      # every image is cut into bands of that many output rows
    "groups", "inputs", "outputs",        # channels of one group, read and made
    "first_tap", "taps",                  # in Plan.taps
    "tap_rows", "tap_step",               # the taps' rows, and how many rows of the image they are apart
    "first_run", "runs", "length",        # the taps once more, as runs of numbers that follow each other in memory
    "w_start", "w_group",                 # where this phase's packed weights begin, and how many a group has
    "y_start", "y_image", "y_row", "y_pixel",
    "direct",                             # the image is read where it is: there is no border to add
)], align=True)

BAND_BYTES = 192 * 1024      # of a padded band, which stays in a core's level 2 cache while all filters pass over it
MOST_TAPS = 7                # of a kernel row whose weights all stay in registers
FEWEST_TASKS = 8             # so that threads share the work evenly


class Tile(NamedTuple):
    """vecs vectors of `lanes` output channels, for each of a number of output pixels."""
    vecs: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vecs * self.lanes


class Slide(NamedTuple):
    """How a kernel row slides over the image: its taps, if they are neighbours that read all channels, and else 1; and the stride."""
    taps: int
    stride: int


class Axis(NamedTuple):
    """One axis of a phase: outputs first, first + step, ..., `outputs` of them; output q sees tap k at q*stride + offset."""
    first: int
    step: int
    outputs: int
    stride: int
    taps: tuple[tuple[int, int], ...]     # (k, offset), by offset

    @property
    def before(self) -> int:
        return -self.taps[0][1] if self.taps else 0

    @property
    def spacing(self) -> int:
        return self.taps[1][1] - self.taps[0][1] if len(self.taps) > 1 else 1

    @property
    def reach(self) -> int:
        return self.taps[-1][1] - self.taps[0][1] + 1 if self.taps else 0


class Plan(NamedTuple):
    phases: np.ndarray
    starts: np.ndarray       # of each run: its first number, counted from the first that the first output of a band's row reads
    taps: np.ndarray         # (number, 2): kh, kw in the order of the packed weights
    order: np.ndarray        # how `pack` finds that order
    rows: int                # output pixels of a tile
    full: Tile               # for most filters
    rest: Tile               # for the last few
    slide: Slide
    blocks: int              # of a group's filters, of both kinds
    tasks: int               # bands of all images and phases
    scratch: int             # numbers that a thread needs for one padded band
    packed: int              # numbers of all packed weights
    macs: int


def forward_axis(window: Window2d, size: Sequence[int], axis: int) -> list[Axis]:
    k, s, d, before = window.kernel[axis], window.stride[axis], window.dilation[axis], window.padding[2 * axis]
    return [Axis(0, 1, window.output_size(size)[axis], s, tuple((i, i * d - before) for i in range(k)))]


def backward_axis(window: Window2d, size: Sequence[int], axis: int) -> list[Axis]:
    k, s, d, before = window.kernel[axis], window.stride[axis], window.dilation[axis], window.padding[2 * axis]
    found = []
    for first in range(min(s, size[axis])):
        taps = [(i, (first + before - i * d) // s) for i in reversed(range(k)) if (first + before - i * d) % s == 0]
        found.append(Axis(first, s, -(-(size[axis] - first) // s), 1, tuple(taps)))
    return found


@functools.lru_cache(4096)
def plan(backward: bool, x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window2d, groups: int, itemsize: int,
         align: int = 1, fewest: int = FEWEST_TASKS) -> Plan:
    """Of conv2d for x (N, C, H, W), or of conv2d_grad_input, which reads dy (N, F, OH, OW) and makes dx of x_shape.

    What is read is channels-last in memory. align: bands have a multiple of that many rows. fewest: of bands, in all.
    """
    N, C, *size = x_shape
    F, CG = w_shape[:2]
    make = backward_axis if backward else forward_axis
    rows, columns = make(window, size, 0), make(window, size, 1)
    read, made = ((F, *window.output_size(size)), (C, *size)) if backward else ((C, *size), (F, *window.output_size(size)))
    inputs, outputs = (F // groups, CG) if backward else (CG, F // groups)
    full, rest, limit = tiles(outputs, itemsize)
    slide = slide_of(columns, groups, full, rest)
    if slide.taps > 1:                                           # their weights are in registers too
        limit = min(limit, registers()[1] - 1 - slide.taps)
    blocks = -(-outputs // full.columns) if rest == full else outputs // full.columns + 1
    padded = (blocks - 1) * full.columns + rest.columns
    alone = is_depthwise(C, w_shape, groups)
    whole = not alone or C % channel_tile(C, itemsize).columns == 0          # else a vector of the last channels ends past the image
    bands = _bands(N * len(rows) * len(columns), rows, columns, read[0] * itemsize, fewest)
    phases: list[tuple[int, ...]] = []
    starts: list[int] = []
    taps: list[tuple[int, int]] = []
    w_start = scratch = macs = 0
    for h in rows:
        for w in columns:
            direct = whole and inside(h, read[1]) and inside(w, read[2])
            width = read[2] if direct else (w.outputs - 1) * w.stride + w.reach
            runs, length = runs_of_taps(h, w, width, read[0], inputs)
            used, band = len(h.taps) * len(w.taps), -(-h.outputs // (bands * align)) * align
            phases.append((
                read[1], read[2], read[0], h.outputs, w.outputs, h.stride, w.stride, h.before, w.before, h.reach, width, bands, band,
                groups, inputs, outputs, len(taps), used, len(h.taps), h.spacing, len(starts), len(runs), length, w_start,
                padded * used * inputs, (h.first * made[2] + w.first) * made[0], made[1] * made[2] * made[0], h.step * made[2] * made[0],
                w.step * made[0], direct))
            starts += runs
            taps += [(kh, kw) for kh, _ in h.taps for kw, _ in w.taps]
            w_start += groups * padded * used * inputs
            if not direct:
                scratch = max(scratch, ((band - 1) * h.stride + h.reach) * width * read[0])
            macs += N * h.outputs * w.outputs * used * inputs * outputs * groups
    return Plan(np.array(phases, PHASE), np.array(starts or [0], np.int64), np.array(taps or [(0, 0)], np.int64),
                order_of_weights(np.array(phases, PHASE), taps, backward, w_shape),
                best_rows(tuple(w.outputs for w in columns), limit), full, rest, slide, blocks, len(phases) * N * bands, scratch, w_start,
                macs)


def tiles(outputs: int, itemsize: int) -> tuple[Tile, Tile, int]:
    """The tile for most of a group's filters, the one for the last few, and the most rows that both leave registers for.

    Few filters get narrow vectors: a processor with 16 lanes has vectors of 8 and of 4 as well, and lanes without a filter are lost work.
    """
    size, count = registers()
    lanes = size // itemsize
    full, left = Tile(2, lanes), outputs % (2 * lanes)
    if left == 0:
        rest = full
    elif left > lanes:
        rest = Tile(2, lanes)
    else:
        rest = Tile(1, next(n for n in (16 // itemsize, 32 // itemsize, 64 // itemsize) if n >= left))
    if outputs < full.columns:
        full = rest
    return full, rest, min(16, (count - 1 - full.vecs) // full.vecs)    # sums, a row of weights and one broadcast number in registers


def slide_of(columns: list[Axis], groups: int, full: Tile, rest: Tile) -> Slide:
    """Of all phases alike; taps 1 where no tile is a single vector wide, to have one kernel fewer to compile."""
    taps = {len(w.taps) for w in columns}
    alike = len(taps) == 1 and groups == 1 and all(w.spacing == 1 for w in columns) and 1 in (full.vecs, rest.vecs)
    return Slide(taps.pop(), columns[0].stride) if alike and max(taps) <= MOST_TAPS else Slide(1, 1)


def is_depthwise(C: int, w_shape: tuple[int, ...], groups: int) -> bool:
    """One filter a channel."""
    return groups > 1 and groups == C == w_shape[0]


def channel_tile(C: int, itemsize: int) -> Tile:
    """The tile of a depthwise convolution, whose lanes are channels."""
    size, count = registers()
    lanes = size // itemsize
    return Tile(2 if count >= 32 and lanes < C else 1, lanes)


def order_of_weights(phases: np.ndarray, taps: list[tuple[int, int]], backward: bool, w_shape: tuple[int, ...]) -> np.ndarray:
    """For each number of a run of w[..., KH, KW], which in the forward pass has the axis before these too: its phase, and its row there."""
    _, CG, KH, KW = w_shape
    order = np.full((KH * KW, 2), -1)
    for number, g in enumerate(phases):
        for i, (kh, kw) in enumerate(taps[int(g["first_tap"]):int(g["first_tap"] + g["taps"])]):
            order[kh * KW + kw] = number, i * int(g["inputs"])
    if backward:
        return order
    row = np.arange(CG)[:, None] + order[:, 1]                   # (CG, taps)
    return np.stack([np.zeros_like(row), row], axis=-1).reshape(-1, 2)


@functools.lru_cache(4096)
def best_rows(widths: tuple[int, ...], limit: int) -> int:
    """The tile height that fits rows of these widths with the least work; the last tile of a row overlaps its neighbour.

    Taller tiles use every weight that is loaded more often: one more tile costs about as much as one and a half rows.
    """
    return min(range(1, min(limit, *widths) + 1), key=lambda rows: (sum(-(-w // rows) * (rows + 1.5) for w in widths), -rows))


def _bands(images: int, rows: list[Axis], columns: list[Axis], pixel: int, fewest: int) -> int:
    """Into how many bands to cut every image: they must fit the cache, and there must be enough of them."""
    most = max(h.outputs for h in rows)
    return min(most, max(-(-most // rows_that_fit(rows, columns, pixel)), -(-fewest // images)))


def rows_that_fit(rows: list[Axis], columns: list[Axis], pixel: int) -> int:
    """How many output rows a band of BAND_BYTES has, with pixels of `pixel` bytes."""
    width = max((w.outputs - 1) * w.stride + w.reach for w in columns)
    return max(1, (BAND_BYTES // max(1, width * pixel) - max(h.reach for h in rows)) // rows[0].stride + 1)


def inside(axis: Axis, size: int) -> bool:
    """Whether nothing is read before or after the image."""
    return not axis.taps or (axis.before <= 0 and (axis.outputs - 1) * axis.stride + axis.taps[-1][1] < size)


def runs_of_taps(h: Axis, w: Axis, width: int, C: int, inputs: int) -> tuple[list[int], int]:
    """(starts, length): all taps of a kernel row are one run where they are neighbours and all channels are read; else each is one."""
    neighbours = all(b[1] - a[1] == 1 for a, b in zip(w.taps, w.taps[1:], strict=False))
    whole = neighbours and inputs == C and bool(w.taps)
    seen = w.taps[:1] if whole else w.taps
    starts = [((dh + h.before) * width + dw + w.before) * C for _, dh in h.taps for _, dw in seen]
    return starts, inputs * (len(w.taps) if whole else 1)
