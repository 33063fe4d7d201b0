"""`minicnn receptive-field`."""
from __future__ import annotations


def receptive_field() -> None:
    """Being built."""
    raise ValueError("being built")
