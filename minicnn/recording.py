"""Whether operations are recorded: the switch, and the ways to turn it."""
from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator


class _Switch(threading.local):
    """Each thread's own, so that no_grad() in a background thread leaves training alone."""
    on = True
    watcher: Callable[..., None] | None = None


recording = _Switch()


def is_grad_enabled() -> bool:
    """Whether operations are recorded at the moment, in this thread."""
    return recording.on


class no_grad(ContextDecorator):
    """`with no_grad():` or `@no_grad()`: nothing inside is recorded, so nothing is saved for backward."""
    _mode = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(recording.on)
        recording.on = self._mode

    def __exit__(self, *_: object) -> None:
        recording.on = self._before.pop()


class enable_grad(no_grad):
    """`with enable_grad():` records again inside a no_grad block."""
    _mode = True


class set_grad_enabled:
    """Switch recording on or off: at once, and until the end of the block when used with `with`."""

    def __init__(self, mode: bool) -> None:
        self._before, recording.on = recording.on, bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        recording.on = self._before


class watch:
    """`with watch(note):` calls note(forward, inputs, options, y) after every operation of this thread, recorded or not."""

    def __init__(self, note: Callable[..., None]) -> None:
        self._note, self._before = note, recording.watcher

    def __enter__(self) -> None:
        recording.watcher = self._note

    def __exit__(self, *_: object) -> None:
        recording.watcher = self._before


class _Changes:
    count = 0


def changed() -> None:
    """Said by whatever changes the values of tensors in place: what was computed from them before holds no longer."""
    _Changes.count += 1


def changes() -> int:
    """How often that has happened."""
    return _Changes.count
