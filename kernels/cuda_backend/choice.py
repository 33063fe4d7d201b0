"""Which rung computes a convolution: looked up in a table by the size of the matrix product that it is.

The table below was reasoned, not measured: what each tile wastes and how many blocks there are. `minicnn bench conv --tune` measures it
anew on the GPU at hand, and what it finds is kept in the user's cache, for each model of GPU, and used from then on.
"""
from __future__ import annotations

import functools
import json
from pathlib import Path

from minicnn.kernels.user_cache import cache_folder

DIRECTIONS = ("forward", "grad_input", "grad_weight")
RUNGS = ("direct", "im2col", "tiled", "blocked", "pipelined")      # tensor cores round: they are chosen by who allows it
ROWS, COLUMNS, SUMS = (4, 32, 64), (1024, 16384), (32,)            # where a size class ends; one more class is beyond

Size = tuple[int, int, int]      # of a group's product: rows, columns, terms of a sum
Table = dict[str, str]           # size class: rung


def size_class(direction: str, size: Size) -> str:
    """The table's key, such as "forward, rows <= 64, columns > 16384, sum > 32"."""
    bounds = zip(("rows", "columns", "sum"), size, (ROWS, COLUMNS, SUMS), strict=True)
    return ", ".join([direction, *(_class(name, n, ends) for name, n, ends in bounds)])


def examples() -> list[tuple[str, str, Size]]:
    """(size class, direction, a size well inside it) for every row of the table."""
    sizes = [(r, c, s) for r in (*ROWS, 2 * ROWS[-1]) for c in (*COLUMNS, 8 * COLUMNS[-1]) for s in (*SUMS, 16 * SUMS[-1])]
    return [(size_class(direction, size), direction, size) for direction in DIRECTIONS for size in sizes]


def reasoned(size: Size) -> str:
    """A product of few rows would leave most of a tile empty; a small one has too few large tiles to keep a GPU busy."""
    rows, columns, _ = size
    if rows <= ROWS[0]:
        return "direct"
    return "blocked" if rows <= ROWS[1] or columns <= COLUMNS[0] else "pipelined"


@functools.cache
def table(gpu: str | None) -> Table:
    """What was measured on this model of GPU, else what was reasoned."""
    found = {key: reasoned(size) for key, _, size in examples()}
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
