"""`minicnn diff`."""
from __future__ import annotations


def diff() -> None:
    """Being built."""
    raise ValueError("being built")
