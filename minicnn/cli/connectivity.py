"""`minicnn connectivity`: the graph of a network, unit by unit."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicnn.cli import options

if TYPE_CHECKING:
    from minicnn.nn import Module

CONV = ("kernel", "stride", "padding", "dilation", "groups", "filters")
SINGLE = {                                                     # kinds of layers, and what of a geometry they have
    "conv": CONV, "conv-transpose": CONV, "max-pool": ("kernel", "stride", "padding", "dilation"),
    "avg-pool": ("kernel", "stride", "padding"), "linear": ("filters",), "batch-norm": (),
}
LAYER = "Of a single layer: "
TEXTBOOK = {"SimpleConvNet": "64x64x1", "ConvMaxPoolNet": "128x128x3", "MultiLayerCNN": "64x64x1"}     # and their inputs


def connectivity(
    network: Annotated[str, typer.Argument(
        metavar="NETWORK", help="A run's folder, its weights, or the name of a network; SimpleConvNet, ConvMaxPoolNet or MultiLayerCNN; "
                                "or a single layer: conv, conv-transpose, max-pool, avg-pool, linear or batch-norm.", show_default=False)],
    input: Annotated[str | None, typer.Option(metavar="HxWxC", help="Height x width x channels of the input.",
                                              show_default="what it was made for; 6x6x1 for a layer")] = None,
    layer: Annotated[str | None, typer.Option(help="All about this layer, by its name in the table.", show_default="all layers")] = None,
    kernel: Annotated[str | None, typer.Option(metavar="K", help=LAYER + "3, or 3x5.", show_default="3; pooling 2")] = None,
    stride: Annotated[str | None, typer.Option(metavar="S", help=LAYER + "2, or 2x1.", show_default="1; pooling: the kernel")] = None,
    padding: Annotated[str | None, typer.Option(metavar="P", help=LAYER + "1, 1x2, top,bottom,left,right, same or valid.",
                                                show_default="0")] = None,
    dilation: Annotated[str | None, typer.Option(metavar="D", help=LAYER + "2, or 2x1.", show_default="1")] = None,
    groups: Annotated[int | None, typer.Option(help=LAYER + "groups of channels.", show_default="1")] = None,
    filters: Annotated[int | None, typer.Option(help=LAYER + "channels, or features, of the output.", show_default="one a group")] = None,
    as_json: options.Json = False,
    picture: options.Picture = None,
    kind: Annotated[str, typer.Option(help="What to draw: matrix, degrees or layers.")] = "matrix",
    graphml: Annotated[str | None, typer.Option(metavar="FILE", help="Write the graph of the layers, or with --layer that of its units, as "
                                                                     "GraphML.", show_default="not written")] = None,
    dot: Annotated[str | None, typer.Option(metavar="FILE", help="The same as DOT, for Graphviz.", show_default="not written")] = None,
) -> None:
    """Print the graph of a network: edges, weights that they share, degrees, diameter, and what sharing and local edges save.

    \b
    Examples:
      minicnn connectivity lenet
      minicnn connectivity lenet --layer conv2 --picture degrees.png --kind degrees
      minicnn connectivity conv --input 6x6x1 --kernel 3 --picture matrix.png
      minicnn connectivity resnet8 --picture layers.png --kind layers --dot resnet8.dot
    """
    from minicnn import figures
    from minicnn.inspect.graphs import connectivity as found_for
    from minicnn.inspect.graphs.connectivity import KINDS
    from minicnn.training.recipe import known

    known("kind of picture", kind, KINDS)
    if picture:
        figures.check_format(picture)
    given = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "filters": filters}
    model, shape, single = _open(network, input, {name: value for name, value in given.items() if value is not None})
    found = found_for(model, shape)
    found.focus, found.picture = layer or (found.layers[0].name if single else None), kind
    if layer:
        found.layer(layer)
    options.present(found, as_json, picture)
    for path, write in ((graphml, found.to_graphml), (dot, found.to_dot)):
        if path:
            typer.echo(f"written to {write(path, found.focus)}", err=as_json)


def _open(what: str, input: str | None, given: dict[str, Any]) -> tuple[Module, tuple[int, ...], bool]:
    """The network, its input's shape, and whether it is a single layer. given: what the user wrote of a layer's geometry."""
    from minicnn import models, random
    from minicnn.cli.network import open_network, parse_input

    if refused := [f"--{name}" for name in given if name not in SINGLE.get(what, ())]:
        why = "" if what in SINGLE else ": a network has its own geometry"
        raise ValueError(f"{what} takes no {' and no '.join(refused)}{why}")
    random.manual_seed(0)
    if what in SINGLE:
        C, H, W = parse_input(input or "6x6x1")
        return _layer(what, C, H, W, given).eval(), ((C * H * W,) if what == "linear" else (C, H, W)), True
    if what in TEXTBOOK:
        C, H, W = parse_input(input or TEXTBOOK[what])
        arguments = {"SimpleConvNet": (C, 32, 3), "ConvMaxPoolNet": (C, 64, 3, 2), "MultiLayerCNN": (C, 32, 3, 2)}[what]
        return getattr(models, what)(*arguments).eval(), (C, H, W), False
    opened = open_network(what, input)
    return opened.model, opened.input_shape, False


def _layer(what: str, C: int, H: int, W: int, given: dict[str, Any]) -> Module:
    """A new layer for inputs of C channels."""
    from minicnn import nn

    sizes = {name: _sizes(name, text) for name, text in given.items() if isinstance(text, str)}
    kernel = sizes.pop("kernel", 2 if what.endswith("pool") else 3)
    groups = given.get("groups", 1)
    filters = given.get("filters", max(groups, 1))
    if what in ("conv", "conv-transpose"):
        return (nn.Conv2d if what == "conv" else nn.ConvTranspose2d)(C, filters, kernel, groups=groups, **sizes)
    if what in ("max-pool", "avg-pool"):
        return (nn.MaxPool2d if what == "max-pool" else nn.AvgPool2d)(kernel, **sizes)
    return nn.Linear(C * H * W, filters) if what == "linear" else nn.BatchNorm2d(C)


def _sizes(name: str, text: str) -> Any:
    """"3", "3x5" or "1,1,0,2" as an int or a tuple; "same" and "valid" as they are. Raises ValueError for anything else."""
    if name == "padding" and text in ("same", "valid"):
        return text
    if not re.fullmatch(r"\d+([x,]\d+){0,3}", text):
        raise ValueError(f"--{name} is {text!r}: give a whole number such as 3, or height x width such as 3x5"
                         + (", four sides such as 1,1,0,2, same or valid" if name == "padding" else ""))
    numbers = tuple(map(int, re.split("[x,]", text)))
    return numbers[0] if len(numbers) == 1 else numbers
