"""The command `minicnn`. Every command is a file here; what they need is imported when they run, so that --help is quick."""
# ruff: noqa: I001  (the commands in rows, not one a line)
from __future__ import annotations

from typing import Annotated

import typer

from minicnn import __version__
from minicnn.benchmarks import command as bench
from minicnn.cli import (
    claims, connectivity, design, diff, doctor, explain, lists, predict, receptive_field, report, runs, shift, show, simulate, summary,
    train,
)
from minicnn.cli.errors import Commands

app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
                  context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
app.command()(train.train)
app.command()(predict.predict)
app.command()(runs.runs)
app.command()(report.report)
app.command()(explain.explain)
app.command()(summary.summary)
app.command(name="receptive-field")(receptive_field.receptive_field)
app.command()(design.design)
app.command()(connectivity.connectivity)
app.command()(shift.shift)
app.command()(show.show)
app.command()(diff.diff)
app.command()(doctor.doctor)
app.command()(claims.claims)
app.command()(lists.backends)
app.command()(lists.models)
app.command()(lists.datasets)
app.command()(lists.recipes)
app.add_typer(bench.app, name="bench")
app.add_typer(simulate.app, name="simulate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"minicnn {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def about(context: typer.Context,
          version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
          ) -> None:
    """Train small convolutional networks, written from scratch on NumPy, and use them.

    \b
    Begin with:
      minicnn train                                  digits, in a few seconds
      minicnn train --dataset fashion-mnist          clothes; real files, found or downloaded
      minicnn predict RUN image.png                  what does a trained network see?

    Bad input ends with one sentence on stderr and exit status 1 (2 for a mistake in the command line); MINICNN_DEBUG=1 shows the traceback.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """The entry point that pyproject.toml names."""
    app(prog_name="minicnn")
