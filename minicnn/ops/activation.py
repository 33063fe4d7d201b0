"""Smooth and leaky relatives of relu, each with its derivative. All work element by element, on any shape."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.ops.checks import floating
from minicnn.ops.elementwise import sigmoid_forward
from minicnn.ops.erf import erf
from minicnn.tensor import Tensor

SQRT_2_OVER_PI = (2 / np.pi) ** 0.5


def leaky_relu_forward(x: Any, negative_slope: float = 0.01) -> tuple[Any, Any]:
    """y = x where x > 0, else negative_slope * x."""
    positive = x > 0
    return np.where(positive, x, negative_slope * x), (positive, negative_slope)


def leaky_relu_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy where x > 0, else negative_slope * dy."""
    positive, negative_slope = cache
    return (np.where(positive, dy, negative_slope * dy),)


def elu_forward(x: Any, alpha: float = 1.0) -> tuple[Any, Any]:
    """y = x where x > 0, else alpha * (exp(x) - 1)."""
    positive = x > 0
    y = np.where(positive, x, alpha * np.expm1(np.minimum(x, 0)))      # the minimum: exp of a large x would overflow unused
    return y, (positive, y, alpha)


def elu_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy where x > 0, else dy * alpha * exp(x), which is dy * (y + alpha)."""
    positive, y, alpha = cache
    return (dy * np.where(positive, 1, y + alpha),)


def gelu_forward(x: Any, approximate: str = "none") -> tuple[Any, Any]:
    """y = x * P, with P the share of a normal distribution below x:

        P = (1 + erf(x / sqrt(2))) / 2                                        'none'
        P = (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x³))) / 2                  'tanh'
    """
    if approximate == "tanh":
        t = np.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))
    else:
        t = erf(x * 0.5**0.5)
    return x * (0.5 + 0.5 * t), (x, t, approximate)


def gelu_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * (P + x * dP/dx), with dP/dx = exp(-x²/2) / sqrt(2*pi), or the derivative of the tanh."""
    x, t, approximate = cache
    if approximate == "tanh":
        slope = 0.5 * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * 0.044715 * x * x)
    else:
        slope = np.exp(-0.5 * x * x) * (0.5 * SQRT_2_OVER_PI)
    return (dy * (0.5 + 0.5 * t + x * slope),)


def silu_forward(x: Any) -> tuple[Any, Any]:
    """y = x * s with s = 1 / (1 + exp(-x))."""
    s = sigmoid_forward(x)[0]
    return x * s, (x, s)


def silu_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * s * (1 + x * (1 - s))."""
    x, s = cache
    return (dy * s * (1 + x * (1 - s)),)


def hardswish_forward(x: Any) -> tuple[Any, Any]:
    """y = x * min(max(x + 3, 0), 6) / 6: silu made of straight pieces."""
    return x * np.clip(x + 3, 0, 6) / 6, x


def hardswish_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy * (0 below -3, 1 above 3, (2*x + 3) / 6 between)."""
    x = cache
    return (np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + 0.5))),)


def logsigmoid_forward(x: Any) -> tuple[Any, Any]:
    """y = log(1 / (1 + exp(-x))) = min(x, 0) - log(1 + exp(-|x|)), where exp cannot overflow."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), x


def logsigmoid_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = dy / (1 + exp(x))."""
    return (dy * sigmoid_forward(-cache)[0],)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """y = x where x > 0, else negative_slope * x, so that no unit can die (Maas and others, 2013)."""
    floating("leaky_relu", x=input)
    return record(leaky_relu_forward, leaky_relu_backward, input, negative_slope=negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """y = x where x > 0, else alpha * (exp(x) - 1) (Clevert and others, 2016)."""
    floating("elu", x=input)
    return record(elu_forward, elu_backward, input, alpha=alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x * P(Z <= x), Z normally distributed (Hendrycks and Gimpel, 2016). approximate: 'none', or 'tanh' for their faster formula."""
    floating("gelu", x=input)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is {approximate!r}: must be 'none' or 'tanh'")
    return record(gelu_forward, gelu_backward, input, approximate=approximate)


def silu(input: Tensor) -> Tensor:
    """y = x / (1 + exp(-x)), also called swish (Ramachandran and others, 2017)."""
    floating("silu", x=input)
    return record(silu_forward, silu_backward, input)


def hardswish(input: Tensor) -> Tensor:
    """y = x * min(max(x + 3, 0), 6) / 6 (Howard and others, 2019)."""
    floating("hardswish", x=input)
    return record(hardswish_forward, hardswish_backward, input)


def logsigmoid(input: Tensor) -> Tensor:
    """y = log(1 / (1 + exp(-x))), without its rounding to log(0)."""
    floating("logsigmoid", x=input)
    return record(logsigmoid_forward, logsigmoid_backward, input)
