"""`minicnn show`."""
from __future__ import annotations


def show() -> None:
    """Being built."""
    raise ValueError("being built")
