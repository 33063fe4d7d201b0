"""The table of `bench accuracy`: seconds of training until the test accuracy is reached."""
from __future__ import annotations

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.results import Case, Measurement, Results
from minicnn.document import Bold, Column, Table

COLUMNS = [Column("contestant", left=True), Column("reached", left=True), Column("epochs"), Column("accuracy"), Column("first step"),
           Column("training"), Column("× torch")]
CAPTION = ("training: optimiser steps until the test accuracy was reached, without compilation (first step); median of the seeds. epochs: "
           "of the slowest seed. × torch: how many times as fast as torch's best setting in the same run. Bold: the fastest.")


def reached(m: Measurement) -> bool:
    return bool(m.turns and m.extra.get("reached"))


def best_torch(results: Results, case: Case, league: str) -> Measurement | None:
    """torch's fastest setting in the league among those that reached the target."""
    torch = [m for m in results.of(case) if reached(m) and m.contestant.startswith("torch") and results.league(m.contestant) == league]
    return min(torch, key=lambda m: m.median, default=None)


def table(results: Results, case: Case) -> Table:
    """A row a contestant; the accuracy that was to be reached is in the title."""
    measurements = results.of(case)
    target = next((f" to {m.extra['target']:.0%}" for m in measurements if "target" in m.extra), "")
    shown = Table(f"{case.id}, {case.direction}{target}", COLUMNS, [])
    fastest = min((m for m in measurements if reached(m)), key=lambda m: m.median, default=None)
    for m in measurements:
        if not m.turns:
            shown.rows.append([m.contestant, "-", "-", "-", "-", "-", "-"])
            shown.notes.append(f"{m.contestant}: no time: {m.refused}")
            continue
        time, best = units.seconds(m.median), best_torch(results, case, results.league(m.contestant))
        shown.rows.append([m.contestant, "yes" if reached(m) else "no", str(m.extra["epochs"]), f"{m.extra['accuracy']:.2%}",
                           units.seconds(m.first_call), Bold(time) if m is fastest else time,
                           units.short(best.median / m.median) if best and reached(m) else "-"])
    return shown
