"""`minicnn receptive-field`: which part of the image the units of a network see."""
from __future__ import annotations

import re
from typing import Annotated

import typer

from minicnn.cli import options


def receptive_field(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A run's folder, its weights, or the name of a network.")],
    input: Annotated[str | None, typer.Option(metavar="HxWxC", help="Image size of a network by name, such as 32x32x3.",
                                              show_default="what it was made for")] = None,
    layer: Annotated[str | None, typer.Option(help="The layer of the unit, by its name in the table.",
                                              show_default="the last with rows and columns")] = None,
    unit: Annotated[str | None, typer.Option(metavar="ROW,COLUMN", help="The unit in that layer, counted from 0.",
                                             show_default="in the middle")] = None,
    effective: Annotated[bool, typer.Option("--effective", help="How much each pixel counts for the unit, by gradients.")] = False,
    seeds: Annotated[int, typer.Option(help="Random inputs, with --effective.")] = 5,
    as_json: options.Json = False,
    picture: options.Picture = None,
) -> None:
    """Show which part of the image the units of each layer see: size, stride and centre, and the exact pixels of one unit.

    \b
    Examples:
      minicnn receptive-field vgg16
      minicnn receptive-field resnet20 --layer layer2.0.add_relu --unit 0,3 --picture field.png
      minicnn receptive-field runs/... --effective --picture effective.png
    """
    from minicnn import figures, inspect
    from minicnn.cli.network import open_network

    if picture:
        figures.check_format(picture)
    index = parse_unit(unit)
    opened = open_network(network, input)
    with options.compilation():
        found = (inspect.effective_receptive_field(opened.model, opened.input_shape, layer, index, seeds) if effective
                 else inspect.receptive_field(opened.model, opened.input_shape, layer, index))
    options.present(found, as_json, picture)


def parse_unit(text: str | None) -> tuple[int, ...] | None:
    """"3,4" as (3, 4). Raises ValueError for anything but whole numbers from 0."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise ValueError(f"unit is {text!r}: give row,column, counted from 0, such as 3,4")
    return tuple(int(n) for n in text.split(","))
