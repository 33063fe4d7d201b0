"""Saying that kernels are being compiled, which takes a while the first time on a machine."""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from minicnn.kernels import compilation


class Compilation:
    """Says that kernels are being compiled, which takes a while the first time on a machine. Says nothing when none is.

    On a terminal it counts them, in a line that is gone when they are done; show, when given, puts the text elsewhere. Then one line says
    what was done, when `report` is called or the `with` block ends. lost: is told of the seconds that it took.
    """

    def __init__(self, console: Console, show: Callable[[str], None] | None = None, lost: Callable[[float], None] | None = None) -> None:
        self.console, self.status, self.lost = console, Status("", console=console), lost
        self.show = show or (self._spin if console.is_terminal else lambda text: None)
        self.kernels, self.seconds = 0, 0.0
        self.kept: Callable[[], str] = str
        self.watching = contextlib.ExitStack()

    def _spin(self, text: str) -> None:
        self.status.update(text)
        self.status.start()

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def began(self, kernel: str) -> None:
        if not self.kernels and not self.console.is_terminal:
            self._print("compiling kernels for this CPU (once)")
        self.show(f"compiling kernel {self.kernels + 1} for this CPU (once), {self.seconds:.0f} s")

    def ended(self, kernel: str, seconds: float, kept: Callable[[], str]) -> None:
        self.kernels, self.seconds, self.kept = self.kernels + 1, self.seconds + seconds, kept
        if self.lost:
            self.lost(seconds)

    def report(self) -> None:
        """Say what has been compiled since the last report, if anything."""
        self.status.stop()
        if self.kernels:
            self._print(f"compiled {self.kernels} kernel{'s' if self.kernels > 1 else ''} in {self.seconds:.1f} s ({self.kept()})")
            self.kernels, self.seconds = 0, 0.0

    def __enter__(self) -> Self:
        self.watching.enter_context(compilation.observed(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.watching.close()
        self.status.stop()
        if kind is None:
            self.report()
