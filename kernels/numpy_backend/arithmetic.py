"""Sums of two arrays: the residual connections of a network."""
from __future__ import annotations

from typing import Any

from minicnn.kernels.numpy_backend.activation import relu as rectified


def add(a: Any, b: Any, relu: bool = False) -> Any:
    """y = a + b, of equal shape and dtype; relu: max(y, 0)."""
    return rectified(a + b) if relu else a + b
