"""`minicnn summary`."""
from __future__ import annotations


def summary() -> None:
    """Being built."""
    raise ValueError("being built")
