"""relu on Tensors: what is negative becomes 0. Of a sum too, as at the end of a residual block, in one pass over memory."""
from __future__ import annotations

from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, record
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor


def relu_forward(x: Any) -> tuple[Any, Any]:
    """y = max(x, 0). The cache is the output: it tells which inputs were positive, so x can be forgotten."""
    k = kernels.of(x)
    y = k.relu(x)
    return y, (k, y)


@fresh
def relu_backward(dy: Any, cache: Any, inplace: bool = False) -> tuple[Any]:
    """dx = dy where y > 0, else 0: the derivative at 0 is 0."""
    k, y = cache
    return (k.relu_grad(dy, y, inplace),)


def relu(input: Tensor) -> Tensor:
    """y = max(x, 0), element by element; NaN stays NaN, and the derivative at 0 is 0. Any shape."""
    floating("relu", x=input)
    return record(relu_forward, relu_backward, input)


def add_relu_forward(a: Any, b: Any) -> tuple[Any, Any]:
    """y = max(a + b, 0)"""
    k = kernels.of(a)
    y = k.add(a, b, True)
    return y, (k, y)


def add_relu_backward(dy: Any, cache: Any, inplace: bool = False) -> tuple[Any, Any]:
    """da = db = dy where y > 0, else 0"""
    dx, = relu_backward(dy, cache, inplace)
    return dx, dx


def add_relu(a: Tensor, b: Tensor) -> Tensor:
    """relu(a + b): the same values and gradients, with a pass over memory less. Of one shape; raises ValueError for two."""
    floating("add_relu", x=a, b=b)
    if a.shape != b.shape:
        raise ValueError(f"add_relu: a has shape {a.shape}, b {b.shape}; they must be equal")
    return record(add_relu_forward, add_relu_backward, a, b)
