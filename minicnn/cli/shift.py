"""`minicnn shift`."""
from __future__ import annotations


def shift() -> None:
    """Being built."""
    raise ValueError("being built")
