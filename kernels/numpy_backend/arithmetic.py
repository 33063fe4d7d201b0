"""Sums of two arrays: the residual connections of a network."""
from __future__ import annotations

from typing import Any


def add(a: Any, b: Any) -> Any:
    """y = a + b, of equal shape and dtype."""
    return a + b
