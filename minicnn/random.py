"""The one stream of random numbers that initialisation, dropout and randn() draw from."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

_generator = np.random.default_rng(0)


def generator() -> np.random.Generator:
    """The current generator."""
    return _generator


def manual_seed(seed: int) -> np.random.Generator:
    """Start the stream anew: the same seed gives the same weights, dropout masks and random tensors."""
    global _generator
    _generator = np.random.default_rng(seed)
    return _generator


def get_rng_state() -> dict[str, Any]:
    """Where the stream is, as words and whole numbers: `set_rng_state` goes on from there."""
    return dict(_generator.bit_generator.state)


def set_rng_state(state: dict[str, Any]) -> None:
    """Let the stream go on from a state of `get_rng_state`. Raises ValueError, and changes nothing, when it is none."""
    global _generator
    generator = np.random.default_rng(0)
    try:
        generator.bit_generator.state = state
    except (TypeError, KeyError, OverflowError, ValueError) as error:
        raise ValueError(f"not the state of a stream of random numbers ({type(error).__name__}: {error})") from error
    _generator = generator


@contextlib.contextmanager
def fork_rng(seed: int | None = None) -> Iterator[None]:
    """For a block: whatever is drawn inside, afterwards the stream goes on where it was. seed: what it starts from inside, if not None."""
    global _generator
    before, state = _generator, _generator.bit_generator.state
    if seed is not None:
        manual_seed(seed)
    try:
        yield
    finally:
        _generator = before
        before.bit_generator.state = state
