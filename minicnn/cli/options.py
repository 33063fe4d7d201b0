"""Options that several commands share."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from minicnn.inspect.result import Result

Backend = Annotated[str | None, typer.Option(
    help="What computes: numba or numpy on the CPU, cuda on a GPU, or cuda-sim, a simulated GPU: slow, for learning and tests "
         "(see `minicnn backends`).", show_default="$MINICNN_BACKEND, or numba")]
Data = Annotated[str | None, typer.Option(
    metavar="DIR", help="Folder with dataset files, searched before $MINICNN_DATA, the user's cache and the system's packages.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Picture = Annotated[str | None, typer.Option(metavar="FILE", help="Draw it into a .png, .svg or .pdf file.", show_default="not drawn")]


@contextlib.contextmanager
def backend(name: str | None) -> Iterator[str]:
    """Compute with backend `name`, or the default. Gives the device where tensors belong: the backend's own, or the CPU.

    Raises ValueError, with the closest name, when there is none, and with the reason when it is not available.
    """
    from minicnn import kernels
    from minicnn.training.recipe import known

    what = "backend" if name or "MINICNN_BACKEND" not in os.environ else "MINICNN_BACKEND"
    name = name or kernels.backend()
    known(what, name, kernels.BACKENDS)
    with kernels.computing_with(name) as device:
        yield device


def console(stderr: bool = False) -> Console:
    """Where results are printed, or what is said beside them. Made anew each time: sys.stdout may have changed."""
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True, stderr=stderr)


def present(result: Result, json: bool = False, picture: str | None = None) -> None:
    """Print a result of minicnn.inspect, as text or JSON, and draw it where a file is named."""
    if json:
        typer.echo(result.to_json())
    else:
        result.show(console())
    if picture:
        typer.echo(f"drawn in {result.save(picture)}", err=json)


def compilation() -> AbstractContextManager[object]:
    """Says on stderr, when that is a terminal, that kernels are being compiled."""
    from minicnn.training.compiling import Compilation

    screen = console(stderr=True)
    return Compilation(screen) if screen.is_terminal else contextlib.nullcontext()
