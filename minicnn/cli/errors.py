"""How the command ends when something is wrong: one sentence on stderr and an exit status, no traceback."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

EXPECTED = (ValueError, TypeError, OSError, ArithmeticError, MemoryError, ImportError)     # ImportError: an extra is not installed


class Commands(TyperGroup):
    """All commands, with their errors turned into sentences."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with one_sentence():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with one_sentence():
            return super().invoke(ctx)


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Usage errors exit with 2, bad input with 1, Ctrl-C with 130, SIGTERM with 143. MINICNN_DEBUG=1 lets the traceback through."""
    try:
        yield
    except KeyboardInterrupt as stop:
        typer.echo(str(stop) or "interrupted", err=True)
        raise typer.Exit(getattr(stop, "status", 130)) from None
    except Exception as error:
        usage = hasattr(error, "format_message")               # click's errors, wherever this version of typer keeps them
        piped = isinstance(error, BrokenPipeError)             # `minicnn ... | head`: typer knows what to do
        if piped or not (usage or isinstance(error, EXPECTED)) or os.environ.get("MINICNN_DEBUG"):
            raise
        typer.echo(f"error: {sentence(error)}", err=True)
        raise typer.Exit(2 if usage else 1) from None


def sentence(error: Any) -> str:
    """The error's text, on one line."""
    if hasattr(error, "format_message"):
        path = error.ctx.command_path if getattr(error, "ctx", None) else "minicnn"
        text = f"{error.format_message().rstrip('.')}: see {path} --help"
    elif isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, MemoryError):
        text = f"out of memory{f' ({error})' if str(error) else ''}: try a smaller batch size or network"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())
