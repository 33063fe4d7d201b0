"""`minicnn doctor`: is a trained network healthy?"""
from __future__ import annotations

from typing import Annotated, Any

import typer

from minicnn.cli import options
from minicnn.cli.options import Backend, Data, Json


def doctor(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder that `minicnn train` saved.", show_default=False)],
    data: Data = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer images and steps: a first impression.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 when a check says ill.")] = False,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Examine how a network was trained: ten checks, each with a verdict, the number behind it and what to do.

    The network is built anew with the run's seed and trained briefly, on some of the images, in several ways.

    \b
    Examples:
      minicnn doctor runs/2026-01-31-120000-digits-digits
      minicnn doctor runs/2026-01-31-120000-digits-digits --quick --strict
    """
    from minicnn.cli.network import open_network, run_config
    from minicnn.inspect.health import checkup
    from minicnn.nn import CrossEntropyLoss

    with options.backend(backend) as device, options.compilation():
        network = open_network(run, device=device)
        if network.folder is None:
            raise ValueError(f"{run} is a new network: give the folder of a run of minicnn train")
        recipe = _recipe(run_config(network.folder))
        fresh, train, test = _prepared(recipe, network, data, device, 500 if quick else 2000)
        screen = options.console(stderr=True)
        with screen.status("looking") as status:
            found = checkup(fresh, train, test, trained=network.model, loss_function=CrossEntropyLoss(), optimizer=_optimizer(recipe),
                            steps=60 if quick else 200, batch_size=min(64, recipe.batch_size), seed=recipe.seed,
                            progress=lambda check: status.update(f"examining: {check}"))
    options.present(found, json)
    if strict and found.worst == "ill":
        raise typer.Exit(1)


def _recipe(config: dict[str, Any]) -> Any:
    from dataclasses import fields

    from minicnn.training.recipe import Recipe

    names = {field.name for field in fields(Recipe)}
    values: dict[str, Any] = {name: tuple(value) if name == "seeds" else value for name, value in config.items() if name in names}
    return Recipe(**values)


def _optimizer(recipe: Any) -> Any:
    """The recipe's optimiser of some parameters, at half the peak of its schedule, which is about the mean."""
    from dataclasses import replace
    from types import SimpleNamespace

    settings = replace(recipe, lr=recipe.lr / 2)
    return lambda parameters: settings.build_optimizer(SimpleNamespace(parameters=lambda: parameters))


def _prepared(recipe: Any, network: Any, data: str | None, device: str, count: int) -> tuple[Any, Any, Any]:
    """The network as it was before its training, and images and labels, spread evenly over the classes."""
    from minicnn import random
    from minicnn.data import Normalize
    from minicnn.training import images
    from minicnn.training.plots import spread

    about = network.description
    random.manual_seed(recipe.seed)
    fresh = about.build().to(device)
    normalize = Normalize(about.mean, about.std)
    parts = []
    for dataset in images.load(recipe.dataset, data, about.image_size[0]):
        picked = spread(dataset.labels, min(count, len(dataset)))
        parts.append((normalize(dataset.images[picked].astype("float32") / dataset.max_value), dataset.labels[picked]))
    return fresh, *parts
