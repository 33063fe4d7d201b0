"""The three sums of a convolution, which are those of a transposed convolution too, in other roles.

    reading       an output reads an image under the window          conv2d forward;            conv_transpose2d, gradient of the input
    spreading     what lands on a pixel of the image                 conv2d, gradient of x;     conv_transpose2d forward
    correlating   what lands on one tap of the kernel                conv2d, gradient of w;     conv_transpose2d, gradient of the weight

The image is the side that the window slides over (x of conv2d, y of conv_transpose2d), the grid the side with one cell a window.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from minicnn.inspect.explaining.sliding import Missed, Tap, pixel, reached, taps
from minicnn.inspect.explaining.terms import PADDING, Term
from minicnn.kernels.window import Window2d


@dataclass(frozen=True)
class Sides:
    """The geometry that both directions share: origins as in Call.origins, for the image; width: W of the image.

    w (F, C/G, KH, KW): F channels of the grid, C of the image.
    """
    window: Window2d
    origins: np.ndarray
    width: int
    w: np.ndarray
    groups: int

    def channels(self, f: int) -> range:
        """Those of the image that channel f of the grid is connected to."""
        CG, group = self.w.shape[1], f // (len(self.w) // self.groups)
        return range(group * CG, (group + 1) * CG)

    def filters(self, c: int) -> range:
        """Those of the grid that channel c of the image is connected to."""
        FG, group = len(self.w) // self.groups, c // self.w.shape[1]
        return range(group * FG, (group + 1) * FG)

    def row(self, c: int, kh: int, kw: int) -> int:
        """The row of the im2col matrix (C·KH·KW, OH·OW)."""
        KH, KW = self.window.kernel
        return (c * KH + kh) * KW + kw


def reading(sides: Sides, padded: np.ndarray, f: int, at: tuple[int, int], names: Sequence[str] = ("c", "oh", "ow")) -> list[Term]:
    """padded (C, HP, WP): the terms padded[c, position] * w[f, c', kh, kw] of the cell `at` of the grid."""
    found = []
    read = list(taps(sides.window, sides.origins, sides.width, *at))
    for i, c in enumerate(sides.channels(f)):
        for t in read:
            found.append(Term.of(padded[c][t.padded], sides.w[f, i, t.kh, t.kw],
                                 **{names[0]: c, "kh": t.kh, "kw": t.kw, "padded": t.padded, "input": t.where,
                                    "row": sides.row(c, t.kh, t.kw)}))
    return found


def spreading(sides: Sides, grid: np.ndarray, c: int, at: tuple[int, int],
              names: Sequence[str] = ("f", "oh", "ow")) -> tuple[list[Term], list[Tap], list[Missed]]:
    """grid (F, OH, OW): the terms grid[f, oh, ow] * w[f, c', kh, kw] that land on pixel `at` of channel c of the image."""
    hits, missed = reached(sides.window, sides.origins, grid.shape[1:], at, sides.width)
    OW, found = grid.shape[2], []
    for t, f in product(hits, sides.filters(c)):
        found.append(Term.of(grid[f, t.oh, t.ow], sides.w[f, c % sides.w.shape[1], t.kh, t.kw],
                             **{names[0]: f, names[1]: t.oh, names[2]: t.ow, "kh": t.kh, "kw": t.kw, "padded": t.padded,
                                "row": sides.row(c, t.kh, t.kw), "column": t.oh * OW + t.ow}))
    return found, hits, missed


def correlating(sides: Sides, padded: np.ndarray, grid: np.ndarray, index: Sequence[int],
                names: Sequence[str] = ("n", "oh", "ow")) -> list[Term]:
    """padded (N, C, HP, WP), grid (N, F, OH, OW): the terms grid[n, f, oh, ow] * padded[n, c, position] of weight index (f, c', kh, kw)."""
    f, i, kh, kw = index
    c, (SH, SW), (DH, DW) = sides.channels(f)[i], sides.window.stride, sides.window.dilation
    N, _, OH, OW = grid.shape
    found = []
    for n, oh, ow in product(range(N), range(OH), range(OW)):
        at = oh * SH + kh * DH, ow * SW + kw * DW
        found.append(Term.of(grid[n, f, oh, ow], padded[n, c][at],
                             **{names[0]: n, names[1]: oh, names[2]: ow, "padded": at,
                                "input": pixel(sides.origins, sides.width, at) or PADDING, "column": oh * OW + ow}))
    return found
