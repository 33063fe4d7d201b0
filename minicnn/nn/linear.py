"""Linear layers."""
from __future__ import annotations

import math
from typing import Any

from minicnn.nn import functional as F
from minicnn.nn import init
from minicnn.nn.arguments import empty, sizes
from minicnn.nn.module import Module
from minicnn.nn.parameter import Parameter
from minicnn.tensor import Tensor


class Linear(Module):
    """y = x Wᵀ + b.

    Shapes: x (..., in_features) -> (..., out_features); weight (out_features, in_features), bias (out_features).

    Initial weight and bias: uniform in ±1/√in_features. Raises ValueError for sizes below 1.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = None) -> None:
        super().__init__()
        sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))          # gain √(2/(1 + 5)) = √(1/3), so the bound is 1/√fan_in
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """y = x; arguments of the constructor are ignored, so that it can take the place of any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x
