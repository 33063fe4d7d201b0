"""Hooks: functions that a Module calls before or after its forward, and a Tensor with its gradient."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class RemovableHandle:
    """What registering a hook returns: `handle.remove()` takes the hook away again; so does the end of a `with` block."""

    def __init__(self, hooks: dict[RemovableHandle, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
