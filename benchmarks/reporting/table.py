"""A run as text: a table for every case, on the terminal as the cases come, and as Markdown."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minicnn import document
from minicnn.benchmarks.reporting import accuracy_table, ladder_table, memory_table, units
from minicnn.benchmarks.reporting.describe import describe, missing
from minicnn.benchmarks.reporting.summary import summary
from minicnn.benchmarks.results import CPU, TF32, Case, Measurement, Results
from minicnn.benchmarks.statistics import Ratio
from minicnn.document import Block, Column, Table

if TYPE_CHECKING:
    from rich.console import Console

MANY = 12            # cases: more than that are summed up

CAPTION = ("checked: exact, or the largest error as a share of its rounding bound. first call: with compilation. IQR: the middle half of "
           "the times, as a share of the median. {limit} MiB: {memory}. × torch: how many times as fast as "
           "torch's best setting (best) in the same run, with a 95 % interval; SAME: within 3 %.")
LIMITS = {"compute": "GFLOP/s: 1 MAC = 2 FLOP, products with padding not counted. peak: share of the FLOP/s measured in the same run.",
          "memory": "GB/s: if every array moved once. copy: share of the speed at which the same bytes were copied in the same run."}
CAPTIONS = {"ladder": ladder_table.CAPTION, "accuracy": accuracy_table.CAPTION}


def case_table(results: Results, case: Case) -> Table:
    """A row for every contestant."""
    if results.kind == "ladder":
        return ladder_table.table(results, case)
    return accuracy_table.table(results, case) if results.kind == "accuracy" else _speed_table(results, case)


def caption(results: Results) -> str:
    """What the columns of case_table mean."""
    if results.kind in CAPTIONS:
        return CAPTIONS[results.kind] + on_gpu(results)
    apart = any(m.process for m in results.measurements)
    found = CAPTION.format(limit=" ".join(dict.fromkeys(LIMITS[case.bound] for case in results.cases)),
                           memory="what training steps add" if apart else "memory at the peak, inputs included")
    return found + (f" {memory_table.CAPTION}" if apart else "") + on_gpu(results)


def on_gpu(results: Results) -> str:
    """What to know about those who compute on a GPU, if there are any."""
    if not set(results.leagues()) - {CPU}:
        return ""
    return (" On a GPU arrays are there beforehand, a time ends when the GPU is done, MiB is what the memory pool took, and torch is torch "
            f"on the GPU{': with TF32 for who uses it' if TF32 in results.leagues() else ''}.")


def detail(results: Results, cases: Sequence[Case] | None = None) -> list[Block]:
    """A table for every case (None: all), what the columns mean, and who is missing."""
    shown = results.cases if cases is None else cases
    return [*(block for case in shown for block in _case(results, case)), caption(results), *missing(results)]


def _case(results: Results, case: Case) -> list[Block]:
    """Its table, and below it that of its memory, where that was measured apart."""
    memory = memory_table.table(results, case)
    return [case_table(results, case), *([memory] if memory else [])]


def markdown(results: Results) -> str:
    """The machine, the contestants, and the tables: case by case, or a row a case where there are many."""
    tables = summary(results) if _many(results) else detail(results)
    return document.markdown([*describe(results), *tables, *notes(results)])


def show_case(results: Results, case: Case, console: Console) -> None:
    """Print a case that has been measured."""
    document.show(_case(results, case), console)
    console.print()


def show_end(results: Results, console: Console) -> None:
    """Print what belongs below the cases: what their columns mean, a summary if they were many, machine and contestants, notes."""
    tables = summary(results) if _many(results) else missing(results)
    document.show([caption(results), *tables, *describe(results), *notes(results)], console)


def _many(results: Results) -> bool:
    return results.kind not in CAPTIONS and len(results.cases) > MANY


def notes(results: Results) -> list[Block]:
    """What the run noted about itself, such as a busy machine."""
    return [[f"Note: {note}" for note in results.notes]] if results.notes else []


def _speed_table(results: Results, case: Case) -> Table:
    table = Table(title(case), _columns(case), [])
    for m, ratio in results.standings(case):
        if m.turns:
            best = results.best_torch(case, results.league(m.contestant))
            table.rows.append([m.contestant, m.algorithm, *_figures(results, case, m), *_verdict(ratio, m is best)])
        else:
            table.rows.append([m.contestant, f"no time: {m.refused}", *["-"] * 8, ""])
        if m.subnormal:
            table.notes.append(f"{m.contestant} takes {units.short(m.subnormal)} times as long on subnormal inputs")
        if "subnormal refused" in m.extra:
            table.notes.append(f"{m.contestant} is wrong on subnormal inputs: {m.extra['subnormal refused']}")
    return table


def title(case: Case) -> str:
    """What is computed, and what it takes at least."""
    return f"{case.group} {case.id}, {case.direction}: {units.count(case.macs, 'MAC')}, {units.size(case.bytes)} at least".lstrip()


def _columns(case: Case) -> list[Column]:
    speed, share = ("GFLOP/s", "peak") if case.bound == "compute" else ("GB/s", "copy")
    return [Column("contestant", left=True), Column("what ran", left=True, aside=True), Column("checked", left=True),
            *(Column(head) for head in ("first call", "median", "IQR", speed, share, "MiB", "× torch")), Column("verdict", left=True)]


def _figures(results: Results, case: Case, m: Measurement) -> list[str]:
    """From "checked" to "MiB"."""
    share = results.share(case, m)
    return [checked(m), units.seconds(m.first_call), units.seconds(m.median), units.percent((m.q3 - m.q1) / m.median),
            units.three(results.speed(case, m) / 1e9), "-" if share is None else units.percent(share), units.short(m.memory / 2**20)]


def checked(m: Measurement) -> str:
    return f"≤ {units.percent(m.error)}" if m.verified == "bounded" else m.verified


def _verdict(ratio: Ratio | None, is_best_torch: bool) -> tuple[str, str]:
    if is_best_torch:
        return "1", "best"
    if ratio is None:
        return "-", ""
    return f"{units.short(ratio.value)} ({units.short(ratio.low)}–{units.short(ratio.high)})", ratio.verdict
