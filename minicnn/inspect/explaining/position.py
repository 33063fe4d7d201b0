"""The index of a number, as users write it, in full."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class OutOfRange(IndexError, ValueError):
    """An IndexError, as NumPy raises for an index; and a ValueError, as this library raises for a value that cannot be."""


def full_index(what: str, index: Any, shape: Sequence[int], names: Sequence[str]) -> tuple[int, ...]:
    """A torch-like index as one non-negative int an axis. n, the first, may be left out where there is one image only.

    what, names: of the array and its axes, for errors. Raises TypeError for what are no integers, ValueError for too few or too many,
    OutOfRange, which is an IndexError, for one that is.

    >>> full_index("y", (-1, 0, 3), (1, 4, 6, 6), ("n", "f", "oh", "ow"))
    (0, 3, 0, 3)
    """
    given = tuple(index) if isinstance(index, tuple | list | np.ndarray) else (index,)
    if any(isinstance(i, bool | np.bool_) or not isinstance(i, int | np.integer) for i in given):
        raise TypeError(f"index is {index!r}: give integers, ({', '.join(names)})")
    if len(given) == len(shape) - 1 and shape[0] == 1 and names[0] == "n":
        given = (0, *given)
    if len(given) != len(shape):
        raise ValueError(f"index is {index!r}: {what} has shape {tuple(shape)}, so give ({', '.join(names)})"
                         + ("; n may be left out for one image only" if names[0] == "n" and len(given) == len(shape) - 1 else ""))
    for i, n, name in zip(given, shape, names, strict=True):
        if not -n <= i < n:
            raise OutOfRange(f"index {index!r} is out of range: {name} = {i}, but {what} has shape {tuple(shape)}: "
                             + (f"{name} goes from 0 to {n - 1}, or from -{n} to -1" if n else "it has no elements"))
    return tuple(int(i) % n for i, n in zip(given, shape, strict=True))
