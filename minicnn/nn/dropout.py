"""Dropout: in training mode zero values at random, so that no value is relied on alone (Srivastava et al. 2014)."""
from __future__ import annotations

from minicnn.nn import functional as F
from minicnn.nn.module import Module
from minicnn.tensor import Tensor


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is {p}: a probability is between 0 and 1")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training mode each value is zero with probability p, and x / (1 - p) otherwise, so that its mean stays; in eval mode y = x.

    Shapes: x of any shape -> the same. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels: neighbouring pixels are so alike that dropping single ones changes little (Tompson et al. 2015).

    Shapes: x (N, C, H, W) or (C, H, W) -> the same. Raises ValueError unless 0 <= p <= 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training, self.inplace)
