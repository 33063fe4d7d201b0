"""A row a case: how many times as fast as torch each contestant is. For README, and for runs of many cases."""
from __future__ import annotations

from collections.abc import Sequence

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.reporting.describe import missing
from minicnn.benchmarks.reporting.drawing import TORCH, best_of
from minicnn.benchmarks.results import Case, Results
from minicnn.benchmarks.statistics import Ratio, geometric_mean
from minicnn.document import Block, Bold, Column, Table

MARKS = {"SAME": "≈", "UNCLEAR": "?"}
CAPTION = ("Numbers: how many times as fast as torch's best setting in the same run (above 1: faster), median of the rounds. ≈: within "
           "3 %. ?: too noisy to tell. Bold: the fastest. Mean: geometric.")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Footnotes:
    """Reasons by number; the same reason has the same number."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}

    def dash(self, reason: str) -> str:
        """A cell for what is not there."""
        return "-" + self.numbers.setdefault(reason, str(len(self.numbers) + 1).translate(SUPERSCRIPTS))

    def lines(self) -> list[str]:
        return [f"{number} {reason}" for reason, number in self.numbers.items()]


def summary(results: Results) -> list[Block]:
    """A table for each direction: a row for every case, and one for the geometric means; torch with the time of its best setting."""
    tables = [_direction(results, direction, cases) for direction, cases in by_direction(results).items()]
    several = " Each in its own league: the CPU, the GPU, the GPU with TF32." if len(results.leagues()) > 1 else ""
    return [*tables, CAPTION + several, *missing(results)]


def means(results: Results) -> Table:
    """A row a contestant, torch's settings too: the geometric mean over the cases of each direction, and how often it was faster."""
    directions = by_direction(results)
    found = {direction: ratios(results, cases) for direction, cases in directions.items()}
    table = Table("", [Column("× torch's best, mean", left=True), *map(Column, directions), Column("faster / same / slower / unclear")], [])
    for entrant in results.entrants:
        lists = [found[direction].get(entrant.name, []) for direction in directions]
        if any(lists):
            verdicts = [ratio.verdict for each in lists for ratio in each]
            counts = " / ".join(str(verdicts.count(verdict)) for verdict in ("FASTER", "SAME", "SLOWER", "UNCLEAR"))
            table.rows.append([entrant.name, *(mean(each, len(directions[d])) for d, each in zip(directions, lists, strict=True)), counts])
    return table


def by_direction(results: Results) -> dict[str, list[Case]]:
    """The cases of each direction."""
    found: dict[str, list[Case]] = {}
    for case in results.cases:
        found.setdefault(case.direction, []).append(case)
    return found


def ratios(results: Results, cases: Sequence[Case]) -> dict[str, list[Ratio]]:
    """Every contestant's standings against torch's best setting. That setting itself is as fast as itself."""
    found: dict[str, list[Ratio]] = {}
    for case in cases:
        for m, ratio in results.standings(case):
            best = results.best_torch(case, results.league(m.contestant))
            ratio = Ratio(1, 1, 1, "SAME") if m is best else ratio
            if ratio:
                found.setdefault(m.contestant, []).append(ratio)
    return found


def mean(found: Sequence[Ratio], cases: int) -> str:
    """The geometric mean, and of how many cases where it is not of all."""
    if not found:
        return "-"
    some = "" if len(found) == cases else f" ({len(found)} of {cases})"
    return units.short(geometric_mean([ratio.value for ratio in found])) + some


def _direction(results: Results, direction: str, cases: Sequence[Case]) -> Table:
    measured = dict.fromkeys(m.contestant for case in cases for m in results.of(case))
    names = list(dict.fromkeys(_column(results, name) for name in measured))
    names.sort(key=lambda name: name.startswith(TORCH))        # last
    table, footnotes = Table(direction, [Column("problem", left=True), *map(Column, names)], []), Footnotes()
    group = ""
    for case in cases:
        if case.group != group:
            table.rows.append([case.group])
            group = case.group
        cells = _cells(results, case, footnotes)
        table.rows.append([case.id, *(cells.get(name) or footnotes.dash("not measured") for name in names)])
    found = ratios(results, cases)
    if found:
        table.rows.append([Bold("mean"), *("1" if name.startswith(TORCH) else mean(found.get(name, []), len(cases)) for name in names)])
    table.notes = footnotes.lines()
    return table


def _cells(results: Results, case: Case, footnotes: Footnotes) -> dict[str, str]:
    """What to print for each contestant, the fastest in bold; times where torch has none to be held against."""
    cells, leagues = dict[str, str](), dict[str, dict[str, float]]()
    for m, ratio in results.standings(case):
        name, league = _column(results, m.contestant), results.league(m.contestant)
        best, speeds = results.best_torch(case, league), leagues.setdefault(league, {})
        if m is best:
            setting = m.contestant.removeprefix("torch").removeprefix(" CUDA").strip(" .")
            cells[name], speeds[name] = f"{units.seconds(m.median)}{f' ({setting})' if setting else ''}", 1.0
        elif name.startswith(TORCH):
            cells.setdefault(name, "" if best else footnotes.dash(m.refused))
        elif ratio:
            cells[name], speeds[name] = MARKS.get(ratio.verdict, "") + units.short(ratio.value), ratio.value
        elif m.turns:
            cells[name], speeds[name] = units.seconds(m.median), 1 / m.median
        else:
            cells[name] = footnotes.dash(m.refused)
    for speeds in filter(None, leagues.values()):
        fastest = max(speeds, key=speeds.__getitem__)
        cells[fastest] = Bold(cells[fastest])
    return cells


def _column(results: Results, contestant: str) -> str:
    """Its own; torch's settings share one."""
    return best_of(results.league(contestant)) if contestant.startswith("torch") else contestant
