"""`minicnn summary`: what a network is made of, and what training it takes."""
from __future__ import annotations

from typing import Annotated

import typer

from minicnn.cli import options


def summary(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A run's folder, its weights, or the name of a network.",
                                           show_default=False)],
    input: Annotated[str | None, typer.Option(metavar="HxWxC", help="Image size of a network by name, such as 32x32x3.",
                                              show_default="what it was made for")] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Images at a time: all counts are of a whole batch.")] = 1,
    classes: Annotated[int | None, typer.Option(metavar="K", help="Classes of a network by name.",
                                                show_default="10; 1000 for vgg16")] = None,
    optimizer: Annotated[str, typer.Option(
        help="Whose state the memory of training includes: none, sgd, momentum, adam or adamw.")] = "adamw",
    backend: options.Backend = None,
    json: options.Json = False,
    picture: options.Picture = None,
) -> None:
    """Print what each layer of a network makes, has, computes, keeps and sees, and the memory that training it takes.

    \b
    Examples:
      minicnn summary vgg16
      minicnn summary resnet20 --batch 128 --optimizer momentum
      minicnn summary runs/2026-01-31-120000-digits-digits --json
      minicnn summary lenet --input 32x32x3 --picture lenet.png
    """
    from minicnn import figures, inspect
    from minicnn.cli.network import open_network

    if picture:
        figures.check_format(picture)
    with options.backend(backend) as device, options.compilation():
        if device != "cpu":
            raise ValueError(f"summary is about the CPU backends, numba and numpy, not {device}: leave out --backend {device}")
        opened = open_network(network, input, (1000 if network == "vgg16" else 10) if classes is None else classes)
        found = inspect.summary(opened.model, opened.input_shape, batch=batch, optimizer=optimizer)
    options.present(found, json, picture)
