"""The panels that a sliding window is drawn with: where it reads, the weights, the products."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.convolution import Sides
from minicnn.inspect.explaining.sliding import Missed
from minicnn.inspect.explaining.terms import Panel, Term, panel
from minicnn.kernels.window import Window2d

ROWS = 3                                                       # of panels, at most: channels, filters or images


def largest(terms: Sequence[Term], by: str) -> list[int]:
    """The channels (or filters, or images) whose sums are the largest in size, in order."""
    sums: dict[int, float] = {}
    for term in terms:
        sums[term.place[by]] = sums.get(term.place[by], 0.0) + (abs(term.product) if np.isfinite(term.product) else np.inf)
    return sorted(sorted(sums, key=lambda key: -sums[key])[:ROWS])


def kernel_panel(title: str, shape: Sequence[int], terms: Sequence[Term], value: str, hollow: np.ndarray | None = None) -> Panel:
    """(KH, KW): one value of each term where its tap is."""
    plane = np.zeros(tuple(shape))
    seen = np.zeros(tuple(shape), bool)
    for term in terms:
        at = term.place["kh"], term.place["kw"]
        plane[at] += getattr(term, value) if value == "product" or not seen[at] else 0
        seen[at] = True
    return panel(title, plane, np.argwhere(seen), ~seen if hollow is None else hollow, axes=("kh", "kw"), empty="no output there")


def of_reading(call: Call, sides: Sides, padded: np.ndarray, terms: Sequence[Term], f: int, at: tuple[int, int],
               names: tuple[str, int]) -> list[list[Panel]]:
    """A row for each channel: the image with the window, the weights, the products."""
    name, n = names
    key = next(iter(terms[0].place))
    rows = []
    for c in largest(terms, key):
        of_c = [term for term in terms if term.place[key] == c]
        kernel = sides.window.kernel
        first = sides.channels(f).start
        rows.append([
            panel(f"{name}[{n}, {c}]", padded[c], [t.place["padded"] for t in of_c], sides.origins < 0, call.padding[::2]),
            kernel_panel(f"weight[{f}, {c - first}]", kernel, of_c, "right"),
            kernel_panel("products", kernel, of_c, "product")])
    return rows


def of_spreading(sides: Sides, grid: np.ndarray, terms: Sequence[Term], missed: Sequence[Missed], c: int,
                 names: tuple[str, int]) -> list[list[Panel]]:
    """A row for each filter: dy with the outputs that saw the pixel, dy as each tap finds it, the weights, the products."""
    name, n = names
    kernel = sides.window.kernel
    if not terms:
        return []
    key, oh, ow = list(terms[0].place)[:3]
    rows = []
    for f in largest(terms, key):
        of_f = [term for term in terms if term.place[key] == f]
        weights = sides.w[f, c % sides.w.shape[1]]
        cells = [(t.place["kh"], t.place["kw"]) for t in of_f]
        rows.append([
            _spread_out(f"{name}[{n}, {f}]", grid[f], sides.window, [(t.place[oh], t.place[ow]) for t in of_f], missed, (oh, ow)),
            kernel_panel(f"{name}[{n}, {f}], as each tap finds it", kernel, of_f, "left"),
            panel(f"weight[{f}, {c % sides.w.shape[1]}]", weights, cells, axes=("kh", "kw")),
            kernel_panel("products", kernel, of_f, "product")])
    return rows


def _spread_out(title: str, grid: np.ndarray, window: Window2d, cells: Sequence[tuple[int, int]], missed: Sequence[Missed],
                axes: tuple[str, str]) -> Panel:
    """dy with zeros between its rows and columns where there is a stride, and marked where the taps lead, also to those zeros."""
    (SH, SW), (OH, OW) = window.stride, grid.shape
    if (SH, SW) == (1, 1):
        return panel(title, grid, cells, axes=axes)
    plane = np.zeros(((OH - 1) * SH + 1, (OW - 1) * SW + 1))
    plane[::SH, ::SW] = grid
    between = np.ones(plane.shape, bool)
    between[::SH, ::SW] = False
    led = [(round(m.at[0] * SH), round(m.at[1] * SW)) for m in missed]
    marked = [(h * SH, w * SW) for h, w in cells] + [(h, w) for h, w in led if 0 <= h < plane.shape[0] and 0 <= w < plane.shape[1]]
    return panel(f"{title}, spread out", plane, marked, between, axes=(f"{axes[0]}*{SH}", f"{axes[1]}*{SW}"), empty="zeros between")


def of_correlating(call: Call, padded: np.ndarray, grid: np.ndarray, terms: Sequence[Term], c: int, f: int,
                   names: tuple[str, str]) -> list[list[Panel]]:
    """A row for each image: the pixels that the tap met, dy, the products."""
    key, oh, ow = list(terms[0].place)[:3]
    rows = []
    for n in largest(terms, key):
        of_n = [term for term in terms if term.place[key] == n]
        products = np.zeros(grid.shape[2:])
        for term in of_n:
            products[term.place[oh], term.place[ow]] = term.product
        everywhere = np.ndindex(*products.shape)
        cells = list(everywhere)
        rows.append([
            panel(f"{names[0]}[{n}, {c}]", padded[n, c], [t.place["padded"] for t in of_n],
                  call.origins() < 0 if names[0] == "x" else None, call.padding[::2]),
            panel(f"{names[1]}[{n}, {f}]", grid[n, f], cells, axes=(oh, ow)),
            panel("products", products, cells, axes=(oh, ow))])
    return rows
