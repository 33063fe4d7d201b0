"""`minicnn explain`."""
from __future__ import annotations


def explain() -> None:
    """Being built."""
    raise ValueError("being built")
