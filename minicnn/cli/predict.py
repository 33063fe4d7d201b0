"""`minicnn predict`: what a trained network sees in image files."""
from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicnn.cli import options
from minicnn.cli.options import Backend

if TYPE_CHECKING:
    from minicnn.training.predictor import Prediction


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder that `minicnn train` saved, or the weights in it.", show_default=False)],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Image files: PNG, JPEG, ...", show_default=False)],
    top: Annotated[int, typer.Option(help="How many classes to print for each image.")] = 3,
    invert: Annotated[bool, typer.Option(
        "--invert", help="Take the negative: for black ink on white paper, where the network knows white on black.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    seed: Annotated[int, typer.Option(help="For networks that draw random numbers; none of minicnn's own does when it predicts.")] = 0,
    backend: Backend = None,
) -> None:
    """Print the most probable classes of images.

    Images are made grey or RGB and resized as the network was trained.

    \b
    Examples:
      minicnn predict runs/2026-01-31-120000-digits-digits seven.png
      minicnn predict runs/2026-01-31-120000-digits-digits scans/*.png --invert --json
    """
    from minicnn import random
    from minicnn.training.predictor import Predictor

    if top < 1:
        raise ValueError(f"top is {top}, expected at least 1")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected at least 0")
    random.manual_seed(seed)
    with options.backend(backend) as device, options.compilation():
        predictor = Predictor.load(run, device)
        predictions = predictor.predict(images, invert)
    classes = predictor.description.classes
    if json:
        typer.echo(json_format.dumps([_as_json(p, classes, top) for p in predictions], indent=2))
    else:
        _print_table(predictions, classes, top)
    inverted = [str(p.path) for p in predictions if p.looks_inverted]
    if inverted:
        others = f" and {len(inverted) - 1} more" if len(inverted) > 1 else ""
        typer.echo(f"note: {inverted[0]}{others} may be the negative of what the network knows; "
                   f"try {'without' if invert else 'with'} --invert", err=True)


def _as_json(prediction: Prediction, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    ranked = [{"class": classes[i], "probability": float(prediction.probabilities[i])} for i in prediction.top(top)]
    return {"image": str(prediction.path), **ranked[0], "top": ranked, "looks_inverted": prediction.looks_inverted}


def _print_table(predictions: list[Prediction], classes: tuple[str, ...], top: int) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("image", overflow="fold")
    for _ in range(min(top, len(classes))):
        table.add_column("class")
        table.add_column("probability", justify="right")
    for prediction in predictions:
        cells = [(classes[i], f"{prediction.probabilities[i]:.1%}") for i in prediction.top(top)]
        table.add_row(str(prediction.path), *(text for cell in cells for text in cell))
    console = options.console()
    if not console.is_terminal:
        console.width = 10_000                                 # a file has no edge to wrap at
    console.print(table)
