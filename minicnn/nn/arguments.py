"""Checks on what a layer is constructed with; what it is called with is checked by the operation."""
from __future__ import annotations

import math
from typing import Any, ClassVar

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


class at_most:
    """`with at_most(numbers, tensors):` no layer may be made in the block whose parameters and buffers need more, in all.

    What they need is known before memory is taken for it: a network that a file describes is no larger than the file allows. ValueError
    where it would be, which says what the limit is: "the weights that the file holds". Blocks do not nest.
    """
    block: ClassVar[at_most | None] = None

    def __init__(self, numbers: float, tensors: float = math.inf, limit: str = "it may be") -> None:
        self.numbers, self.tensors, self.limit = numbers, tensors, limit

    def take(self, shape: tuple[int, ...]) -> None:
        """One more parameter or buffer."""
        self.numbers -= math.prod(shape)
        self.tensors -= 1
        if min(self.numbers, self.tensors) < 0:
            raise ValueError(f"the network is larger than {self.limit}: there is no room for a weight of shape {shape}")

    def __enter__(self) -> None:
        at_most.block = self

    def __exit__(self, *_: object) -> None:
        at_most.block = None


def empty(*shape: int, dtype: Any = None) -> np.ndarray:
    """Memory for a parameter that an init function is about to fill."""
    if at_most.block is not None:
        at_most.block.take(shape)
    return np.empty(shape, DEFAULT_DTYPE if dtype is None else dtype)
