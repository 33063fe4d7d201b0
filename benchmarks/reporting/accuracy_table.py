"""The table of `bench accuracy`: seconds of training until the test accuracy is reached."""
from __future__ import annotations

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.results import Case, Measurement, Results
from minicnn.document import Bold, Column, Table

COLUMNS = [Column("contestant", left=True), Column("reached", left=True), Column("epochs"), Column("accuracy"), Column("compiling"),
           Column("training"), Column("images/s"), Column("× torch")]
CAPTION = ("The same network, initial weights, augmented batches and steps for everyone. training: steps, from a batch in NumPy's "
           "memory to updated weights and their average, to the end of the epoch in which the test accuracy was reached; the first two, "
           "which compile, count as median ones. reached: with how many of the seeds; times, epochs and accuracy are the median of the "
           "seeds. images/s: over all steps. × torch: how many times as fast as torch's best setting in the same run reached it. "
           "Bold: the fastest.")


def reached(m: Measurement) -> bool:
    return bool(m.turns and m.extra.get("reached"))


def best_torch(results: Results, case: Case, league: str) -> Measurement | None:
    """torch's fastest setting in the league among those that reached the target."""
    torch = [m for m in results.of(case) if reached(m) and m.contestant.startswith("torch") and results.league(m.contestant) == league]
    return min(torch, key=lambda m: m.median, default=None)


def table(results: Results, case: Case) -> Table:
    """A row a contestant; the accuracy that was to be reached is in the title."""
    measurements = results.of(case)
    target = next((f" to {100 * m.extra['target']:g} %" for m in measurements if "target" in m.extra), "")
    shown = Table(f"{case.id}, {case.direction}{target}", COLUMNS, [])
    fastest = min((m for m in measurements if reached(m)), key=lambda m: m.median, default=None)
    for m in measurements:
        if not m.turns:
            shown.rows.append([m.contestant, *["-"] * 7])
            shown.notes.append(f"{m.contestant}: no time: {m.refused}")
            continue
        time, best = units.seconds(m.median), best_torch(results, case, results.league(m.contestant))
        shown.rows.append([m.contestant, _seeds(m), f"{m.extra['epochs']:g}", f"{m.extra['accuracy']:.2%}", units.seconds(m.first_call),
                           Bold(time) if m is fastest else time, units.three(m.extra["images_per_second"]),
                           units.short(best.median / m.median) if best and reached(m) else "-"])
    if steps := dict.fromkeys(m.algorithm for m in measurements if m.algorithm):
        shown.notes.append(f"steps: {'; '.join(steps)}")
    return shown


def _seeds(m: Measurement) -> str:
    return f"{m.extra['times_reached']} of {len(m.turns)}"
