"""Initial values of parameters. Each function fills a Tensor in place, draws from `minicnn.random.generator()`, and returns the Tensor.

fan_in is the number of inputs one output is a sum over, fan_out the number of outputs one input goes to:
for a Linear weight (out, in) they are in and out; for a convolution weight (F, C/G, KH, KW) they are C/G·KH·KW and F·KH·KW.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn import random
from minicnn.kernels import devices
from minicnn.nn.arguments import one_of
from minicnn.recording import changed
from minicnn.tensor import Tensor

_GAINS = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights have to be larger to make up for what a nonlinearity takes from the variance.

    relu: √2, since it zeroes half; leaky_relu: √(2/(1 + slope²)), param the slope (0.01); tanh: 5/3; linear, conv*, sigmoid: 1.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    one_of("calculate_gain", "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight. Raises ValueError for fewer than two axes."""
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need a weight of at least two axes (out, in, ...), got shape {tensor.shape}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    u = random.generator().random(tensor.shape, dtype=_drawn_dtype(tensor))
    u *= b - a
    u += a
    tensor.array[...] = devices.beside(u, tensor.array)
    changed()
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    z = random.generator().standard_normal(tensor.shape, dtype=_drawn_dtype(tensor))
    z *= std
    z += mean
    tensor.array[...] = devices.beside(z, tensor.array)
    changed()
    return tensor


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, restricted to [a, b]: a and b are values, not multiples of std.

    Rejection sampling with a uniform proposal (Robert 1995): z is kept with probability density(z) / (largest density in [a, b]).
    Beyond 8 std from the peak nothing is proposed; less than 1e-15 of the probability is there.
    """
    if not a < b or std <= 0:
        raise ValueError(f"trunc_normal_: needs a < b and std > 0, got a = {a}, b = {b}, std = {std}")
    peak = min(max(mean, a), b)
    low, high = max(a, peak - 8 * std), min(b, peak + 8 * std)
    flat = np.empty(tensor.numel(), _drawn_dtype(tensor))
    todo = np.arange(flat.size)
    while todo.size:
        z = low + (high - low) * random.generator().random(todo.size, dtype=flat.dtype)
        keep = random.generator().random(todo.size, dtype=flat.dtype) < np.exp(((peak - mean) ** 2 - (z - mean) ** 2) / (2 * std**2))
        flat[todo[keep]] = z[keep]
        todo = todo[~keep]
    tensor.array[...] = devices.beside(flat.reshape(tensor.shape), tensor.array)
    changed()
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    tensor.array[...] = val
    changed()
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in ±gain·√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std = gain·√(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform in ±gain·√(3 / fan) (He et al. 2015).

    a: the negative slope when the nonlinearity is leaky_relu. mode: "fan_in" keeps the variance of what goes forward, "fan_out" that of
    the gradients going back.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with std = gain / √fan (He et al. 2015); the arguments are kaiming_uniform_'s."""
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1) -> Tensor:
    """gain times a random orthogonal matrix: rows (or columns, if there are more rows than columns) of length 1, at right angles.

    Axes from the second on are taken as one (Saxe et al. 2013). The Q of a QR decomposition of normal numbers, its columns' signs
    set by R's diagonal, is uniform over all orthogonal matrices (Mezzadri 2007).
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: needs at least two axes, got shape {tensor.shape}")
    rows = tensor.shape[0]
    columns = tensor.numel() // max(rows, 1)
    normal = random.generator().standard_normal((max(rows, columns), min(rows, columns)), dtype=_drawn_dtype(tensor))
    q, r = np.linalg.qr(normal)
    q *= np.where(np.diag(r) < 0, -1, 1).astype(q.dtype)
    tensor.array[...] = devices.beside(gain * (q.T if rows < columns else q).reshape(tensor.shape), tensor.array)
    changed()
    return tensor


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    one_of("kaiming", "mode", mode, ("fan_in", "fan_out"))
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _drawn_dtype(tensor: Tensor) -> Any:
    """The generator draws float32 and float64; float16 is drawn as float32."""
    return np.float64 if tensor.dtype == np.float64 else np.float32
