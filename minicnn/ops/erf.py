"""The error function on arrays, which NumPy does not have: gelu is built on it."""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from minicnn.kernels import devices

STEP = 1 / 32        # between the points of the table
REACH = 6            # |x| from which erf is 1 to the last bit of float64
TERMS = 8            # (STEP/2)^8 times the derivatives over 8! is below the rounding of float64


def erf(x: Any) -> Any:
    """erf(x) = 2/sqrt(pi) * the integral of exp(-t²) from 0 to x, to rounding, in x's dtype.

    Taylor's series around the nearest point g of a table: sum over n of c_n(g) * (x - g)^n.
    """
    x, y = np.clip(x, -REACH, REACH), np.zeros_like(x)
    point = np.nan_to_num(np.rint(x / STEP)).astype(np.int64)
    distance = x - (point * STEP).astype(x.dtype)
    for c in _table(x.dtype, devices.device_of(x))[::-1]:                                           # Horner's rule
        y = y * distance + c[point + round(REACH / STEP)]
    return y


@functools.cache
def _table(dtype: np.dtype, device: str) -> Any:
    """(TERMS, points): the coefficients, copied once to each device."""
    return devices.move(_taylor().astype(dtype), device)


@functools.cache
def _taylor() -> np.ndarray:
    """(TERMS, points): c_0 = erf(g), c_1 = erf'(g), and from erf'' = -2 g erf': (n+2)(n+1) c_(n+2) = -2 (g (n+1) c_(n+1) + n c_n)."""
    g = np.arange(-REACH, REACH + STEP / 2, STEP)
    c = [np.array([math.erf(v) for v in g]), 2 / math.sqrt(math.pi) * np.exp(-g * g)]
    for n in range(TERMS - 2):
        c.append(-2 * (g * (n + 1) * c[n + 1] + n * c[n]) / ((n + 2) * (n + 1)))
    return np.stack(c)
