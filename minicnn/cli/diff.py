"""`minicnn diff`: where two backends, or two networks, part."""
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicnn.cli import options
from minicnn.cli.options import Data, Json

if TYPE_CHECKING:
    from minicnn.cli.network import Network


def diff(
    network: Annotated[str, typer.Argument(
        metavar="RUN", help="A run's folder, or the name of a network, which then has random weights.", show_default=False)],
    other: Annotated[str | None, typer.Argument(
        metavar="[OTHER]", help="A second one of the same architecture. Without it, the first is compared with itself.",
        show_default=False)] = None,
    backend: Annotated[list[str] | None, typer.Option(
        help="What computes the first and, given twice, the second: numpy, numba, cuda or cuda-sim.",
        show_default="numpy, then numba")] = None,
    input: Annotated[str | None, typer.Option(
        metavar="HxWxC", help="Size of the images of a new network.", show_default="the network's usual one")] = None,
    batch: Annotated[int, typer.Option(help="How many images: of the run's dataset, or random ones for a new network.")] = 4,
    training: Annotated[bool, typer.Option("--training", help="As in training: batch norm takes the statistics of these images.")] = False,
    seed: Annotated[int, typer.Option(help="Of random images and gradients.")] = 0,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say whether a difference between two backends, or two networks, is rounding or a bug.

    Every layer is run forward and backward on both, with the same numbers, and the largest difference is given as a multiple of what
    rounding can explain there.

    \b
    Examples:
      minicnn diff lenet
      minicnn diff runs/2026-01-31-120000-digits-digits --backend numpy --backend cuda
      minicnn diff runs/monday runs/tuesday --backend numba
    """
    from minicnn.cli.network import open_network
    from minicnn.inspect.comparing import diff as compare
    from minicnn.inspect.comparing import on

    if batch < 1:
        raise ValueError(f"batch is {batch}, expected at least 1")
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected at least 0")
    first, second = _backends(backend, other)
    opened = open_network(network, input)
    peer = open_network(other, input) if other else opened
    if peer.input_shape != opened.input_shape:
        raise ValueError(f"{network} takes images (C, H, W) = {opened.input_shape}, {other} {peer.input_shape}: they have no common input")
    x, labels = _images(opened, batch, seed, data)
    with options.compilation():
        result = compare(on(opened.model, first), on(peer.model, second), x, labels, training=training, seed=seed)
    options.present(result, json)


def _backends(given: list[str] | None, other: str | None) -> tuple[str, str]:
    from minicnn import kernels
    from minicnn.training.recipe import known

    names = given or (["numpy", "numba"] if other is None else [kernels.backend()])
    for name in names:
        known("backend", name, kernels.BACKENDS)
        kernels.get(name)
    if len(names) > 2:
        raise ValueError(f"--backend was given {len(names)} times, expected once or twice: two sides are compared")
    if len(names) == 1 and other is None:
        names = ["numba" if names[0] == "numpy" else "numpy", *names]
    return names[0], names[-1]


def _images(network: Network, batch: int, seed: int, data: str | None) -> tuple[Any, Any]:
    from minicnn.cli.network import dataset_images
    from minicnn.inspect.recorder import example_input

    if network.folder is None:
        return example_input((batch, *network.input_shape), seed), None
    images = dataset_images(network, batch, data)
    return images.x, images.labels
