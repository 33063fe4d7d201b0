"""How a GPU's floating-point unit rounds: directed rounding, subnormal numbers as zero (.ftz, "flush to zero"), saturation."""
from __future__ import annotations

from typing import Any

import numpy as np

SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


def flushed(values: np.ndarray) -> np.ndarray:
    """Subnormal float32 numbers as zeros of their sign; the array itself where it has none. Other types as they are."""
    if values.dtype != np.float32 or np.abs(values).min(initial=np.inf) >= SMALLEST_NORMAL:
        return values
    return np.where(np.abs(values) < SMALLEST_NORMAL, np.copysign(np.float32(0), values), values)


def has_subnormals(values: np.ndarray) -> bool:
    size = np.abs(values)
    return not size.min(initial=np.inf) >= SMALLEST_NORMAL and bool(((size < SMALLEST_NORMAL) & (size > 0)).any())


def rounded(exact: np.ndarray, dtype: type, mode: str = "rn") -> np.ndarray:
    """exact, of a wider type, in dtype. mode: rn to nearest, rz to zero, rm down, rp up."""
    nearest: np.ndarray = exact.astype(dtype)
    if mode == "rn":
        return nearest
    too_large = {"rm": nearest > exact, "rp": np.zeros(exact.shape, bool), "rz": np.abs(nearest) > np.abs(exact)}[mode]
    too_small = nearest < exact if mode == "rp" else np.zeros(exact.shape, bool)
    towards: Any = np.where(mode == "rz", dtype(0), dtype(-np.inf))
    return np.where(too_small, np.nextafter(nearest, dtype(np.inf)), np.where(too_large, np.nextafter(nearest, towards), nearest))


def fused(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a · b + c, rounded once, as a GPU's multiply-add does.

    Of float32 the product is exact in float64; the sum is rounded there and once more to float32, which makes a difference in the last bit
    once in about 2^29 times. Of float64 the rounding errors of product and sum are computed and added (Dekker 1971, Knuth 1969); where
    that overflows, beyond 1e300, product and sum are rounded each.
    """
    if a.dtype == np.float32:
        exact = np.multiply(a, b, dtype=np.float64)
        exact += c
        return exact
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    product_error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    part = total - product
    total_error = (product - (total - part)) + (c - part)
    error = total_error + product_error
    return np.where(np.isfinite(error) & (error != 0), total + error, total)


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 numbers as sums of two with 26 bits each, whose products are exact."""
    scaled = x * float(2**27 + 1)
    high = scaled - (scaled - x)
    return high, x - high


def saturated(values: np.ndarray) -> np.ndarray:
    """.sat: into 0 to 1, NaN to 0."""
    return np.fmin(np.fmax(values, values.dtype.type(0)), values.dtype.type(1))
