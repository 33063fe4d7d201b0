"""`minicnn show`: pictures of a trained network."""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicnn.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from minicnn.cli.network import Images, Network
    from minicnn.inspect.result import Result

WHATS = {                        # what to show: how many images of the test set it takes, 0 for none
    "filters": 0, "maps": 1, "activations": 500, "dead": 1000, "gradients": 64, "saliency": 6, "occlusion": 6, "gradcam": 6,
    "patches": 1000}
OF_A_LAYER = ("filters", "maps", "gradcam", "patches")
OF_A_CLASS = ("saliency", "occlusion", "gradcam", "gradients")
ANY_INPUT = ("maps", "activations", "dead", "gradients")       # random numbers will do, for a new network


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, its weights, or the name of a network.", show_default=False)],
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What to show: one of those above.", show_default=False)],
    layer: Annotated[str | None, typer.Option(help="A layer, as `minicnn summary` names it (filters, maps, gradcam, patches).",
                                              show_default="a telling one")] = None,
    image: Annotated[list[str] | None, typer.Option(metavar="FILE", help="An image file; may be given again.", show_default=False)] = None,
    images: Annotated[int | None, typer.Option(metavar="N", help="So many test images of the run's dataset.",
                                               show_default="as many as it takes")] = None,
    target: Annotated[str | None, typer.Option(
        metavar="CLASS", help="The class to ask about, by name or number (saliency, occlusion, gradcam); the label (gradients).",
        show_default="the predicted one; the true one")] = None,
    data: options.Data = None,
    input: Annotated[str | None, typer.Option(metavar="HxWxC", help="Image size of a network by name, such as 32x32x3.",
                                              show_default="what it was made for")] = None,
    backend: options.Backend = None,
    json: options.Json = False,
    picture: Annotated[str | None, typer.Option(metavar="FILE", help="Draw it into this .png, .svg or .pdf file.",
                                                show_default="WHAT.png in the run's folder; not drawn with --json")] = None,
) -> None:
    """Look at a trained network: a picture, the numbers behind it, and a sentence on what to look at.

    \b
    WHAT is one of:
      filters      the weights of a layer, as small pictures
      maps         what a layer makes of an image, channel by channel
      activations  how the values of every layer are distributed
      dead         ReLUs that give 0 for every image
      gradients    how large the gradient is from the last layer to the first
      saliency     how the score of a class changes with each pixel
      occlusion    how its probability drops where a patch is covered
      gradcam      which parts of the image speak for it (Grad-CAM)
      patches      the parts of images that activate each channel most

    \b
    Examples:
      minicnn show runs/2026-01-31-120000-digits-digits filters
      minicnn show runs/... gradcam --images 12 --picture gradcam.png
      minicnn show runs/... occlusion --image boot.png --target Sneaker
      minicnn show lenet maps --layer conv2 --image seven.png
    """
    from minicnn import figures
    from minicnn.cli.network import open_network
    from minicnn.training.recipe import known

    known("WHAT", what, WHATS)
    if picture:
        figures.check_format(picture)
    _fits(what, layer, image, images, target)
    with options.backend(backend) as device, options.compilation():
        network = open_network(run, input, device=device)
        found = _shown(network, what, layer, image or [], images, target, data)
    options.present(found, json, picture)
    if not (json or picture):
        _draw(found, (network.folder / f"{what}.png") if network.folder else _here(network, what))


def _fits(what: str, layer: str | None, image: list[str] | None, images: int | None, target: str | None) -> None:
    """Raise ValueError for options that have no meaning there."""
    if layer is not None and what not in OF_A_LAYER:
        raise ValueError(f"{what} is not about one layer: --layer is for {', '.join(OF_A_LAYER)}")
    if target is not None and what not in OF_A_CLASS:
        raise ValueError(f"{what} is not about one class: --target is for {', '.join(OF_A_CLASS)}")
    if what == "filters" and (image or images is not None):
        raise ValueError("filters are there without an image: leave out --image and --images")
    if image and images is not None:
        raise ValueError("give either --image or --images, not both")
    if images is not None and images < 1:
        raise ValueError(f"images is {images}, expected at least 1")


def _shown(network: Network, what: str, layer: str | None, files: list[str], count: int | None, target: str | None,
           data: str | None) -> Result:
    from minicnn import inspect
    from minicnn.inspect.showing import About

    classes = network.description.classes if network.description else ()
    model = network.model
    if what == "filters":
        return inspect.filters(model, layer, about=About(network.name))
    seen = _images(network, what, files, count or WHATS[what], data)
    about = About(network.name, seen.pixels, seen.labels, classes, seen.names)
    chosen = None if target is None else _class(target, classes)
    if what == "maps":
        return inspect.feature_maps(model, seen.x, layer, about=about)
    if what == "patches":
        return inspect.maximal_patches(model, seen.x, layer, about=about)
    if what == "activations":
        return inspect.activation_statistics(model, seen.x, about=about)
    if what == "dead":
        return inspect.dead_units(model, seen.x, about=about)
    if what == "gradients":
        labels = seen.labels if chosen is None else chosen
        if labels is None:
            raise ValueError("gradients need the class of the images, for the loss: give --target")
        return inspect.gradient_flow(model, seen.x, labels, about=about)
    if what == "gradcam":
        return inspect.grad_cam(model, seen.x, chosen, layer, about=about)
    return (inspect.saliency if what == "saliency" else inspect.occlusion)(model, seen.x, chosen, about=about)


def _images(network: Network, what: str, files: list[str], count: int, data: str | None) -> Images:
    """Image files, or test images of the run's dataset; random numbers for a new network, where they will do."""
    import numpy as np

    from minicnn.cli.network import Images, dataset_images, image_files
    from minicnn.tensor import Tensor
    from minicnn.training.loop import device_of

    if files:
        return image_files(network, files)
    if network.description is not None or what not in ANY_INPUT:
        return dataset_images(network, count, data)
    count = min(count, 64)
    pixels = np.random.default_rng(0).random((count, *network.input_shape), np.float32)
    labels = np.arange(count) % 10 if what == "gradients" else None
    options.console(stderr=True).print(f"note: {network.name} is a new network: it is shown {count} images of random pixels")
    return Images(pixels, Tensor(pixels).to(device_of(network.model)), labels, ["random pixels"] * count)


def _class(target: str, classes: Any) -> int:
    """The number of a class, given by its name or number; the network itself checks a number. Raises ValueError for an unknown name."""
    from minicnn.training.recipe import known

    if target in classes:
        return list(classes).index(target)
    if target.isdecimal():
        return int(target)
    if not classes:
        raise ValueError(f"--target is {target!r}: a new network's classes have numbers only")
    known("class", target, classes)
    raise AssertionError("known() refuses what is not among the classes")


def _here(network: Network, what: str) -> Path:
    from pathlib import Path

    return Path(f"{network.name}-{what}.png")


def _draw(found: Result, path: Path) -> None:
    """Draw it there, without being asked; where matplotlib is missing, say so."""
    try:
        typer.echo(f"\ndrawn in {found.save(path)}")
    except ImportError as error:
        typer.echo(f"note: not drawn: {error}", err=True)
