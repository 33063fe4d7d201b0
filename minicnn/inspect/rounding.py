"""How far apart two right results can be: the bound of rounding analysis (Higham, Accuracy and Stability of Numerical Algorithms, 2002)."""
from __future__ import annotations

from typing import Any

import numpy as np


def gamma(terms: int, dtype: Any) -> float:
    """gamma_K = K*u / (1 - K*u), with u the unit roundoff of the dtype (2^-24 for float32): a sum of K products, added up in any order, is
    off by at most gamma_K times the sum of the products' absolute values.

    >>> f"{gamma(27, 'float32'):.3g}"
    '1.61e-06'
    """
    u = float(np.finfo(dtype).eps) / 2
    return terms * u / (1 - terms * u)
