"""`minicnn bench`: the benchmarks on the command line."""
from __future__ import annotations

import re
from typing import Annotated

import typer

app = typer.Typer(help="Benchmarks: every result is checked before it is timed.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Benchmarks: every result is checked before it is timed."""


@app.command()
def ladder(
    input: Annotated[str, typer.Option(help="The images, N x C x H x W.", metavar="NxCxHxW")] = "1x16x14x14",
    filters: Annotated[int, typer.Option(help="How many filters: the output's channels.", min=1)] = 16,
    kernel: Annotated[int, typer.Option(help="The filters' height and width.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=0)] = 6.0,
    peers: Annotated[bool, typer.Option(help="Measure torch too, where it is installed.")] = True,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
) -> None:
    """What one convolution costs: every way to compute it, from nested loops upwards, on the same layer.

    The inputs are integers, so all results must be equal to the last bit, or nothing is timed. The contestants take turns; times
    are medians. Nested loops are left out of layers that would take them more than a second or so.

    Example: minicnn bench ladder --input 64x32x28x28 --filters 32
    """
    from minicnn.benchmarks.ladder import Layer, measure, table

    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)", input)
    if not match or "0" in match.groups():
        raise ValueError(f"--input is {input!r}: give four sizes of at least 1, NxCxHxW, such as 1x16x14x14")
    N, C, H, W = (int(n) for n in match.groups())
    layer = Layer(N, C, H, W, filters, kernel)
    title, head, rows = table(layer, measure(layer, peers, seconds))
    if markdown:
        lines = [title, "", *(f"| {' | '.join(cells)} |" for cells in (head, ["---", "---", *["---:"] * (len(head) - 2)], *rows))]
        typer.echo("\n".join(lines))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(*head, title=title, title_justify="left")
    for column in shown.columns[2:]:
        column.justify = "right"
    for row in rows:
        shown.add_row(*row)
    Console().print(shown)
