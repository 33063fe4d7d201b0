"""`minicnn runs`: what has been trained, and how the runs compare."""
from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicnn.cli import options

if TYPE_CHECKING:
    from minicnn.report.record import Record


def runs(
    folders: Annotated[list[str] | None, typer.Argument(
        metavar="DIR|RUN", help="A folder of runs; or runs, by their folders or their names in runs/.", show_default="runs")] = None,
    sort: Annotated[str, typer.Option(help="Order: date (newest first), accuracy, validation, parameters, time or name.")] = "date",
    json: options.Json = False,
    picture: Annotated[str | None, typer.Option(metavar="FILE", help="Draw the learning curves of all of them into this .png, .svg or .pdf "
                                                "file.", show_default="not drawn")] = None,
) -> None:
    """List runs, or compare some of them.

    The runs of a folder are listed, the newest first; of several runs the settings that differ and what came out are put side by side.
    test is the share of test images that are right, validation the highest of the epochs, time that of the training.

    \b
    Examples:
      minicnn runs
      minicnn runs --sort accuracy
      minicnn runs runs/2026-01-31-120000-digits-digits runs/smaller --picture curves.png
    """
    from minicnn import document, figures
    from minicnn.report import comparison, listing
    from minicnn.training.recipe import known

    known("order", sort, listing.ORDERS)
    if picture:
        figures.check_format(picture)
    found, others, compared = _found(folders or ["runs"])
    if not compared:
        found = listing.ordered(found, sort)
    console = options.console()
    width = console.width if console.is_terminal else 10_000
    if json:
        typer.echo(json_format.dumps(comparison.as_json(found) if compared else [listing.as_json(run) for run in found], indent=2))
    elif not found:
        console.print(f"no runs in {', '.join(folders or ['runs'])} yet: minicnn train makes one")
    else:
        document.show(comparison.blocks(found, width) if compared else listing.blocks(found, width, others), console)
    if picture:
        typer.echo(f"drawn in {comparison.picture(found, picture)}", err=json)


def _found(folders: list[str]) -> tuple[list[Record], list[str], bool]:
    """The runs, the names of folders beside them that are none, and whether to compare: where each of several folders is a run."""
    from minicnn.report import record

    paths = [record.named(folder) for folder in folders]
    if folders == ["runs"] and not Path("runs").exists():      # nothing has been trained here yet: no mistake
        return [], [], False
    single = [record.is_run(path) for path in paths]
    found: list[Record] = []
    others: list[str] = []
    for path, is_run in zip(paths, single, strict=True):
        inside, beside = ([record.read(path)], []) if is_run else record.runs_in(path)
        found += inside
        others += beside
    return found, others, len(paths) > 1 and all(single)
