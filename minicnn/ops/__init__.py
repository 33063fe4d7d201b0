"""The operations: one file a family, each a forward, a backward and the line that records the pair."""
# ruff: noqa: I001  (sorted by topic: from arithmetic to layers)
import sys

from minicnn import tensor as _tensor
from minicnn.ops.conv2d import conv2d

__all__ = [
    "conv2d",
]

_tensor.ops = sys.modules[__name__]
