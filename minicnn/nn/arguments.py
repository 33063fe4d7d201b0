"""Checks on what a layer is constructed with; what it is called with is checked by the operation."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.tensor import DEFAULT_DTYPE


def sizes(layer: str, **counts: int) -> None:
    """Every count (of channels, features, groups, ...) is an int of at least 1."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"{layer}: {name} is {count!r}: must be an int of at least 1")


def divisible(layer: str, divisor: str, by: int, **counts: int) -> None:
    """`by` divides every count."""
    for name, count in counts.items():
        if count % by:
            raise ValueError(f"{layer}: {divisor} = {by} must divide {name} = {count}, but {count} = {count // by}*{by} + {count % by}")


def one_of(layer: str, name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """The value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{layer}: {name} is {value!r}: must be one of {', '.join(map(repr, choices))}")


def empty(*shape: int, dtype: Any = None) -> np.ndarray:
    """Memory for a parameter that an init function is about to fill."""
    return np.empty(shape, DEFAULT_DTYPE if dtype is None else dtype)
