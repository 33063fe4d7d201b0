"""Lists of runs: a line each, in any order, on a terminal of any width, or as JSON."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minicnn.document import Block, Column, Table, fitted
from minicnn.report import files
from minicnn.report.numbers import percent, plural, whole
from minicnn.report.record import Record
from minicnn.training.pace import clock


def _lowest_first(value: Callable[[Record], float | None]) -> Callable[[Record], float]:
    """What is not known stands last."""
    return lambda run: math.inf if (found := value(run)) is None else found


# What to sort by: the first of the list is the newest, the most accurate, the smallest, the quickest.
ORDERS: dict[str, Callable[[Record], Any]] = {
    "date": lambda run: -run.started.timestamp() if run.started else math.inf,
    "accuracy": _lowest_first(lambda run: None if run.test_accuracy is None else -run.test_accuracy),
    "validation": _lowest_first(lambda run: None if run.validation_accuracy is None else -run.validation_accuracy),
    "parameters": _lowest_first(lambda run: run.parameters),
    "time": _lowest_first(lambda run: run.seconds),
    "name": lambda run: run.name,
}


def ordered(runs: Sequence[Record], by: str = "date") -> list[Record]:
    """Those that are equal, or lack it, by name."""
    return sorted(runs, key=lambda run: (ORDERS[by](run), run.name))


def blocks(runs: Sequence[Record], width: int, others: Sequence[str] = ()) -> list[Block]:
    """A table, of as many columns as fit, and below it what is wrong with runs that did not finish. others: folders that are no runs."""
    notes = [_note(run) for run in runs if not run.finished or run.problems]
    notes += [f"no run: {plural(len(others), 'other folder')}"] if others else []
    heads = [Column(head) for head in ("epochs", "validation", "test", "parameters", "time")]
    wide = Table("", [Column("run", True), Column("status", True), Column("recipe", True), *heads, Column("when (UTC)", True)],
                 [[run.name, run.status, recipe(run), *_numbers(run), _when(run)] for run in runs])
    if fitted(wide, width)[0] is wide:
        return [wide, *([notes] if notes else [])]
    narrow = Table("", [Column("run", True), Column("epochs"), Column("valid."), Column("test"), Column("param."), Column("time")],
                   [[run.name, *_numbers(run)] for run in runs])
    return [narrow, *([notes] if notes else [])]


def recipe(run: Record) -> str:
    """The recipe's name, and what else was asked for."""
    name = files.text(run.config, "name", 24)
    made_of = f"{run.dataset}-{run.model}" if run.dataset or run.model else "–"
    return name if name and name not in (run.dataset, "folder") else made_of[:32]


def _when(run: Record) -> str:
    return f"{run.started:%Y-%m-%d %H:%M}" if run.started else "–"


def _numbers(run: Record) -> list[str]:
    done, planned = len(run.epochs), run.planned
    epochs = str(done) if run.finished and done == planned else f"{done}/{'?' if planned is None else planned}"
    return [epochs, percent(run.validation_accuracy), percent(run.test_accuracy), whole(run.parameters),
            "–" if run.seconds is None else clock(run.seconds)]


def _note(run: Record) -> str:
    said = [] if run.finished else [run.status if run.status in ("failed", "interrupted", "broken") else
                                    "unfinished: it runs still, or was killed" if run.status == "unfinished" else run.status]
    said += [run.error] if run.error else []
    said += [f"go on with: {run.go_on}"] if run.go_on else []
    return f"{run.name}: {'; '.join([*said, *run.problems])}"


def as_json(run: Record) -> dict[str, Any]:
    """What the list says of a run, in plain values; None for what is not known."""
    return {
        "name": run.name, "folder": str(run.folder), "status": run.status, "recipe": files.text(run.config, "name") or None,
        "dataset": files.text(run.config, "dataset", 1000) or None, "model": run.model or None, "epochs": len(run.epochs),
        "planned_epochs": run.planned, "best_epoch": int(run.best["epoch"]) if run.best else None,
        "validation_accuracy": run.validation_accuracy, "test_accuracy": run.test_accuracy, "parameters": run.parameters,
        "seconds": run.seconds, "images_per_second": run.images_per_second,
        "started": run.started.isoformat() if run.started else None, "error": run.error or None, "problems": run.problems}
