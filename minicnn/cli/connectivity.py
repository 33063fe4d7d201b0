"""`minicnn connectivity`."""
from __future__ import annotations


def connectivity() -> None:
    """Being built."""
    raise ValueError("being built")
