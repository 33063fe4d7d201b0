"""What a backend compiles: it says so here, and whoever wants to show it listens. By default nobody does."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol


class Observer(Protocol):
    """Is told of every kernel that is compiled, not of those that were found compiled."""

    def began(self, kernel: str) -> None: ...

    def ended(self, kernel: str, seconds: float, kept: Callable[[], str]) -> None:
        """kept() says, when it is asked, whether the next process will find it: "kept in ~/.cache/minicnn/kernels"."""


_observers: list[Observer] = []


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Inside the `with`, the observer is told."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def began(kernel: str) -> None:
    for observer in tuple(_observers):
        observer.began(kernel)


def ended(kernel: str, seconds: float, kept: Callable[[], str]) -> None:
    for observer in tuple(_observers):
        observer.ended(kernel, seconds, kept)
