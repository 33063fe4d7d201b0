"""`minicnn design`."""
from __future__ import annotations


def design() -> None:
    """Being built."""
    raise ValueError("being built")
