"""`minicnn doctor`."""
from __future__ import annotations


def doctor() -> None:
    """Being built."""
    raise ValueError("being built")
