"""`minicnn connectivity`: the graph of a network, unit by unit."""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicnn.cli import options, single_layer
from minicnn.cli.single_layer import HELP as LAYER

if TYPE_CHECKING:
    from minicnn.nn import Module

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
    kind: Annotated[str | None, typer.Option(help="What to draw: matrix, degrees or layers.",
                                             show_default="matrix of a layer, layers of a network")] = None,
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
      minicnn connectivity resnet8 --picture layers.png --dot resnet8.dot
    """
    from minicnn import figures
    from minicnn.inspect.graphs import connectivity as found_for
    from minicnn.inspect.graphs.connectivity import KINDS
    from minicnn.training.recipe import known

    if kind is not None:
        known("kind of picture", kind, KINDS)
    if picture:
        figures.check_format(picture)
    given = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "filters": filters}
    model, shape, single = _open(network, input, given)
    found = found_for(model, shape)
    found.focus = layer or (found.layers[0].name if single else None)
    found.picture = kind or ("matrix" if found.focus else "layers")
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

    single_layer.refuse(what, given)
    random.manual_seed(0)
    if what in single_layer.KINDS:
        C, H, W = parse_input(input or "6x6x1")
        return single_layer.build(what, C, H, W, given, filters_a_group=1).eval(), ((C * H * W,) if what == "linear" else (C, H, W)), True
    if what in TEXTBOOK:
        C, H, W = parse_input(input or TEXTBOOK[what])
        arguments = {"SimpleConvNet": (C, 32, 3), "ConvMaxPoolNet": (C, 64, 3, 2), "MultiLayerCNN": (C, 32, 3, 2)}[what]
        return getattr(models, what)(*arguments).eval(), (C, H, W), False
    opened = open_network(what, input)
    return opened.model, opened.input_shape, False
