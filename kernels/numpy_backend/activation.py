"""relu and its gradient, on arrays of any shape."""
from __future__ import annotations

from typing import Any

import numpy as np


def relu(x: Any) -> Any:
    """y = max(x, 0); NaN stays NaN."""
    return np.maximum(x, 0)


def relu_grad(dy: Any, y: Any, inplace: bool = False) -> Any:
    """dx = dy where y > 0, else 0: relu'(0) = 0. It needs only the output y, so the input can be forgotten.

    inplace: dx may be written over dy.
    """
    if not inplace or not dy.flags.writeable:
        return np.where(y > 0, dy, 0)
    open_gate = y > 0
    np.copyto(dy, 0, where=np.logical_not(open_gate, out=open_gate))
    return dy
