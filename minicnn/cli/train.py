"""`minicnn train`: train a network and save the run."""
from __future__ import annotations

import contextlib
import dataclasses
import shlex
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
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option(
        help="digits, mnist, fashion-mnist, cifar-10, or a folder with one sub-folder of images a class.", show_default="digits")] = None,
    recipe: Annotated[str | None, typer.Option(
        metavar="NAME|FILE", help="All settings from a recipe: a name of `minicnn recipes`, or a .toml file.",
        show_default="the dataset's")] = None,
    data: Data = None,
    model: Annotated[str | None, typer.Option(help="The network: see `minicnn models`.", show_default="the recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.", show_default="the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.", show_default="the recipe's")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate of the one-cycle schedule.", show_default="the recipe's")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, adam, sgd with momentum, or muon.", show_default="the recipe's")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Pull of the weights towards 0.", show_default="the recipe's")] = None,
    label_smoothing: Annotated[float | None, typer.Option(
        help="Share of each label given to all classes alike.", show_default="the recipe's")] = None,
    validation: Annotated[float | None, typer.Option(
        help="Share of the training images held out, to choose the best weights by.", show_default="the recipe's")] = None,
    no_augment: Annotated[bool, typer.Option("--no-augment", help="Leave the training images as they are.")] = False,
    image_size: Annotated[int | None, typer.Option(
        help="Images of a folder are resized to this height and width.", show_default="the recipe's")] = None,
    seed: Annotated[int | None, typer.Option(
        help="The same seed, backend and settings give the same network, bit for bit.", show_default="the recipe's first")] = None,
    backend: Backend = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where runs are saved, each in a new folder.")] = "runs",
    name: Annotated[str | None, typer.Option(help="Of the run's folder.", show_default="date, dataset and model")] = None,
    tensorboard: Annotated[bool, typer.Option(
        "--tensorboard", help="Write event files too: `tensorboard --logdir runs` shows them.")] = False,
    memory_limit: Annotated[str | None, typer.Option(
        metavar="SIZE", help="Refuse a batch size with which the process would need more memory, such as 2GB or 512MiB.",
        show_default="none")] = None,
    doctor: Annotated[bool, typer.Option("--doctor", help="Watch the training and print on stderr how healthy it was.")] = False,
    resume: Annotated[str | None, typer.Option(
        metavar="RUN", help="Go on with the run in this folder, which was stopped, as if it had not been.", show_default=False)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")] = False,
) -> None:
    """Train a network, test it, and save the run.

    Without options: handwritten digits that come with the package, in a few seconds. The best weights are
    those that do best on images held out of the training; the test, once at the end, uses others again.

    \b
    Examples:
      minicnn train
      minicnn train --dataset fashion-mnist --model lenet --epochs 5
      minicnn train --recipe fashion-fast
      minicnn train --dataset ~/pictures/birds --image-size 64 --seed 1
      minicnn train --resume runs/2026-01-31-120000-digits-digits
    """
    from minicnn.cli import memory_limit as memory
    from minicnn.cli import resuming
    from minicnn.training.experiment import Experiment
    from minicnn.training.progress import Download, Quiet, show
    from minicnn.training.recipe_file import recipe_for
    from minicnn.training.tensorboard import TensorBoard

    stopped = None if resume is None else resuming.stopped_run(context, resume)
    if resume is not None and stopped is None:
        return
    chosen = stopped.recipe if stopped else recipe_for(
        dataset, recipe, model=model, epochs=epochs, batch_size=batch_size, lr=lr, optimizer=optimizer, weight_decay=weight_decay,
        label_smoothing=label_smoothing, validation=validation, image_size=image_size, seed=seed)
    if no_augment:
        chosen = chosen.without_augmentation()
    board = TensorBoard(dataclasses.asdict(chosen)) if tensorboard else None
    console = options.console()
    with options.backend(backend or (stopped.backend if stopped else None)) as device:
        with Download(console) as download:
            told = None if quiet else download
            experiment = Experiment.resume(stopped, data, told, device) if stopped else Experiment.prepare(chosen, data, told, device)
        if memory_limit is not None:
            memory.check(experiment, memory_limit)
        if stopped:
            resuming.say_how(stopped, experiment)
        if not quiet:
            _print_plan(console, experiment)
        validated = len(experiment.validation or ())
        with board or contextlib.nullcontext():
            result = experiment.run(out, lambda epochs, images: Quiet() if quiet else show(console, epochs, images, validated), doctor,
                                    name, (lambda folder: board.open(folder, len(experiment.train))) if board else None)
            if board:
                board.test(result.test)
        page = _report(experiment, result)
    _print_result(console, experiment, result, page, quiet)


def _print_plan(console: Console, experiment: Experiment) -> None:
    from minicnn.training.experiment import parameter_count

    recipe, (_, C, H, W) = experiment.recipe, experiment.train.images.shape
    steps = experiment.recipe.augmentation((H, W)).transforms
    for name, text in (
        ("dataset", f"{recipe.dataset}: images of {C} x {H} x {W}, {len(experiment.train.classes)} classes"),
        ("images", f"{len(experiment.train):,} training, {len(experiment.validation or ()):,} validation, {len(experiment.test):,} test"),
        ("model", f"{recipe.model} ({type(experiment.model).__name__}): {parameter_count(experiment.model):,} parameters"),
        ("training", f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}, batches of {recipe.batch_size}, "
                     f"label smoothing {recipe.label_smoothing:g}"),
        ("steps", f"{recipe.optimizer}, one-cycle up to lr {recipe.lr:g}, weight decay {recipe.weight_decay:g}"),
        ("augment", ", ".join(map(repr, steps)) or "nothing"),
        ("backend", f"{experiment.backend}, seed {recipe.seed}"),
        *([("resume", experiment.stopped.place)] if experiment.stopped else []),
    ):
        console.print(f"{name:9}{text}")


def _report(experiment: Experiment, result: Result) -> str:
    """Write the run's page, and say where; a page that cannot be written is no reason to fail, for the run is saved."""
    from minicnn import report

    try:
        return f"report: {report.write(result.folder, experiment.test).path}"
    except (ValueError, OSError, MemoryError) as error:
        return f"report: not written: {' '.join(str(error).split())}"


def _print_result(console: Console, experiment: Experiment, result: Result, page: str, quiet: bool) -> None:
    from minicnn.training import metrics
    from minicnn.training.invocation import command

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
        console.print(page)
        console.print(f"next: {command()} predict {folder} {folder}/examples/*.png")
        parent = result.folder.parent
        console.print(f"      {command()} runs{'' if parent == Path('runs') else f' {shlex.quote(str(parent))}'}")
