"""relu on Tensors: what is negative becomes 0."""
from __future__ import annotations

from typing import Any

from minicnn import kernels
from minicnn.autograd import record
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor


def relu_forward(x: Any) -> tuple[Any, Any]:
    """y = max(x, 0). The cache is the output: it tells which inputs were positive, so x can be forgotten."""
    k = kernels.of(x)
    y = k.relu(x)
    return y, (k, y)


def relu_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy where y > 0, else 0: the derivative at 0 is 0."""
    k, y = cache
    return (k.relu_grad(dy, y),)


def relu(input: Tensor) -> Tensor:
    """y = max(x, 0), element by element; NaN stays NaN, and the derivative at 0 is 0. Any shape."""
    floating("relu", x=input)
    return record(relu_forward, relu_backward, input)
