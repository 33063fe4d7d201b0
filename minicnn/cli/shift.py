"""`minicnn shift`: what a network makes of an image that moves."""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minicnn.cli import options

if TYPE_CHECKING:
    from minicnn.inspect.result import Result

VARIANTS = "variants"


def shift(
    network: Annotated[str, typer.Argument(
        metavar="NETWORK", help="A run's folder, its weights, or the name of a network; `variants`: the same convolutions with and without "
                                "pooling and stride, side by side.", show_default=False)],
    most: Annotated[int, typer.Option(help="The largest shift, in pixels.", show_default="8, or a quarter of the image")] = -1,
    input: Annotated[str | None, typer.Option(metavar="HxWxC", help="Image size of a network by name.",
                                              show_default="what it was made for; variants 48x48x1")] = None,
    images: Annotated[int, typer.Option(help="How many test images of the run's dataset; 0: smooth noise.")] = 200,
    layer: Annotated[str | None, typer.Option(help="The layer whose map should move with the image.", show_default="the last with rows "
                                                                                                                    "and columns")] = None,
    axis: Annotated[str, typer.Option(help="width: to the right; height: downwards.")] = "width",
    data: options.Data = None,
    as_json: options.Json = False,
    picture: options.Picture = None,
) -> None:
    """Move images pixel by pixel: does what a layer sees move with them (equivariance), does the output stay (invariance)?

    For the folder of a run it moves real test images and says how often the predicted class changes; otherwise smooth noise.

    \b
    Examples:
      minicnn shift variants --most 4
      minicnn shift runs/2026-01-31-120000-digits-digits --most 3 --picture shift.png
      minicnn shift lenet --layer conv2
    """
    from minicnn import figures

    if picture:
        figures.check_format(picture)
    if images < 0:
        raise ValueError(f"images is {images}, expected at least 0")
    with options.compilation():
        found = _study(network, None if most == -1 else most, input, images, layer, axis, data)
    options.present(found, as_json, picture)


def _study(network: str, most: int | None, input: str | None, images: int, layer: str | None, axis: str, data: str | None) -> Result:
    from minicnn.cli.network import dataset_images, open_network, parse_input
    from minicnn.inspect.graphs.variants import network_study, shift_study

    if most is not None and most < 1:
        raise ValueError(f"most is {most}, expected at least 1")
    if network == VARIANTS:
        if layer:
            raise ValueError("variants are compared at their last layer: leave out --layer")
        shape = parse_input(input or "48x48x1")
        return shift_study(most or min(8, min(shape[1:]) // 4), shape, axis=axis)
    opened = open_network(network, input)
    steps = most or max(1, min(8, min(opened.input_shape[1:]) // 4))
    x = dataset_images(opened, images, data).x if opened.description is not None and images else None
    return network_study(opened.name, opened.model, steps, None if x is not None else opened.input_shape, x, layer, axis)
