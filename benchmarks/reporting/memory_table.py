"""The memory of training steps: what they add to a process, and all that the process holds, beside torch's least."""
from __future__ import annotations

from collections.abc import Sequence

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.reporting.drawing import TORCH, best_of
from minicnn.benchmarks.results import Case, Measurement, Results
from minicnn.document import Block, Bold, Column, Table

CAPTION = ("Memory: each contestant once more in a process of its own, with compiled code from the cache. Added: what five steps add, at "
           "the peak, to a process that holds network, optimiser and images. Whole process: all that it holds then, interpreter and "
           "libraries included. × torch, and in brackets: times as much as torch's most frugal setting (below 1: less). Bold: the least.")
KINDS = {"memory": "MiB that training steps add", "process": "MiB of the whole process"}


def table(results: Results, case: Case) -> Table | None:
    """A row a contestant; None where memory was not measured apart."""
    found = [m for m in results.of(case) if m.process]
    if not found:
        return None
    columns = [Column("contestant", left=True), Column("MiB added"), Column("× torch"), Column("whole process"), Column("× torch")]
    rows = [[m.contestant, *(cell for of in KINDS for cell in (_mib(m, of, found), _ratio(results, case, m, of)))] for m in found]
    return Table(f"{case.id}, {case.direction}: memory", columns, rows)


def summary(results: Results) -> list[Block]:
    """For each kind of memory a row a case: MiB, and in brackets times torch's least; torch with the setting that takes the least."""
    cases = [case for case in results.cases if any(m.process for m in results.of(case))]
    return [*(_summed(results, cases, of) for of in KINDS), CAPTION] if cases else []


def _summed(results: Results, cases: Sequence[Case], of: str) -> Table:
    names = list(dict.fromkeys(_column(results, m.contestant) for case in cases for m in results.of(case) if m.process))
    names.sort(key=lambda name: name.startswith(TORCH))        # last
    shown = Table(KINDS[of], [Column("problem", left=True), *map(Column, names)], [])
    for case in cases:
        found = [m for m in results.of(case) if m.process]
        cells = dict[str, str]()
        for m in found:
            name, least = _column(results, m.contestant), results.least_torch(case, of, results.league(m.contestant))
            if m is least:
                cells[name] = _mib(m, of, found, f" ({m.contestant.removeprefix('torch').removeprefix(' CUDA').strip(' .')})")
            elif not name.startswith(TORCH):
                cells[name] = _mib(m, of, found, f" ({_ratio(results, case, m, of)})" if least else "")
        shown.rows.append([case.id, *(cells.get(name, "-") for name in names)])
    return shown


def _mib(m: Measurement, of: str, others: Sequence[Measurement], more: str = "") -> str:
    text = units.short(getattr(m, of) / 2**20) + more
    return Bold(text) if m is min(others, key=lambda other: getattr(other, of)) else text


def _ratio(results: Results, case: Case, m: Measurement, of: str) -> str:
    least = results.least_torch(case, of, results.league(m.contestant))
    size = getattr(least, of) if least else 0
    return units.short(getattr(m, of) / size) if size else "-"


def _column(results: Results, contestant: str) -> str:
    return best_of(results.league(contestant)) if contestant.startswith("torch") else contestant
