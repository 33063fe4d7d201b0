"""`minicnn simulate`: what a GPU would do, counted without one."""
from __future__ import annotations

from typing import Annotated

import typer

from minicnn.cli import options

app = typer.Typer()
DIRECTIONS = ("forward", "grad_input", "grad_weight")


@app.callback(invoke_without_command=True)
def simulate(context: typer.Context) -> None:
    """Run the CUDA kernels in a simulator, which needs no GPU, and count what a profiler would."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(short_help="The CUDA ways to convolve, counted side by side.")
def conv(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A problem string, as for `minicnn bench conv`.")]
        = "mb1ic16ih16oc128oh16kh3ph1",
    rung: Annotated[list[str] | None, typer.Option(help="direct, im2col, tiled, blocked, pipelined or tensor-cores; may be given again.",
                                                   show_default="all")] = None,
    direction: Annotated[str, typer.Option(help="forward, grad_input or grad_weight.")] = "forward",
    requests: Annotated[bool | None, typer.Option("--requests/--no-requests", show_default="with one or two rungs",
                                                  help="Show which sectors and banks one warp's threads ask for.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="List the requests for memory, line by line of the source.")] = False,
    picture: Annotated[str | None, typer.Option(metavar="FILE", help="Draw one warp's requests into a .png, .svg or .pdf file.",
                                                show_default="not drawn")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown, and nothing else.")] = False,
) -> None:
    """Show why one way to convolve on a GPU beats another: instructions, memory requests, bank conflicts, without a GPU.

    The CUDA kernels run in a simulator, which checks every access and every result.

    \b
    Examples:
      minicnn simulate conv
      minicnn simulate conv --rung tiled --rung blocked
      minicnn simulate conv mb1ic3ih20oc16kh5 --rung direct --lines
      minicnn simulate conv --direction grad_weight --picture warp.png
    """
    from minicnn import document
    from minicnn.benchmarks.problems import Conv
    from minicnn.benchmarks.simulation import picture as drawing
    from minicnn.benchmarks.simulation import requests as drawn
    from minicnn.benchmarks.simulation import run, tables
    from minicnn.training.recipe import known

    known("direction", direction, DIRECTIONS)
    for name in rung or []:
        known("rung", name.removeprefix(run.PREFIX), run.NAMES)
    chosen, parsed = run.rungs(rung or []), Conv.parse(problem)
    with options.compilation():
        found = [run.simulate(one, parsed, direction) for one in chosen]
    console = options.console()
    if markdown:
        typer.echo(document.markdown(tables.side_by_side(found)), nl=False)
        return
    document.show(tables.side_by_side(found), console)
    for s in found:
        if lines:
            console.print()
            document.show(tables.by_line(s), console)
        for space in ("global", "shared") if (len(found) <= 2 if requests is None else requests) else ():
            if (grid := drawn.telling(s, space)) is not None:
                console.print(f"\n{s.name}, {grid.title}")
                for line in drawn.text(grid)[1:]:
                    console.print(line)
    if picture:
        console.print(f"\ndrawn in {drawing.save(picture, found)}")


@app.command(short_help="What the machine code of the CUDA ways to convolve says about their speed.")
def code(arch: Annotated[int, typer.Option(help="Compute capability: 75, 80, 86, 89, 90, 100 or 120, for 7.5 to 12.0.")] = 90) -> None:
    """Compile the CUDA kernels for a GPU and read the machine code: registers, blocks that fit, multiply-adds of the innermost loop.

    \b
    Examples:
      minicnn simulate code
      minicnn simulate code --arch 120
    """
    from minicnn import document
    from minicnn.benchmarks.simulation import tables
    from minicnn.kernels.cuda_backend import nvrtc
    from minicnn.kernels.cuda_backend.static import occupancy, sass
    from minicnn.training.recipe import known

    known("compute capability", str(arch), map(str, occupancy.MULTIPROCESSORS))
    if why := nvrtc.missing() or sass.missing():
        raise ValueError(why)
    with options.compilation():
        blocks = tables.machine_code(arch)
    document.show(blocks, options.console())
