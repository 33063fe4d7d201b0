"""Moving one array towards another: what running averages are made of."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import kernels


def lerp_(average: Any, current: Any, weight: float) -> None:
    """average <- average + weight * (current - average), in place.

    That is a step of gradient descent down (current - average)²/2, so it is the kernel of SGD that makes it, in one pass over memory. From
    weight 0.5 on it is computed from the other end, as torch does, so that weight 1 gives `current` itself.
    """
    if average.dtype.kind != "f":                              # torch's way with integers: in float32, then cut off after the point
        average[...] = average.astype(np.float32) * np.float32(1 - weight) + current.astype(np.float32) * np.float32(weight)
    elif weight < 0.5:
        kernels.of(average).sgd_step(average, current, None, -weight, 0.0, 0.0, -1.0, False)
    else:
        average -= current
        average *= 1 - weight
        average += current
