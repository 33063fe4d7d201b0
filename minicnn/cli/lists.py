"""`minicnn backends`, `models`, `datasets` and `recipes`: what there is to choose from."""
from __future__ import annotations

import platform
from typing import Annotated

import typer

from minicnn.cli import options
from minicnn.cli.options import Data


def backends() -> None:
    """List the backends: available, or why not.

    A backend computes convolutions and all other heavy work; choose one with --backend or the variable MINICNN_BACKEND. cuda needs an
    NVIDIA GPU; cuda-sim runs the same kernels in a simulator: slow, for learning and tests. What is compiled is kept in the user's cache,
    or in the folder that the variable MINICNN_CACHE names, and may be deleted at any time.

    \b
    Example:
      MINICNN_BACKEND=numpy minicnn train
    """
    from minicnn import kernels
    from minicnn.training.experiment import versions

    default = kernels.backend()
    for name, missing in kernels.available().items():
        typer.echo(f"{name:10}{f'not available: {missing}' if missing else 'available'}{', the default' if name == default else ''}")
        for detail in () if missing else kernels.details(name):
            typer.echo(f"{'':10}{detail}")
    computing = ", ".join(f"{name} {version}" for name, version in versions().items())
    typer.echo(f"{computing}, Python {platform.python_version()} on {platform.machine()}")
    with options.backend(None):                                # a default that cannot be used is a mistake to hear of here
        pass


def models() -> None:
    """List the networks for `train --model`.

    \b
    Example:
      minicnn train --dataset cifar-10 --model resnet20
    """
    from minicnn.models import MODELS, describe

    for name in MODELS:
        typer.echo(f"{name:10}{describe(name)}")


def datasets(data: Data = None) -> None:
    """List the datasets for `train --dataset`.

    Says where the files are, or how much would be downloaded.

    \b
    Example:
      minicnn datasets --data ~/datasets
    """
    from minicnn.data import locate
    from minicnn.data.sources import SOURCES

    typer.echo(f"{'digits':15}in the package")
    for name, source in SOURCES.items():
        paths = locate.find(source, data)
        size = sum(file.size for file in source.files) / 1e6
        typer.echo(f"{name:15}{f'in {next(iter(paths.values())).parent}' if paths else f'not here: downloads {size:.0f} MB'}")
    typer.echo(f"{'FOLDER':15}your own images, one sub-folder a class")


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this recipe's file.", show_default="list all")] = None,
) -> None:
    """List the recipes for `train --recipe`, or print one to copy and edit.

    \b
    Example:
      minicnn recipes fashion-small > mine.toml
      minicnn train --recipe mine.toml
    """
    from minicnn.training import recipe_file

    if name is not None:
        typer.echo(recipe_file.source(name), nl=False)
        return
    for each in recipe_file.names():
        typer.echo(f"{each:15}{recipe_file.source(each).splitlines()[0].removeprefix('# ')}")
