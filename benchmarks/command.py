"""`minicnn bench`: the benchmarks on the command line."""
from __future__ import annotations

import re
from typing import Annotated

import typer

app = typer.Typer()


@app.callback(invoke_without_command=True)
def bench(context: typer.Context) -> None:
    """Run a benchmark: every result is checked before it is timed."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(short_help="Time one convolution, computed every way.")
def ladder(
    input: Annotated[str, typer.Option(help="The images, N x C x H x W.", metavar="NxCxHxW")] = "1x16x14x14",
    filters: Annotated[int, typer.Option(help="How many filters: the output's channels.")] = 16,
    kernel: Annotated[int, typer.Option(help="The filters' height and width.")] = 3,
    seconds: Annotated[float, typer.Option(help="How long to measure, at least.")] = 6.0,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Measure torch too, where it is installed.")] = True,
    backend: Annotated[str | None, typer.Option(help="Measure this backend's way too: numba or numpy.", show_default="none")] = None,
    seed: Annotated[int, typer.Option(help="Decides the numbers in the images and filters.")] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Time one convolution, computed every way: from nested loops upwards, on the same layer.

    The inputs are integers, so all results must be equal to the last bit, or nothing is timed. The contestants take turns; times
    are medians. Nested loops are left out of layers that would take them more than a second or so.

    \b
    Examples:
      minicnn bench ladder
      minicnn bench ladder --input 64x32x28x28 --filters 32 --backend numba
    """
    from minicnn.benchmarks.ladder import Layer, measure, table

    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)", input)
    if not match or "0" in match.groups():
        raise ValueError(f"input is {input!r}, expected four sizes of at least 1, NxCxHxW, such as 1x16x14x14")
    for name, value, least in (("filters", filters, 1), ("kernel", kernel, 1), ("seconds", seconds, 0), ("seed", seed, 0)):
        if not value >= least:
            raise ValueError(f"{name} is {value}, expected at least {least}")
    N, C, H, W = (int(n) for n in match.groups())
    layer = Layer(N, C, H, W, filters, kernel)
    title, head, rows = table(layer, measure(layer, peers, seconds, seed, backend))
    if markdown:
        lines = [title, "", *(f"| {' | '.join(cells)} |" for cells in (head, ["---", "---", *["---:"] * (len(head) - 2)], *rows))]
        typer.echo("\n".join(lines))
    else:
        _print(title, head, rows)


def _print(title: str, head: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in shown.columns[2:]:
        column.justify = "right"
    for row in rows:
        shown.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000                                 # a file has no edge to wrap at
    console.print(f"{title}\n")
    console.print(shown)
