"""`minicnn design`: small networks that see a given part of the image."""
from __future__ import annotations

import re
from typing import Annotated

import typer

from minicnn.cli import options


def design(
    input: Annotated[str, typer.Option(metavar="HxWxC", help="Image size, such as 64x64x1.")],
    rf: Annotated[int, typer.Option(min=1, help="The receptive field: pixels on each side.")],
    output: Annotated[str | None, typer.Option(metavar="HxW", help="Size of the last feature map.", show_default="any")] = None,
    max_parameters: Annotated[int | None, typer.Option(min=1, help="Weights and biases, at most.", show_default="any")] = None,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the first layers, at most.")] = 16,
    classes: Annotated[int | None, typer.Option(min=1, help="Add global pooling and a linear layer for so many classes.",
                                                show_default="none")] = None,
    max_layers: Annotated[int, typer.Option(min=1, help="Convolutions and poolings, at most.")] = 20,
    number: Annotated[int | None, typer.Option("--code", min=1, help="Print the code of this network of the list, and nothing else.",
                                               show_default="all of them, as a table")] = None,
    as_json: options.Json = False,
) -> None:
    """Design small networks whose units see a given part of the image, and check each by building and running it.

    \b
    Examples:
      minicnn design --input 64x64x1 --rf 32
      minicnn design --input 64x64x1 --rf 32 --output 8x8 --max-parameters 20000
      minicnn design --input 32x32x3 --rf 31 --classes 10 --code 1
    """
    from minicnn import inspect
    from minicnn.cli.network import parse_input

    C, H, W = parse_input(input)
    if output is not None and not re.fullmatch(r"\d+x\d+", output):
        raise ValueError(f"output is {output!r}: give height x width, such as 8x8")
    size = None if output is None else tuple(int(n) for n in output.split("x"))
    with options.compilation():
        found = inspect.design((H, W), rf, size, max_parameters, C, channels, classes, max_layers)
    if number is None:
        options.present(found, as_json)
    elif number > len(found):
        raise ValueError(f"there is no network {number}: {len(found)} were found")
    else:
        typer.echo(found[number - 1].code)
