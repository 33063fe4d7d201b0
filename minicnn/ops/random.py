"""Random tensors, all from the one stream that `minicnn.manual_seed` starts.

They are drawn on the host and copied to their device, so that a seed means the same numbers everywhere. Dropout's masks alone, which every
step draws anew, are made on the device: see `spared`.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicnn.kernels import devices
from minicnn.ops.creation import Size, new_tensor, unpack_size
from minicnn.random import generator
from minicnn.tensor import DEFAULT_DTYPE, Tensor


def uniform_array(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
    """Numbers in [0, 1), drawn in float32 or float64."""
    dtype = np.dtype(dtype or DEFAULT_DTYPE)
    return generator().random(shape, np.float64 if dtype == np.float64 else np.float32).astype(dtype, copy=False)


def normal_array(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
    """Normally distributed numbers, mean 0, variance 1, drawn in float32 or float64."""
    dtype = np.dtype(dtype or DEFAULT_DTYPE)
    return generator().standard_normal(shape, np.float64 if dtype == np.float64 else np.float32).astype(dtype, copy=False)


def rand(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Uniform numbers in [0, 1)."""
    return new_tensor(uniform_array(unpack_size("rand", size), dtype), requires_grad, device)


def randn(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Normally distributed numbers, mean 0, variance 1."""
    return new_tensor(normal_array(unpack_size("randn", size), dtype), requires_grad, device)


def rand_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Uniform numbers in [0, 1), in the shape and dtype of x."""
    return new_tensor(uniform_array(x.shape, dtype or x.dtype), requires_grad, device or x.device)


def randn_like(x: Tensor, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Normally distributed numbers in the shape and dtype of x."""
    return new_tensor(normal_array(x.shape, dtype or x.dtype), requires_grad, device or x.device)


def randint(low: int, high: Any = None, size: Size | None = None, *, dtype: Any = np.int64, requires_grad: bool = False,
            device: Any = None) -> Tensor:
    """Integers in low..high-1; randint(high, size) counts from 0."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise ValueError(f"randint: there is no integer in {low}..{high - 1}: high must be above low")
    return new_tensor(generator().integers(low, high, unpack_size("randint", (size,))).astype(dtype, copy=False), requires_grad, device)


def randperm(n: int, *, device: Any = None) -> Tensor:
    """The numbers 0..n-1 in random order (int64)."""
    return new_tensor(generator().permutation(n), False, device)


def spared(p: float, shape: tuple[int, ...], like: Any) -> Any:
    """Booleans, False with probability p, where the array `like` is.

    On the host they come from the generator. On a device, element i is a hash of i and of one number of 64 bits from the generator, so
    that nothing is copied: other values than the host's, but the same ones for the same seed. The hash is Wellons' "lowbias32", with the
    number's two halves put in at different places.
    """
    if devices.on_host(like):
        return generator().random(shape, dtype=np.float32) >= p
    first, second = (np.uint32(n) for n in generator().integers(0, 1 << 32, 2, np.uint32))
    h = np.arange(math.prod(shape), dtype=np.uint32, like=like)
    h *= np.uint32(0x9E3779B9)
    h ^= first
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= second
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return (h > np.uint32(max(round(p * 2**32), 1) - 1)).reshape(shape)
