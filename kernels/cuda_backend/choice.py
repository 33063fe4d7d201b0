"""Which rung computes a convolution: looked up in a table by the size of the matrix product that it is.

The table below was measured by `minicnn bench conv --tune` on an NVIDIA H200: the time of whole calls, with what Python and CuPy take to
launch a kernel, which on a GPU of this size is most of it up to some ten million multiply-adds. Where a product has few rows it was bent:
there the direct rung stays where a depthwise convolution, whose product is of that class in every group, would leave all of a tile but a
row empty. The command measures anew on the GPU at hand; what it finds is kept in the user's cache, for each model of GPU, and used from
then on.
"""
from __future__ import annotations

import bisect
import functools
import itertools
import json
import math
from pathlib import Path

from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.user_cache import cache_folder
from minicnn.kernels.window import Window2d

DIRECTIONS = ("forward", "grad_input", "grad_weight")
RUNGS = ("direct", "im2col", "tiled", "blocked", "pipelined")      # tensor cores round: they are chosen by who allows it
_PRODUCT = (4, 32, 64), (1024, 16384), (32,)                       # where a class of rows, columns, terms ends; one more is beyond
ENDS = {"forward": _PRODUCT, "grad_input": _PRODUCT,               # columns are pixels, terms weights; in a weight gradient the reverse
        "grad_weight": ((4, 32, 64), (64, 512), (4096,))}

_LETTERS = {rung[0]: rung for rung in RUNGS}                        # no two begin alike
MEASURED = {                     # a word for each class of columns; in it a letter for a sum of few terms, and one for a sum of more
    "forward":     {4: "dt dt dd", 32: "dt db bi", 64: "bt bb bi", math.inf: "dt bb bp"},
    "grad_input":  {4: "dt dt di", 32: "dt bb bi", 64: "dt bb bp", math.inf: "bt tb bp"},
    "grad_weight": {4: "dd dp bp", 32: "db bp pp", 64: "db bp pp", math.inf: "bb bp pp"},
}

Size = tuple[int, int, int]      # of a group's product: rows, columns, terms of a sum
Table = dict[str, str]           # size class: rung


def size_of(direction: str, x_shape: Shape, w_shape: Shape, window: Window2d, groups: int) -> Size:
    """The product that each group of this convolution is. x_shape (N, C, H, W), w_shape (F, C/G, KH, KW)."""
    F, CG, KK = w_shape[0] // groups, w_shape[1], math.prod(w_shape[2:])
    outputs = x_shape[0] * math.prod(window.output_size(x_shape[2:]))
    return {"forward": (F, outputs, CG * KK), "grad_input": (CG, x_shape[0] * math.prod(x_shape[2:]), F * KK),
            "grad_weight": (F, CG * KK, outputs)}[direction]


def size_class(direction: str, size: Size) -> str:
    """The table's key, such as "forward, rows <= 64, columns > 16384, sum > 32"."""
    bounds = zip(("rows", "columns", "sum"), size, ENDS[direction], strict=True)
    return ", ".join([direction, *(_class(name, n, ends) for name, n, ends in bounds)])


def examples() -> list[tuple[str, str, Size]]:
    """(size class, direction, a size inside it) for every row of the table: the largest, and beyond the last end 2, 8 and 16 times that."""
    found = []
    for direction, (rows, columns, sums) in ENDS.items():
        for size in itertools.product((*rows, 2 * rows[-1]), (*columns, 8 * columns[-1]), (*sums, 16 * sums[-1])):
            found.append((size_class(direction, size), direction, size))
    return found


def measured(direction: str, size: Size) -> str:
    """The rung that was the fastest on an H200.

    >>> measured("forward", (64, 100_000, 576)), measured("grad_weight", (64, 576, 100_000))
    ('im2col', 'pipelined')
    """
    (rows, columns, terms), (_, widths, lengths) = size, ENDS[direction]
    words = next(words for most, words in MEASURED[direction].items() if rows <= most).split()
    return _LETTERS[words[bisect.bisect_left(widths, columns)][bisect.bisect_left(lengths, terms)]]


@functools.cache
def table(gpu: str | None) -> Table:
    """What was measured on this model of GPU, else on an H200."""
    found = {key: measured(direction, size) for key, direction, size in examples()}
    return {**found, **{k: v for k, v in _measured(gpu).items() if k in found and v in RUNGS}}


def rung(direction: str, size: Size, gpu: str | None) -> str:
    return table(gpu)[size_class(direction, size)]


def path() -> Path | None:
    folder = cache_folder()
    return folder / "cuda" / "rungs.json" if folder else None


def keep(gpu: str, measured: Table) -> Path:
    """Remember what was measured on this model of GPU. Raises OSError without a folder to keep it in."""
    where = path()
    if where is None:
        raise OSError("there is no home folder to keep the table in: set MINICNN_CACHE")
    where.parent.mkdir(parents=True, exist_ok=True)
    part = where.with_suffix(".part")
    part.write_text(json.dumps({**_all_measured(), gpu: measured}, indent=2))
    part.replace(where)
    table.cache_clear()
    return where


def _measured(gpu: str | None) -> Table:
    found = _all_measured().get(gpu) if gpu else None
    return found if isinstance(found, dict) else {}


def _all_measured() -> dict[str, Table]:
    """{model of GPU: table}; empty if nothing was measured, or the file is damaged."""
    where = path()
    try:
        found = json.loads(where.read_text()) if where else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _class(name: str, n: int, ends: tuple[int, ...]) -> str:
    end = next((end for end in ends if n <= end), None)
    return f"{name} > {ends[-1]}" if end is None else f"{name} <= {end}"
