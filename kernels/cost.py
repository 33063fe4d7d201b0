"""What a way to compute a convolution costs, predicted from the shapes alone."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Of one forward pass.

    macs: multiply-adds (1 MAC = 2 FLOP), those with padding included where the way to compute makes them.
    bytes_moved: what its passes over arrays read and write, as if nothing stayed in a cache between two passes.
    workspace: the most bytes of temporary arrays alive at a time, beside x, w and y.
    """
    macs: int
    bytes_moved: int
    workspace: int
