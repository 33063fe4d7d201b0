"""`minicnn claims`."""
from __future__ import annotations


def claims() -> None:
    """Being built."""
    raise ValueError("being built")
