"""Two runs of the same kind, A and B: what became faster or slower beyond the noise.

Two runs hardly ever find a machine in the same state, so absolute times do not compare. Where both runs have torch, a contestant's
speed is taken relative to torch's in its own run, turn by turn; torch itself, and runs without it, are compared by absolute times.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from minicnn import document
from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.results import Case, Measurement, Results
from minicnn.benchmarks.statistics import ENOUGH, SAME, geometric_mean, median_interval
from minicnn.document import Block, Column, Table

if TYPE_CHECKING:
    from rich.console import Console

VERDICTS = ("FASTER", "SLOWER", "SAME", "UNCLEAR")
BASES = {"torch": "relative to torch", "time": "absolute times"}
CAPTION = ("Relative to torch: to the fastest of its settings that both runs have, so that the machine's state cancels. Absolute times, "
           "of torch itself and of what ran without it, change with that state. Changed: more than 3 %, and the 95 % intervals do not "
           "overlap. They know the noise within a run only: run A again before you believe a small change.")


@dataclass(frozen=True)
class Change:
    """One contestant on one case, from A to B.

    basis: "torch" when speeds are relative to torch, "time" when they are absolute. before, after: the speed, as times as fast as
    torch or as calls a second. verdict: FASTER or SLOWER when the 95 % intervals of the two speeds do not overlap and they are more
    than 3 % apart, SAME within 3 %, else UNCLEAR (also with fewer than six rounds).
    """
    case: Case
    contestant: str
    basis: str
    before: float
    after: float
    verdict: str

    @property
    def ratio(self) -> float:
        """How many times as fast in B as in A."""
        return self.after / self.before


def compare_runs(a: Results, b: Results) -> list[Change]:
    """Every contestant that has times in both runs, in the order of A. Raises ValueError for runs of different kinds."""
    if a.kind != b.kind:
        raise ValueError(f"the first file holds results of {a.kind}, the second of {b.kind}: only runs of the same kind compare")
    changes = []
    for case in a.cases:
        there = {m.contestant: m for m in b.of(case) if m.turns}
        pairs = [(m, there[m.contestant]) for m in a.of(case) if m.turns and m.contestant in there]
        for league in dict.fromkeys(a.league(before.contestant) for before, _ in pairs):
            own = [pair for pair in pairs if a.league(pair[0].contestant) == league]
            torch = min((pair for pair in own if _is_torch(pair[0])), key=lambda pair: pair[0].median + pair[1].median, default=None)
            changes += [_change(case, before, after, None if _is_torch(before) else torch) for before, after in own]
    return changes


def _is_torch(m: Measurement) -> bool:
    return m.contestant.startswith("torch")


def _change(case: Case, a: Measurement, b: Measurement, torch: tuple[Measurement, Measurement] | None) -> Change:
    yardsticks = [m.turns for m in torch] if torch else [(1.0,) * len(m.turns) for m in (a, b)]
    old, new = ([unit / turn for unit, turn in zip(units_, m.turns, strict=True)] for units_, m in zip(yardsticks, (a, b), strict=True))
    return Change(case, a.contestant, "torch" if torch else "time", median(old), median(new), _verdict(old, new))


def _verdict(before: Sequence[float], after: Sequence[float]) -> str:
    ratio = median(after) / median(before)
    if 1 / SAME <= ratio <= SAME:
        return "SAME"
    (low_a, high_a), (low_b, high_b) = median_interval(before), median_interval(after)
    if min(len(before), len(after)) < ENOUGH or (low_b <= high_a and low_a <= high_b):
        return "UNCLEAR"
    return "FASTER" if ratio > 1 else "SLOWER"


def warnings(a: Results, b: Results) -> list[str]:
    """What makes the two runs hard to compare, a sentence each."""
    found = {"suite": (a.suite, b.suite), "number of threads": (a.settings.get("threads"), b.settings.get("threads"))}
    for key, name in (("cpu", "CPU"), ("physical_cores", "number of cores"), ("isa", "instruction set"), ("os", "operating system")):
        found[name] = a.machine.get(key), b.machine.get(key)
    for key, name in (("name", "GPU"), ("driver", "GPU's driver")):
        found[name] = a.machine.get("gpu", {}).get(key), b.machine.get("gpu", {}).get(key)
    versions, others = a.machine.get("libraries", {}), b.machine.get("libraries", {})
    found |= {f"version of {name}": (versions[name], others[name]) for name in versions if name in others and name != "minicnn"}
    found |= _entrants(a, b, "BLAS kernel", lambda entrant: entrant.blas)
    found |= _entrants(a, b, "number of threads read back", lambda entrant: ", ".join(f"{k} {v}" for k, v in entrant.threads.items()))
    return [f"The {name} differs: {_said(old)} in A, {_said(new)} in B." for name, (old, new) in found.items() if old != new]


def _entrants(a: Results, b: Results, what: str, of: Callable[[Any], str]) -> dict[str, tuple[Any, Any]]:
    """{"what of names": (in A, in B)}, those names together that have the same."""
    there, names = {entrant.name: of(entrant) for entrant in b.entrants}, dict[tuple[str, str], list[str]]()
    for entrant in a.entrants:
        if of(entrant) and there.get(entrant.name):
            names.setdefault((of(entrant), there[entrant.name]), []).append(entrant.name)
    return {f"{what} of {', '.join(found)}": pair for pair, found in names.items()}


def _said(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def report(a: Results, b: Results) -> list[Block]:
    """Warnings; how every contestant did on the whole; what changed; what only one of the runs has."""
    changes, warned, only = compare_runs(a, b), warnings(a, b), [*_only(a, b, "A"), *_only(b, a, "B")]
    blocks: list[Block] = [warned] if warned else []
    if changes:
        blocks += [_totals(changes, [entrant.name for entrant in a.entrants]), _changed(changes), CAPTION]
    else:
        blocks.append("The two runs have no case in common.")
    return [*blocks, only] if only else blocks


def _totals(changes: Sequence[Change], order: Sequence[str]) -> Table:
    """A row a contestant, in that order."""
    table = Table(f"From A to B, {len({(c.case.id, c.case.direction) for c in changes})} cases",
                  [Column("contestant", left=True), Column("compared by", left=True), Column("B ÷ A, mean"), *map(Column, VERDICTS)], [])
    for name, basis in sorted({(c.contestant, c.basis) for c in changes}, key=lambda pair: (order.index(pair[0]), pair)):
        own = [c for c in changes if (c.contestant, c.basis) == (name, basis)]
        table.rows.append([name, BASES[basis], units.short(geometric_mean([c.ratio for c in own])),
                           *(str(sum(c.verdict == verdict for c in own)) for verdict in VERDICTS)])
    table.notes.append("B ÷ A: of the speeds, above 1 is faster in B; geometric mean")
    return table


def _changed(changes: Sequence[Change]) -> Block:
    """What changed, the largest change first."""
    changed = sorted((c for c in changes if c.verdict in ("FASTER", "SLOWER")), key=lambda c: -max(c.ratio, 1 / c.ratio))
    if not changed:
        return "Nothing changed beyond the noise."
    columns = [*(Column(head, left=True) for head in ("problem", "direction", "contestant")), Column("A"), Column("B"), Column("B ÷ A"),
               Column("verdict", left=True)]
    rows = [[c.case.id, c.case.direction, c.contestant, _speed(c.before, c), _speed(c.after, c), units.short(c.ratio), c.verdict]
            for c in changed]
    return Table("Changed beyond the noise", columns, rows, ["A, B: times as fast as torch, or the absolute time"])


def _speed(speed: float, change: Change) -> str:
    return units.short(speed) if change.basis == "torch" else units.seconds(1 / speed)


def _only(a: Results, b: Results, name: str) -> list[str]:
    """What has times in `a`, called `name`, and not in `b`: a line for each reason."""
    cases, there = {(case.id, case.direction) for case in b.cases}, {(m.case, m.direction, m.contestant): m for m in b.measurements}
    found: dict[str, list[str]] = {}
    for case in a.cases:
        if (case.id, case.direction) not in cases:
            found.setdefault(f"Only in {name}", []).append(f"{case.id} {case.direction}")
            continue
        for m in (m for m in a.of(case) if m.turns):
            other = there.get((m.case, m.direction, m.contestant))
            if not other or not other.turns:
                reason = other.refused if other else "took no part there"
                found.setdefault(f"{m.contestant} has times only in {name} ({reason})", []).append(f"{case.id} {case.direction}")
    return [f"{reason}: {', '.join(places)}." for reason, places in found.items()]


def show(a: Results, b: Results, console: Console) -> None:
    """Print the report. Raises ValueError for runs of different kinds."""
    document.show(report(a, b), console)
