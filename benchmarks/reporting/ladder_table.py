"""The ladder's table: what each rung should take, what it takes, and how much faster it is than the rung above."""
from __future__ import annotations

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.results import Case, Measurement, Results
from minicnn.document import Column, Table

COLUMNS = [Column("rung", left=True), Column("what it does", left=True, aside=True), Column("MAC"), Column("moved"), Column("workspace"),
           Column("time"), Column("GFLOP/s"), Column("peak"), Column("memory"), Column("× above"), Column("× torch")]
CAPTION = ("Computed: MAC (those with padding too, where the rung makes them), bytes moved, workspace. Measured: time (median), GFLOP/s "
           "(1 MAC = 2 FLOP, products with padding not counted), its share of the peak, memory at its peak with inputs. × above: how many "
           "times as fast as the rung above. × torch: as torch's best setting in the same run.")


def table(results: Results, case: Case) -> Table:
    """The rungs from the slow ones up; the peers, for comparison, at the bottom."""
    peers = {entrant.name for entrant in results.entrants if entrant.peer}
    shown = Table(f"{case.id}, {case.direction}", COLUMNS, [])
    above: Measurement | None = None
    for m in sorted(results.of(case), key=lambda m: m.contestant in peers):
        shown.rows.append(_row(results, case, m, None if m.contestant in peers else above))
        above = m
    return shown


def _row(results: Results, case: Case, m: Measurement, above: Measurement | None) -> list[str]:
    predicted = [units.count(m.extra.get("macs", case.macs), ""), *(units.size(m.extra[name]) if name in m.extra else "-"
                                                                   for name in ("bytes_moved", "workspace"))]
    label = m.algorithm.split(":")[0]
    if not m.turns:
        return [m.contestant, f"{label}, no time: {m.refused}".removeprefix(", "), *predicted, *["-"] * 6]
    share, best = results.share(case, m), results.best_torch(case, results.league(m.contestant))
    return [m.contestant, label, *predicted, units.seconds(m.median), units.three(results.speed(case, m) / 1e9),
            "-" if share is None else units.percent(share), units.size(m.memory),
            units.short(above.median / m.median) if above and above.turns else "",
            units.short(best.median / m.median) if best else "-"]
