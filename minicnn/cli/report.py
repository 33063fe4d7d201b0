"""`minicnn report`: the page of a run."""
from __future__ import annotations

from typing import Annotated

import typer

from minicnn.cli import options


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder that `minicnn train` saved, or its name in runs/.", show_default=False)],
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write it there.", show_default="report.html in the run's folder")] = None,
    data: options.Data = None,
) -> None:
    """Write the page of a run, one HTML file.

    Curves, confusion matrix, worst mistakes, filters, layers, speed, recipe, environment. The file needs nothing else: no script, no other
    file, no network. `minicnn train` writes it at its end; a run that was interrupted or failed has a page too, of what there is. Names of
    classes and some test images stand in it.

    \b
    Examples:
      minicnn report runs/2026-01-31-120000-digits-digits
      minicnn report 2026-01-31-120000-digits-digits --out digits.html
    """
    from minicnn.report import record, write

    with options.backend(None), options.compilation():         # on the CPU, whatever the run was trained on
        written = write(record.named(run), data=data, out=out)
    for sentence in written.missing:
        typer.echo(f"note: {sentence}", err=True)
    typer.echo(f"written to {written.path} ({written.size / 1000:,.0f} kB)")
