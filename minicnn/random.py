"""The one stream of random numbers that initialisation, dropout and randn() draw from."""
from __future__ import annotations

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
