"""`minicnn train`: train a network and save the run."""
from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicnn.cli import options
from minicnn.cli.options import Backend, Data

if TYPE_CHECKING:
    from rich.console import Console

    from minicnn.training.experiment import Experiment, Result

MOST_CLASSES = 20                                              # a larger confusion matrix is saved, not printed


def train(
    dataset: Annotated[str, typer.Option(
        help="digits, mnist, fashion-mnist, cifar-10, or a folder with one sub-folder of images a class.")] = "digits",
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="The network: see `minicnn models`.", show_default="the dataset's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", show_default="the dataset's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.", show_default="the dataset's")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate of the one-cycle schedule.", show_default="the dataset's")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, adam or sgd (with momentum 0.9).", show_default="adamw")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Pull of the weights towards 0.", show_default="0.01")] = None,
    label_smoothing: Annotated[float | None, typer.Option(
        help="Share of each label given to all classes alike.", show_default="0.1")] = None,
    augment: Annotated[bool | None, typer.Option(
        "--augment/--no-augment", help="Shift, crop, mirror the training images a little.", show_default="the dataset's")] = None,
    image_size: Annotated[int | None, typer.Option(
        help="Images of a folder are resized to this height and width.", show_default="32")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, backend and settings give the same network, bit for bit.")] = 0,
    backend: Backend = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where runs are saved, each in a new folder.")] = "runs",
    doctor: Annotated[bool, typer.Option("--doctor", help="Watch the training and print on stderr how healthy it was.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")] = False,
) -> None:
    """Train a network, test it, and save the run.

    Without options: handwritten digits that come with the package, in a few seconds. The test uses
    images that training does not see. Ctrl-C saves the network as it is.

    \b
    Examples:
      minicnn train
      minicnn train --dataset fashion-mnist --model lenet --epochs 5
      minicnn train --dataset ~/pictures/birds --image-size 64 --seed 1
    """
    from minicnn.training.experiment import Experiment
    from minicnn.training.progress import Download, Quiet, show
    from minicnn.training.recipe import recipe_for

    recipe = recipe_for(dataset, model=model, epochs=epochs, batch_size=batch_size, lr=lr, optimizer=optimizer, weight_decay=weight_decay,
                        label_smoothing=label_smoothing, augment=augment, image_size=image_size, seed=seed)
    console = options.console()
    with options.backend(backend) as device:
        with Download(console) as download:
            experiment = Experiment.prepare(recipe, data, None if quiet else download, device)
        if not quiet:
            _print_plan(console, experiment)
        result = experiment.run(out, lambda epochs, images: Quiet() if quiet else show(console, epochs, images), doctor)
    _print_result(console, experiment, result, quiet)


def _print_plan(console: Console, experiment: Experiment) -> None:
    from minicnn.training.experiment import parameter_count

    recipe, (_, C, H, W) = experiment.recipe, experiment.train.images.shape
    steps = experiment.recipe.augmentation((H, W)).transforms
    for name, text in (
        ("dataset", f"{recipe.dataset}: {len(experiment.train):,} training and {len(experiment.test):,} test images of {C} x {H} x {W}, "
                    f"{len(experiment.train.classes)} classes"),
        ("model", f"{recipe.model} ({type(experiment.model).__name__}): {parameter_count(experiment.model):,} parameters"),
        ("training", f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}, batches of {recipe.batch_size}, "
                     f"label smoothing {recipe.label_smoothing:g}"),
        ("steps", f"{recipe.optimizer}, one-cycle up to lr {recipe.lr:g}, weight decay {recipe.weight_decay:g}"),
        ("augment", ", ".join(map(repr, steps)) or "nothing"),
        ("backend", f"{experiment.backend}, seed {recipe.seed}"),
    ):
        console.print(f"{name:9}{text}")


def _print_result(console: Console, experiment: Experiment, result: Result, quiet: bool) -> None:
    from minicnn.training import metrics

    test, classes, folder = result.test, experiment.test.classes, shlex.quote(str(result.folder))
    if not quiet:
        console.print()
        if len(classes) <= MOST_CLASSES:
            console.print(metrics.table(test.confusion, classes) + "\n")
        else:
            console.print(f"matrix    of {len(classes)} classes: {result.folder}/confusion_matrix.csv")
        for line in metrics.worst(test.confusion, classes):
            console.print(f"confused  {line}")
        if not result.figures:
            console.print("pictures  not drawn: matplotlib is not installed (pip install matplotlib)")
    console.print(f"test accuracy {test.accuracy:.2%} ({test.correct:,} of {test.images:,})")
    console.print(f"saved in {result.folder}")
    if not quiet:
        console.print(f"next: {_command()} predict {folder} {folder}/examples/*.png")


def _command() -> str:
    """How to call this program again: by its name, or by the path it was called by where the name is not on the PATH."""
    named = shutil.which("minicnn") or Path(sys.argv[0]).stem != "minicnn"
    return "minicnn" if named else shlex.quote(sys.argv[0])
