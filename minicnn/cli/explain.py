"""`minicnn explain`: every product behind one number of a layer, forward or backward."""
from __future__ import annotations

from typing import Annotated

import typer

from minicnn.cli import options, single_layer
from minicnn.cli.options import Backend, Data, Json, Picture
from minicnn.cli.single_layer import HELP as LAYER

RUN = "Of a network: "


def explain(
    what: Annotated[str, typer.Argument(
        metavar="WHAT", show_default=False,
        help="A single layer of small random whole numbers: conv, conv-transpose, max-pool, avg-pool, linear or batch-norm. Or a network: "
             "the folder that `minicnn train` saved, or the name of one of minicnn's networks.")],
    at: Annotated[str | None, typer.Option(
        metavar="INDEX", show_default="one in the middle",
        help="Which number: oh,ow of the output, or f,oh,ow, or n,f,oh,ow; with --grad h,w of the input, kh,kw of the weight, f of the "
             "bias, and more axes in front alike. What is left out is 0; negative numbers count from the end.")] = None,
    grad: Annotated[str | None, typer.Option(
        metavar="input|weight|bias", show_default="the output",
        help="Explain one number of this gradient, instead of one of the output.")] = None,
    input: Annotated[str | None, typer.Option(
        metavar="HxWxC", help="Height x width x channels of the input.", show_default="8x8x3; what a network was made for")] = None,
    kernel: Annotated[str | None, typer.Option(metavar="K", help=LAYER + "3, or 3x5.", show_default="3; pooling 2")] = None,
    stride: Annotated[str | None, typer.Option(metavar="S", help=LAYER + "2, or 2x1.", show_default="1; pooling: the kernel")] = None,
    padding: Annotated[str | None, typer.Option(
        metavar="P", help=LAYER + "1, 1x2, top,bottom,left,right, same or valid.", show_default="0")] = None,
    dilation: Annotated[str | None, typer.Option(metavar="D", help=LAYER + "2, or 2x1.", show_default="1")] = None,
    groups: Annotated[int | None, typer.Option(help=LAYER + "groups of channels.", show_default="1")] = None,
    filters: Annotated[int | None, typer.Option(help=LAYER + "channels, or features, of the output.", show_default="2 a group")] = None,
    images: Annotated[int | None, typer.Option(help=LAYER + "images in the batch.", show_default="1; batch-norm 2")] = None,
    seed: Annotated[int, typer.Option(help=LAYER + "of the random numbers.")] = 0,
    layer: Annotated[str | None, typer.Option(
        help=RUN + "its name, as in `minicnn summary`; or conv2, pool1, norm1, fc1: the second convolution, the first pooling, ...",
        show_default="the first convolution")] = None,
    image: Annotated[str | None, typer.Option(metavar="FILE", help=RUN + "an image file.", show_default="an image of its test set")] = None,
    data: Data = None,
    all: Annotated[bool, typer.Option("--all", help="Print all terms, however many.")] = False,
    json: Json = False,
    picture: Picture = None,
    backend: Backend = None,
) -> None:
    """Print every product behind one number of a layer: which pixel, which tap, which channel, and what the kernel really gave.

    With --grad it is one number of a gradient: why col2im adds, and why the gradient of a strided convolution is dilated.

    \b
    Examples:
      minicnn explain conv --input 8x8x3 --kernel 3 --at 0,0
      minicnn explain conv --stride 2 --padding 1 --grad input --at 3,4 --picture pixel.png
      minicnn explain max-pool --kernel 3 --stride 2 --grad input
      minicnn explain runs/2026-01-31-120000-digits-digits --layer features.3 --image seven.png --at 5,2,2
    """
    from minicnn.cli.explained import of_layer, of_network
    from minicnn.figures import check_format

    if picture:
        check_format(picture)
    single = what in single_layer.KINDS
    given = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "filters": filters}
    single_layer.refuse(what, given if single else {**given, "images": images})
    with options.backend(backend) as device, options.compilation():
        if single:
            if layer or image or data:
                raise ValueError(f"{what} is a single layer: --layer, --image and --data are for the folder of a run")
            found = of_layer.explain(what, input or "8x8x3", given, images, at, grad, seed, device)
        else:
            found = of_network.explain(what, input, layer, image, data, at, grad, device)
    if all:
        found.most = None
    options.present(found, json, picture)
