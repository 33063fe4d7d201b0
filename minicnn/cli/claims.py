"""`minicnn claims`: what courses say about convolutional networks, each checked."""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minicnn.cli import options
from minicnn.cli.options import Json

if TYPE_CHECKING:
    from minicnn.inspect.claims import Finding


def claims(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which to check (see --list).", show_default="all")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out those that train networks.")] = False,
    seeds: Annotated[int, typer.Option(help="How often to train each network.")] = 3,
    listed: Annotated[bool, typer.Option("--list", help="Print the names and claims, and check none.")] = False,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of verdicts as Markdown, and nothing else.")] = False,
    picture: Annotated[str | None, typer.Option(
        metavar="FILE", help="Draw what the trained networks did into a .png, .svg or .pdf file.", show_default="not drawn")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes: numba or numpy.", show_default="$MINICNN_BACKEND, or numba")] = None,
) -> None:
    """Check what courses say about convolutional networks, by building, counting, running and training them.

    All of them take about a minute, with --quick a few seconds.

    \b
    Examples:
      minicnn claims --quick
      minicnn claims vgg16-totals worked-window
      minicnn claims plain-or-residual absolute-position --picture trained.png
    """
    from minicnn import document, figures
    from minicnn.inspect.claims import CLAIMS, check_claims
    from minicnn.inspect.claims.registry import chosen

    if listed:
        _print_list()
        return
    wanted = chosen(names or None, trained=not quick)
    if not wanted:
        raise ValueError("nothing is left to check: --quick leaves out those that train networks")
    if picture:
        figures.check_format(picture)
        if not any(each.trained for each in wanted):
            raise ValueError("--picture draws the claims that train networks, and none of them is to be checked; they are: "
                             + ", ".join(name for name, each in CLAIMS.items() if each.trained))
    screen = options.console(stderr=True)
    shown = options.console()

    def show(finding: Finding) -> None:
        if screen.is_terminal:
            say("")
        finding.show(shown)
        shown.print()

    def say(text: str) -> None:
        """On one line of the terminal, over what it said before; nothing clears it."""
        screen.print((f"training: {text}" if text else "").ljust(screen.width - 1)[:screen.width - 1], end="\r")

    with options.backend(backend) as device, options.compilation():
        if device != "cpu":
            raise ValueError(f"claims are checked on the CPU, not on {device}: give --backend numba or numpy")
        found = check_claims([each.name for each in wanted], seeds=seeds, each=None if json or markdown else show,
                             progress=say if screen.is_terminal else None)
    if json:
        typer.echo(found.to_json())
    elif markdown:
        typer.echo(document.markdown(found.blocks()), nl=False)
    else:
        shown.print(found.summary())
    if picture:
        typer.echo(f"drawn in {found.save(picture)}", err=json or markdown)


def _print_list() -> None:
    from minicnn.document import Column, Table, show
    from minicnn.inspect.claims import CLAIMS

    columns = [Column("name", left=True), Column("claim", left=True)]
    rows = [[each.name, each.says + (" (trains networks)" if each.trained else "")] for each in CLAIMS.values()]
    show([Table("", columns, rows)], options.console())
